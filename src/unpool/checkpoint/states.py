"""The training state: a torch file, read with ``weights_only=True``, and the one saved before it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from unpool.checkpoint.proof import first_line, proof
from unpool.errors import ModelFileError
from unpool.io.files import atomic_path, flush_to_disk, keep_as

STATE_VERSION = 1


class StoredState(NamedTuple):
    """The newest training state that could be read.

    Attributes
    ----------
    file: where it was read; ``damage`` says what is wrong with the newer one where it is not the newest.
    """

    state: dict[str, Any]
    file: Path
    damage: ModelFileError | None


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
        flush_to_disk(draft)
        with proof(path):
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
