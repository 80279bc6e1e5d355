"""State to file and back: the model (safetensors with a JSON card) and the training state.

``model.safetensors`` holds the weights and, in its metadata, a card with everything needed to use them. The
training state is a torch file read with ``weights_only=True``. Nothing here unpickles objects.

Both carry a checksum. A file takes its place only when it was read back from the disk and the checksum held, and it is
checked again whenever the file is read: torch and safetensors by themselves do not notice a flipped bit in a tensor.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from unpool.classes import ClassTable
from unpool.errors import ModelFileError, RunError, UnpoolError
from unpool.io.files import atomic_path, draft_beside, flush, keep_as, take_place, writing
from unpool.nets import network_of, structure_of
from unpool.normalisation import Normalisation
from unpool.segmenter import Segmenter

CARD_KEY = "unpool"
CHECKSUM_KEY = "unpool-sha256"
CARD_VERSION = 1
STATE_VERSION = 1

WRAPPERS = ("_orig_mod.", "module.")
"""Prefixes that compiling and data-parallel wrappers put before a parameter's name."""

Card = dict[str, Any]


class LoadedModel(NamedTuple):
    """A model read from its file."""

    segmenter: Segmenter
    card: Card


class StoredState(NamedTuple):
    """The newest training state that could be read.

    Attributes
    ----------
    file: where it was read; ``damage`` says what is wrong with the newer one where it is not the newest.
    """

    state: dict[str, Any]
    file: Path
    damage: ModelFileError | None


def save_model(path: Path, segmenter: Segmenter, story: Mapping[str, Any]) -> None:
    """Write weights and card into one file, atomically; parameters and errors as in ``new_model``."""
    with new_model(path, segmenter, story):
        pass


@contextmanager
def new_model(path: Path, segmenter: Segmenter, story: Mapping[str, Any]) -> Iterator[Path]:
    """Write a model beside ``path`` and yield its name there; it takes its place when the body succeeds.

    So the body can save a state that names it: whoever finds that state and the draft knows that they belong together.
    For that reason the draft stays when the body raises.

    Parameters
    ----------
    story: plain JSON data about how the model came to be (training, data, scores); it is kept as it is.

    Raises
    ------
    RunError: the file cannot be written, or does not read back as it was written.
    """
    content = _model_content(segmenter, story)
    with writing(path, len(content)):
        draft = draft_beside(path)
        try:
            draft.write_bytes(content)
            flush(draft)
            with _proof(path):
                _read_safetensors(draft)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        yield draft
        take_place(draft, path)


def _model_content(segmenter: Segmenter, story: Mapping[str, Any]) -> bytes:
    tensors = {name: t.detach().cpu().contiguous() for name, t in bare_state(segmenter.network).items()}
    card = _card(segmenter, story)
    return save(tensors, {CARD_KEY: card, CHECKSUM_KEY: _checksum(tensors, card)})


def _card(segmenter: Segmenter, story: Mapping[str, Any]) -> str:
    card = {
        "version": CARD_VERSION,
        "net": segmenter.net,
        "structure": segmenter.network.structure.model_dump(mode="json"),
        "in_channels": segmenter.network.in_channels,
        "classes": segmenter.classes.to_card(),
        "normalisation": segmenter.normalisation.to_card(),
        "story": dict(story),
    }
    return json.dumps(card, ensure_ascii=False)


def load_model(path: Path) -> LoadedModel:
    """Read a model written by ``save_model``; the network is in evaluation mode, on the CPU.

    Raises
    ------
    ModelFileError: the file is missing, truncated, foreign, or of a later version.
    """
    card, tensors = _read_safetensors(path)
    if card.get("version") != CARD_VERSION:
        raise ModelFileError(
            f"{path}: a model card of version {card.get('version')}",
            f"version {CARD_VERSION}",
            "use the version of unpool that wrote it, or train again",
        )
    try:
        classes = ClassTable.from_card(card["classes"])
        normalisation = Normalisation.from_card(card["normalisation"])
        network = network_of(structure_of(card["structure"]), int(card["in_channels"]), len(classes))
        network.load_state_dict(tensors)
        if normalisation.channels != network.in_channels:
            raise ValueError("the normalisation has another channel count than the network")
        segmenter = Segmenter(str(card["net"]), network.eval(), normalisation, classes)
        if not isinstance(card["story"], dict):
            raise TypeError("the story is not an object")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError, UnpoolError) as error:
        raise ModelFileError(
            f"{path}: the model card and the weights do not fit together ({first_line(error)})",
            "a file written by unpool and not changed since",
            "take the file from its run folder again",
        ) from error
    return LoadedModel(segmenter, card)


