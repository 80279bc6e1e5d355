"""The model file: weights and card in one safetensors file, which is read without unpickling objects.

The file has a checksum, because safetensors itself does not notice a flipped bit in a tensor. A new file replaces the
old one only after it was read back and its checksum was right. The checksum is tested whenever the file is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from unpool.checkpoint.card import CARD_VERSION, READ_VERSIONS, Card, card_of, classes_of, completed, seen_of
from unpool.checkpoint.card_form import require_form_of_card
from unpool.checkpoint.probe import Probe, probe_of
from unpool.checkpoint.proof import first_line, proof
from unpool.checkpoint.tensors import require_finite
from unpool.errors import ModelFileError, UnpoolError
from unpool.io.documents import json_value
from unpool.io.files import draft_beside, flush_to_disk, put_in_place, writing
from unpool.nets.families import structure_of
from unpool.nets.weights import restored
from unpool.normalisation import Normalisation
from unpool.segmenter import Segmenter

CARD_KEY = "unpool"
CHECKSUM_KEY = "unpool-sha256"

WRAPPERS = ("_orig_mod.", "module.")
"""Prefixes that torch's compiling and data-parallel wrappers put before a parameter's name."""


class LoadedModel(NamedTuple):
    """A model read from its file."""

    segmenter: Segmenter
    card: Card


def save_model(path: Path, segmenter: Segmenter, story: Mapping[str, Any], licence: str | None = None) -> None:
    """Write weights and card into one file, atomically; parameters and errors are those of ``new_model``."""
    with new_model(path, segmenter, story, licence):
        pass


@contextmanager
def new_model(path: Path, segmenter: Segmenter, story: Mapping[str, Any], licence: str | None = None) -> Iterator[Path]:
    """Write a model as a draft in the folder of ``path`` and yield the draft's path.

    The draft replaces ``path`` when the ``with`` block succeeds. The block can save a checkpoint that names the draft,
    so that later the two are known to belong together. Therefore the draft stays where the block raises.

    Parameters
    ----------
    story: plain JSON data about the training, its data and scores; it is kept as it is.
    licence: licence of the weights, in the person's words; None where none is given.

    Raises
    ------
    RunError: the file cannot be written, or does not read back as it was written.
    """
    content = _model_content(segmenter, story, licence)
    with writing(path, len(content)):
        draft = draft_beside(path)
        try:
            draft.write_bytes(content)
            flush_to_disk(draft)
            with proof(path):
                _read_safetensors(draft)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        yield draft
        put_in_place(draft, path)


def _model_content(segmenter: Segmenter, story: Mapping[str, Any], licence: str | None) -> bytes:
    tensors = {name: t.detach().cpu().contiguous() for name, t in bare_state(segmenter.network).items()}
    card = json.dumps(card_of(segmenter, story, licence, probe_of(segmenter, tensors)), ensure_ascii=False)
    return save(tensors, {CARD_KEY: card, CHECKSUM_KEY: _checksum(tensors, card)})


def load_model(path: Path) -> LoadedModel:
    """Read a model file; the network is in evaluation mode, on the CPU.

    A card of an earlier version is completed as ``unpool.checkpoint.card.completed`` does; its ``version`` stays.

    Raises
    ------
    ModelFileError: the file is missing, damaged, not written by unpool, or of a later version.
    """
    card, tensors = _read_safetensors(path)
    _require_known_version(path, card)
    try:
        classes = classes_of(card)
        normalisation = Normalisation.from_card(card["normalisation"])
        for name, tensor in tensors.items():
            if tensor.dtype != (torch.int64 if name.endswith("num_batches_tracked") else torch.float32):
                raise ValueError(f"{name} is {tensor.dtype}")
        borders = int(card.get("borders", 0))
        outputs = len(classes) + (borders > 0)
        network = restored(structure_of(card["structure"]), int(card["in_channels"]), outputs, tensors)
        if normalisation.channels != network.in_channels:
            raise ValueError("the normalisation has another channel count than the network")
        require_form_of_card(card)
        seen = seen_of(card, normalisation)
        segmenter = Segmenter(str(card["net"]), network, normalisation, classes, seen, borders)
        card = completed(card, network.structure)
        if card["probe"] is not None:
            Probe.from_card(card["probe"])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError, UnpoolError) as error:
        raise ModelFileError(
            f"{path}: unpool did not write this card for these weights ({first_line(error)})",
            "a file written by unpool and not changed since",
            "take the file from its run folder again",
        ) from error
    try:
        require_finite(tensors)
    except ValueError as error:
        raise ModelFileError(
            f"{path}: {error}",
            "finite weights, without which every prediction is meaningless",
            "train again with a lower learning rate (--set learning_rate=…)",
        ) from error
    return LoadedModel(segmenter, card)


def stored_checksum(path: Path) -> str | None:
    """Return the checksum in a model file, which ``load_model`` tests; None in files older than checksums."""
    with safetensors.safe_open(path, framework="pt") as file:
        checksum: str | None = (file.metadata() or {}).get(CHECKSUM_KEY)
    return checksum


def _require_known_version(path: Path, card: Card) -> None:
    version = card.get("version")
    if version in READ_VERSIONS:
        return
    later = isinstance(version, int) and version > CARD_VERSION
    raise ModelFileError(
        f"{path}: a model card of version {version}",
        f"version {', '.join(map(str, READ_VERSIONS[:-1]))} or {READ_VERSIONS[-1]}",
        "install the newer unpool that wrote it" if later else "give a model.safetensors that unpool wrote",
    )


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a model's weights alone; it is equal for two trainings with bit-equal results.

    Raises
    ------
    ModelFileError: the file is missing, damaged or not written by unpool.
    """
    return _checksum(_read_safetensors(path)[1], "")


