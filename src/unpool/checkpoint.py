"""State to file and back: the model (safetensors with a JSON card) and the training state.

``model.safetensors`` holds the weights and, in its metadata, a card with everything needed to use them. The
training state is a torch file read with ``weights_only=True``. Nothing here unpickles objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import torch
from safetensors.torch import save_file

from unpool.classes import ClassTable
from unpool.errors import ModelFileError, UnpoolError
from unpool.io.files import atomic_path
from unpool.nets import network_of, structure_of
from unpool.normalisation import Normalisation
from unpool.segmenter import Segmenter

CARD_KEY = "unpool"
CARD_VERSION = 1
STATE_VERSION = 1

WRAPPERS = ("_orig_mod.", "module.")
"""Prefixes that compiling and data-parallel wrappers put before a parameter's name."""

Card = dict[str, Any]


class LoadedModel(NamedTuple):
    """A model read from its file."""

    segmenter: Segmenter
    card: Card


def save_model(path: Path, segmenter: Segmenter, story: Mapping[str, Any]) -> None:
    """Write weights and card into one file, atomically.

    ``story`` is plain JSON data about how the model came to be (training, data, scores); it is kept as it is.
    """
    card = {
        "version": CARD_VERSION,
        "net": segmenter.net,
        "structure": segmenter.network.structure.model_dump(mode="json"),
        "in_channels": segmenter.network.in_channels,
        "classes": segmenter.classes.to_card(),
        "normalisation": segmenter.normalisation.to_card(),
        "story": dict(story),
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in bare_state(segmenter.network).items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={CARD_KEY: json.dumps(card, ensure_ascii=False)})


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


def bare_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The network's state with the names of the bare module, whatever wraps it."""
    state = {}
    for name, tensor in network.state_dict().items():
        for wrapper in WRAPPERS * 2:
            name = name.removeprefix(wrapper)  # noqa: PLW2901 (peeling wrappers one by one)
        state[name] = tensor
    return state


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training state (tensors, numbers, strings, lists and dicts of them), atomically."""
    with atomic_path(path) as temporary:
        torch.save({"version": STATE_VERSION, **state}, temporary)


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state written by ``save_state``.

    Raises
    ------
    ModelFileError: the file is truncated, foreign, or of a later version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        version = state["version"]
    except Exception as error:  # torch raises many kinds on a broken file
        raise ModelFileError(
            f"{path}: not a readable training state ({type(error).__name__})",
            "a state.pt written by unpool",
            "start the training again without --resume, in another folder",
        ) from error
    if version != STATE_VERSION:
        raise ModelFileError(
            f"{path}: a training state of version {version}",
            f"version {STATE_VERSION}",
            "resume with the version of unpool that wrote it",
        )
    return dict(state)


def _read_safetensors(path: Path) -> tuple[Card, dict[str, torch.Tensor]]:
    if not path.is_file():
        raise ModelFileError(
            f"{path}: no such file", "a model.safetensors or the run folder that holds it", "check the path"
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
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
