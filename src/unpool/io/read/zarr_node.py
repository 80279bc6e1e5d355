"""The nodes of a Zarr folder, its arrays and groups: their metadata, which are believed only after a look.

The metadata are read here and not by the package zarr, which believes what they announce, whatever the folder holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from unpool.errors import DataError

METADATA_LIMIT = 1 << 24
"""The most bytes of a metadata file."""

METADATA_FILES = ("zarr.json", ".zarray", ".zgroup")
"""The files by which a folder is known to be an array or a group."""

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """A folder of a Zarr: an array or a group.

    Attributes
    ----------
    root: the Zarr that was opened; no path leaves it.
    name: the path below the root; empty for the root.
    metadata: of the node itself, as JSON objects; ``attributes`` are those of a person or program.
    """

    root: Path
    name: str
    format: int
    metadata: Mapping[str, Any]
    attributes: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The node's folder."""
        return self.root / self.name

    @property
    def is_array(self) -> bool:
        """Whether it is an array."""
        return "shape" in self.metadata

    def node(self, name: str) -> Node:
        """Read a node below this one. Raises DataError."""
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or parts[0] == "/":
            raise odd_zarr(self.root, f"the path {shown(name)}", "the path of an array or group inside the folder")
        return read_node(self.root, f"{self.name}/{name}" if self.name else name)

    def names(self) -> list[str]:
        """List the names of the nodes directly below this one, sorted."""
        folders = sorted(entry.name for entry in os.scandir(self.folder) if entry.is_dir())
        return [name for name in folders if any((self.folder / name / each).is_file() for each in METADATA_FILES)]


def odd_zarr(path: Path, found: str, expected: str) -> DataError:
    """Return the error of a Zarr whose metadata or folder are not as its specification says."""
    return DataError(
        f"{path}: {found}",
        f"{expected}, as the specifications of Zarr and OME-NGFF have it",
        "write it again with the program that made it, or save one plane as a TIFF",
    )


def typed(node: Node, value: Any, kind: type[T], what: str) -> T:
    """Return a value of the metadata. Raises DataError where it has another type."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = {dict: "an object", list: "a list", str: "a text", int: "a whole number", float: "a number"}
        raise odd_zarr(node.root, f"{what} in {node.name or 'its metadata'} is {shown(value)}", names[kind])
    return value


def lengths(node: Node, value: Any, what: str) -> tuple[int, ...]:
    """Return a list of whole numbers from 1. Raises DataError where it is none."""
    numbers = tuple(typed(node, each, int, what) for each in typed(node, value, list, what))
    if not numbers or min(numbers) < 1:
        raise odd_zarr(node.root, f"{what} in {node.name or 'its metadata'} is {shown(value)}", "numbers from 1")
    return numbers


def read_node(root: Path, name: str = "") -> Node:
    """Read the metadata of an array or a group. Consolidated metadata, which are copies, are not believed.

    Raises
    ------
    DataError: there is no such node, or it leaves the root, or its metadata are damaged.
    """
    folder = inside(root, root / name)
    for file in METADATA_FILES:
        if (folder / file).is_file():
            metadata = _json(root, folder / file)
            node = Node(root, name, 3 if file == "zarr.json" else 2, metadata, {})
            attributes = metadata.get("attributes", {}) if node.format == 3 else _json(root, folder / ".zattrs")
            return Node(root, name, node.format, metadata, typed(node, attributes, dict, "attributes"))
    raise odd_zarr(root, f"{'no' if not name else f'{name} has no'} {', '.join(METADATA_FILES)}", "one of them")


def inside(root: Path, path: Path) -> Path:
    """Return a path without links. Raises DataError where it leaves the root."""
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise odd_zarr(root, f"{path} leads out of the folder", "files inside it")
    return real


def _json(root: Path, path: Path) -> dict[str, Any]:
    """Read a file of JSON; an empty object where there is none."""
    path = inside(root, path)
    if not path.is_file():
        return {}
    if path.stat().st_size > METADATA_LIMIT:
        raise odd_zarr(root, f"{path.name} has {path.stat().st_size:,} bytes", f"at most {METADATA_LIMIT:,}")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise odd_zarr(root, f"{path.relative_to(root.resolve())} is no JSON ({error})", "JSON") from error
    if not isinstance(content, dict):
        raise odd_zarr(root, f"{path.relative_to(root.resolve())} is {shown(content)}", "an object")
    return content


def shown(value: Any) -> str:
    """Return a value of the metadata as JSON of at most 60 characters."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