def bare_state(network: torch.nn.Module) -> dict[str, Tensor]:
    """Return a network's state with the names of the module itself, without those of its wrappers."""
    state = {}
    for name, tensor in network.state_dict().items():
        for wrapper in WRAPPERS * 2:
            name = name.removeprefix(wrapper)  # noqa: PLW2901 (peeling wrappers one by one)
        state[name] = tensor
    return state


def _checksum(tensors: Mapping[str, Tensor], card: str) -> str:
    """Return the SHA-256 of a card and of names, types, shapes and values of tensors, in the order of their names."""
    digest = hashlib.sha256(card.encode("utf-8"))
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_safetensors(path: Path) -> tuple[Card, dict[str, Tensor]]:
    if not path.is_file():
        raise ModelFileError(
            f"{path}: no such file", "a model.safetensors or the run folder that holds it", "check the path"
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies: the file is not in memory while it is used, and may be replaced meanwhile.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"{path}: this is not a model file, or a part of it is missing ({first_line(error)})",
            "a model.safetensors, or the run folder that holds it",
            "check the path; if it is right, take the file from its run folder again, or train again",
        ) from error
    if metadata.get(CHECKSUM_KEY) not in (None, _checksum(tensors, metadata.get(CARD_KEY, ""))):
        raise ModelFileError(
            f"{path}: the model file is damaged: its checksum is wrong",
            "a file as unpool wrote it",
            "take the file from its run folder again, or train again",
        )
    try:
        card = json_value(metadata[CARD_KEY], finite=False)  # a loss on the card may be infinite
        if not isinstance(card, dict):
            raise ValueError("the card is not an object")
    except (KeyError, ValueError) as error:
        raise ModelFileError(
            f"{path}: a safetensors file without an unpool card ({first_line(error)})",
            "a model.safetensors written by unpool",
            "give a model that unpool trained",
        ) from error
    if card.get("version") in READ_VERSIONS[1:] and CHECKSUM_KEY not in metadata:
        raise ModelFileError(
            f"{path}: its checksum is missing",
            "a file written by unpool and not changed since",
            "take the file from its run folder again",
        )
    return card, tensors