def weights_digest(path: Path) -> str:
    """SHA-256 of a model's weights alone: two trainings that ended bit for bit alike have one.

    Raises
    ------
    ModelFileError: the file is missing, damaged or foreign.
    """
    return _checksum(_read_safetensors(path)[1], "")


def bare_state(network: torch.nn.Module) -> dict[str, Tensor]:
    """The network's state with the names of the bare module, whatever wraps it."""
    state = {}
    for name, tensor in network.state_dict().items():
        for wrapper in WRAPPERS * 2:
            name = name.removeprefix(wrapper)  # noqa: PLW2901 (peeling wrappers one by one)
        state[name] = tensor
    return state


def previous(path: Path) -> Path:
    """Where the state saved before the one in ``path`` is kept."""
    return path.with_stem(f"{path.stem}.previous")


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training state (tensors, numbers, strings, lists and dicts of them), atomically.

    The one that was there stays, as ``previous(path)``, at the price of its room on the disk.

    Raises
    ------
    RunError: the file cannot be written, or does not read back as it was written; the old one is in its place.
    """
    content = _state_content({"version": STATE_VERSION, **state})
    with atomic_path(path, len(content)) as draft:
        draft.write_bytes(content)
        flush(draft)
        with _proof(path):
            _require_whole(draft)
        keep_as(path, previous(path))


def _state_content(state: dict[str, Any]) -> memoryview:
    # In memory and not straight into the file: where a write fails, torch does not say why, and where Ctrl-C comes in
    # its midst, its writer may abort the process.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state written by ``save_state``.

    Raises
    ------
    ModelFileError: the file is truncated, damaged, foreign, or of a later version.
    """
    _require_whole(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["version"] != STATE_VERSION:
        raise ModelFileError(
            f"{path}: a training state of version {state['version']}",
            f"version {STATE_VERSION}",
            "resume with the version of unpool that wrote it",
        )
    return dict(state)


def load_newest_state(path: Path) -> StoredState:
    """Read the state in ``path``, or the one saved before it where that one is missing or damaged.

    Raises
    ------
    ModelFileError: neither can be read, or the newest readable one is of a later version.
    """
    try:
        _require_whole(path)
    except ModelFileError as damage:
        if not previous(path).is_file():
            raise
        return StoredState(load_state(previous(path)), previous(path), damage)
    return StoredState(load_state(path), path, None)


def _require_whole(path: Path) -> None:
    """Refuse a state file whose checksums do not hold, or that is none; takes next to no memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} does not hold")
        if "version" not in torch.load(path, map_location="meta", weights_only=True):
            raise ValueError("it says no version")
    except Exception as error:  # zipfile and torch raise many kinds on a broken file
        raise ModelFileError(
            f"{path}: not a readable training state ({type(error).__name__}: {first_line(error)})",
            "a state.pt as unpool wrote it",
            "take the file from a copy, or train again in another folder; "
            "the model.safetensors beside it does not depend on it",
        ) from error


@contextmanager
def _proof(path: Path) -> Iterator[None]:
    """Read a draft of ``path`` back inside this: what cannot be read was not saved."""
    try:
        yield
    except ModelFileError as error:
        reason = first_line(error.__cause__ or error)
        raise RunError(
            f"{path}: what was written does not read back ({reason})",
            "a disk that gives back what was written to it",
            "check the disk, or write elsewhere",
        ) from error


def _checksum(tensors: Mapping[str, Tensor], card: str) -> str:
    """SHA-256 of a card and of everything about the tensors, in the order of their names."""
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
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if metadata.get(CHECKSUM_KEY) not in (None, _checksum(tensors, metadata.get(CARD_KEY, ""))):
            raise ValueError("damaged since it was written: its checksum does not hold")
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"{path}: not a readable safetensors file ({first_line(error)})",
            "a model.safetensors written by unpool, complete",
            "take the file from its run folder again, or train again",
        ) from error
    try:
        card = json.loads(metadata[CARD_KEY])
        if not isinstance(card, dict):
            raise TypeError("the card is not an object")
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path}: a safetensors file without an unpool card",
            "a model.safetensors written by unpool",
            "give a model that unpool trained",
        ) from error
    return card, tensors


def first_line(error: BaseException) -> str:
    """What an error says, in one line of at most 200 letters."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
