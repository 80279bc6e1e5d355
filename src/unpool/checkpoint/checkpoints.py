"""The checkpoint ``state.pt``: what a training needs to continue, and the checkpoint that was saved before it.

It is a torch file, read with ``weights_only=True``. Its checksums are tested whenever it is read, because torch loads a
flipped bit without an error.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from unpool.checkpoint.proof import first_line, proof
from unpool.errors import ModelFileError, UsageError
from unpool.io.files import atomic_path, flush_to_disk, keep_as

CHECKPOINT_VERSION = 1


class LaterVersionError(ModelFileError):
    """The error of a checkpoint of another version, which is sound and is not passed over."""


class StoredState(NamedTuple):
    """The state in a checkpoint, and the file that it was read from."""

    state: dict[str, Any]
    file: Path


class StoredCheckpoint(NamedTuple):
    """The newest checkpoint from which a training can continue.

    Attributes
    ----------
    file: the file that it was read from.
    damage: the error of the newer file, where that one cannot be used; else None.
    """

    state: dict[str, Any]
    file: Path
    damage: ModelFileError | UsageError | None


def previous(path: Path) -> Path:
    """Return the file of the checkpoint that was saved before the one in ``path``."""
    return path.with_stem(f"{path.stem}.previous")


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint, atomically; the one before it is kept as ``previous(path)``.

    Parameters
    ----------
    state: tensors, numbers, strings, and lists and dicts of them.

    Raises
    ------
    RunError: the file cannot be written, or does not read back as it was written; the old file stays.
    """
    content = _state_content({"version": CHECKPOINT_VERSION, **state})
    with atomic_path(path, len(content)) as draft:
        draft.write_bytes(content)
        flush_to_disk(draft)
        with proof(path):
            _require_whole(draft)
        keep_as(path, previous(path))


def _state_content(state: dict[str, Any]) -> memoryview:
    # In memory first: torch's own file writer gives no reason when it fails, and may abort the process on Ctrl-C.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that ``save_checkpoint`` wrote.

    Raises
    ------
    ModelFileError: the file is damaged, not a checkpoint, or of a later version.
    """
    _require_whole(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["version"] != CHECKPOINT_VERSION:
        raise LaterVersionError(
            f"{path}: a checkpoint of version {state['version']}",
            f"version {CHECKPOINT_VERSION}",
            "resume with the version of unpool that wrote it",
        )
    return dict(state)


def load_newest_checkpoint(
    path: Path, require: Callable[[StoredState], None] = lambda stored: None
) -> StoredCheckpoint:
    """Read a checkpoint, or the one saved before it where the newer file is missing, damaged or refused.

    Parameters
    ----------
    require: raises ModelFileError or UsageError on a state from which the training cannot continue.

    Raises
    ------
    ModelFileError, UsageError: neither file can be used, or the newest readable one is of a later version.
    """
    try:
        return StoredCheckpoint(*_usable(path, require), None)
    except (ModelFileError, UsageError) as damage:
        if not previous(path).is_file() or isinstance(damage, LaterVersionError):
            raise
        return StoredCheckpoint(*_usable(previous(path), require), damage)


def _usable(path: Path, require: Callable[[StoredState], None]) -> StoredState:
    stored = StoredState(load_checkpoint(path), path)
    require(stored)
    return stored


def _require_whole(path: Path) -> None:
    """Raise ModelFileError where a file is damaged or no checkpoint; this takes almost no memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise ValueError("it is compressed")
            if sum(part.file_size for part in parts) > path.stat().st_size:
                raise ValueError("its parts are larger than the file")
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        state = torch.load(path, map_location="meta", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"it is a {type(state).__name__}")
        if type(state.get("version")) is not int:
            raise ValueError("it has no version")
    except Exception as error:  # zipfile and torch raise many kinds on a broken file
        raise ModelFileError(
            f"{path}: not a readable checkpoint ({type(error).__name__}: {first_line(error)})",
            "a state.pt as unpool wrote it",
            "take the file from a copy, or train again in another folder; "
            "the model.safetensors in the same folder does not depend on it",
        ) from error
