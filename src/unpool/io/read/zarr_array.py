"""A Zarr array, format 2 or 3, and its chunks, each bounded before it is decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.io.read.blocks import BLOCK_LIMIT
from unpool.io.read.zarr_codecs import BYTE_CODECS, Settings, decoded
from unpool.io.read.zarr_node import METADATA_FILES, Node, inside, lengths, odd_zarr, shown, typed
from unpool.wording import size_text

MISSING = 1000
"""A large array whose folder holds fewer than one in this many of its chunks is refused: no picture is that empty."""

SPARE = 1 << 18
"""Bytes by which coded pixels may be larger than the pixels."""


class Codec(NamedTuple):
    """A codec by name, without a prefix, and its configuration."""

    name: str
    settings: Settings


class Shards(NamedTuple):
    """The shards of an array: files that hold many chunks, with an index of their places.

    Attributes
    ----------
    chunks: shape of a shard, in chunks.
    at_end: whether the index is at the end of the file; otherwise it is at the start.
    checked: whether a checksum follows the index.
    """

    chunks: tuple[int, ...]
    at_end: bool
    checked: bool


@dataclass(frozen=True)
class ZarrArray:
    """An array that is open for reading.

    Attributes
    ----------
    chunks: shape of a chunk.
    dtype: of the chunks as stored; its byte order is theirs.
    separator, prefix: of the names of chunk files.
    order: the axes in the order in which a chunk stores them.
    codecs: from bytes to bytes, in the order in which chunks were coded.
    """

    node: Node
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: Any
    separator: str
    prefix: str
    order: tuple[int, ...]
    codecs: tuple[Codec, ...]
    shards: Shards | None = None

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return prod(self.chunks) * self.dtype.itemsize

    @property
    def file_chunks(self) -> tuple[int, ...]:
        """Shape of the chunks of one file."""
        return self.shards.chunks if self.shards else (1,) * len(self.shape)

    @property
    def files(self) -> int:
        """Number of chunk files that the array has if none is missing."""
        parts = zip(self.shape, self.chunks, self.file_chunks, strict=True)
        return prod(-(-size // (chunk * count)) for size, chunk, count in parts)

    def chunk(self, place: Sequence[int]) -> NDArray[Any]:
        """Decode a chunk, in its full shape also at the array's ends; where it is missing it has the fill value.

        Raises
        ------
        DataError: its file leaves the folder, or is no file.
        ValueError and the errors of codecs: it is damaged, or inflates beyond its pixels.
        """
        data = self._stored(place)
        if data is None:
            return np.full(self.chunks, self.fill, self.dtype)
        for codec in reversed(self.codecs):
            data = decoded(codec.name, codec.settings, data, self.chunk_bytes + SPARE)
        if len(data) != self.chunk_bytes:
            raise ValueError(f"{len(data):,} bytes of pixels for {self.chunk_bytes:,}")
        stored = np.frombuffer(data, self.dtype).reshape([self.chunks[axis] for axis in self.order])
        return stored.transpose(np.argsort(self.order))

    def _stored(self, place: Sequence[int]) -> bytes | None:
        """Return the bytes of a chunk as its file holds them; None where it is missing."""
        numbers = [number // count for number, count in zip(place, self.file_chunks, strict=True)]
        name = self.prefix + self.separator.join(map(str, numbers))
        path = inside(self.node.root, self.node.folder / name)
        if not path.exists():
            return None
        if not path.is_file():
            raise odd_zarr(self.node.root, f"{path} is no file", "a chunk")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start, length = (0, size) if self.shards is None else self._place_in_shard(file.fileno(), size, place)
            if length > self.chunk_bytes + SPARE:
                raise ValueError(f"{length:,} bytes for {self.chunk_bytes:,} bytes of pixels")
            file.seek(start)
            return file.read(length) if length >= 0 else None

    def _place_in_shard(self, file: int, size: int, place: Sequence[int]) -> tuple[int, int]:
        """Return the start and length of a chunk in a shard; a length of -1 where it is missing."""
        assert self.shards is not None
        counts = self.shards.chunks
        length = 16 * prod(counts) + 4 * self.shards.checked
        if size < length:
            raise ValueError(f"a shard of {size:,} bytes, its index alone has {length:,}")
        index = os.pread(file, length, size - length if self.shards.at_end else 0)
        if self.shards.checked:
            index = decoded("crc32c", {}, index, length)
        number = int(np.ravel_multi_index([each % count for each, count in zip(place, counts, strict=True)], counts))
        start, length = np.frombuffer(index, "<u8")[2 * number : 2 * number + 2].tolist()
        if start == length == 2**64 - 1:
            return 0, -1
        if start + length > size:
            raise ValueError(f"a chunk that ends at byte {start + length:,} of {size:,}")
        return start, length


def open_array(node: Node) -> ZarrArray:
    """Return the array of a node, without reading a chunk.

    Raises
    ------
    DataError: the metadata are odd, the codecs are not read here, chunks are too large, or the folder holds next to
        none of the chunks that a large array announces.
    """
    array = _array_2(node) if node.format == 2 else _array_3(node)
    count = {len(array.shape), len(array.chunks), len(array.order), len(array.file_chunks)}
    if len(count) > 1 or sorted(array.order) != list(range(len(array.shape))):
        raise odd_zarr(node.root, f"chunks of {size_text(array.chunks)} in {size_text(array.shape)}", "chunks that fit")
    wrong = sorted({codec.name for codec in array.codecs} - set(BYTE_CODECS))
    if wrong:
        read = ", ".join(sorted({*BYTE_CODECS, "bytes", "transpose", "sharding_indexed"}))
        raise DataError(f"{node.root}: chunks coded with {', '.join(wrong)}", f"one of {read}", "save it with blosc")
    if max(array.chunk_bytes, 16 * prod(array.file_chunks)) > BLOCK_LIMIT:
        raise too_large_chunks(node.root, array.chunks)
    return array


def too_large_chunks(path: Path, shape: Sequence[int]) -> DataError:
    """Return the error of chunks that would take too much memory."""
    return DataError(
        f"{path}: chunks of {size_text(shape)}",
        f"chunks of at most {BLOCK_LIMIT >> 20} MiB with all channels",
        "save it with chunks of 512 x 512",
    )


def check_held(array: ZarrArray, most: int) -> None:
    """Raise DataError where an array of more than ``most`` bytes announces a thousand chunks for each that it holds."""
    if prod(array.shape) * array.dtype.itemsize <= most:
        return
    held = 0
    for _ in _chunk_files(array.node.folder, len(array.shape)):
        held += 1
        if held * MISSING >= array.files:
            return
    raise odd_zarr(
        array.node.root,
        f"{size_text(array.shape)} pixels in {array.files:,} files of chunks, and the folder holds {held:,}",
        "the chunks that the metadata announce",
    )


def _chunk_files(folder: Path, depth: int) -> Iterator[str]:
    """Yield the files of chunks below a folder, without following links."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and depth:
                yield from _chunk_files(Path(entry.path), depth - 1)
            elif entry.is_file() and entry.name not in METADATA_FILES:
                yield entry.path


def _array_2(node: Node) -> ZarrArray:
    facts = node.metadata
    shape = lengths(node, facts.get("shape"), "shape")
    dtype = _dtype(node, facts.get("dtype"))
    coders = [*(facts.get("filters") or ()), *([facts["compressor"]] if facts.get("compressor") else ())]
    axes = tuple(range(len(shape)))
    return ZarrArray(
        node,
        shape,
        lengths(node, facts.get("chunks"), "chunks"),
        dtype,
        _fill(node, dtype, facts.get("fill_value")),
        separator=_separator(node, facts.get("dimension_separator", ".")),
        prefix="",
        order=axes[::-1] if facts.get("order") == "F" else axes,
        codecs=tuple(_codec(node, coder, "id") for coder in coders),
    )


def _array_3(node: Node) -> ZarrArray:
    facts = node.metadata
    shape = lengths(node, facts.get("shape"), "shape")
    grid = _settings(node, facts.get("chunk_grid"), "regular")
    chunks = lengths(node, grid.get("chunk_shape"), "chunk_shape")
    keys = typed(node, facts.get("chunk_key_encoding"), dict, "chunk_key_encoding")
    default = keys.get("name") == "default"
    separator = _settings(node, keys, str(keys.get("name"))).get("separator", "/" if default else ".")
    coders = typed(node, facts.get("codecs"), list, "codecs")
    codecs, shards = [_codec(node, coder, "name") for coder in coders], None
    if [codec.name for codec in codecs] == ["sharding_indexed"]:
        codecs, inner, shards = _sharding(node, codecs[0].settings, chunks)
        chunks = inner
    order, dtype = tuple(range(len(shape))), _dtype(node, facts.get("data_type"))
    while codecs and codecs[0].name == "transpose":
        moved = typed(node, codecs.pop(0).settings.get("order"), list, "order")
        order = tuple(order[typed(node, axis, int, "order")] for axis in moved)
    if not codecs or codecs[0].name != "bytes":
        raise odd_zarr(node.root, f"codecs {shown([codec.name for codec in codecs])}", "transpose, then bytes")
    little = codecs.pop(0).settings.get("endian", "little") != "big"
    dtype = dtype.newbyteorder("<" if little else ">")
    fill = _fill(node, dtype, facts.get("fill_value"))
    prefix = f"c{separator}" if default else ""
    separator = _separator(node, separator)
    return ZarrArray(node, shape, chunks, dtype, fill, separator, prefix, order, tuple(codecs), shards)


def _sharding(node: Node, settings: Settings, shard: tuple[int, ...]) -> tuple[list[Codec], tuple[int, ...], Shards]:
    """Return the codecs and the shape of the chunks of shards, and the shards."""
    inner = lengths(node, settings.get("chunk_shape"), "chunk_shape")
    index = [_codec(node, coder, "name").name for coder in typed(node, settings.get("index_codecs"), list, "codecs")]
    if len(inner) != len(shard) or any(whole % part for whole, part in zip(shard, inner, strict=True)):
        raise odd_zarr(node.root, f"shards of {size_text(shard)} with chunks of {size_text(inner)}", "whole chunks")
    if index not in (["bytes"], ["bytes", "crc32c"]):
        raise odd_zarr(node.root, f"a shard's index coded with {', '.join(index)}", "bytes and crc32c")
    counts = tuple(whole // part for whole, part in zip(shard, inner, strict=True))
    codecs = [_codec(node, coder, "name") for coder in typed(node, settings.get("codecs"), list, "codecs")]
    return codecs, inner, Shards(counts, settings.get("index_location", "end") != "start", len(index) > 1)


def _codec(node: Node, coder: Any, key: str) -> Codec:
    facts = {"name": coder} if isinstance(coder, str) and key == "name" else typed(node, coder, dict, "a codec")
    name = typed(node, facts.get(key), str, "a codec's name").removeprefix("numcodecs.")
    return Codec(name, facts if key == "id" else typed(node, facts.get("configuration") or {}, dict, "configuration"))


def _settings(node: Node, value: Any, name: str) -> Settings:
    facts = typed(node, value, dict, name)
    if facts.get("name") != name or name not in ("regular", "default", "v2"):
        raise odd_zarr(node.root, f"{shown(facts.get('name'))} in {node.name or 'its metadata'}", "regular chunks")
    return typed(node, facts.get("configuration") or {}, dict, "configuration")


def _separator(node: Node, value: Any) -> str:
    if value not in ("/", "."):
        raise odd_zarr(node.root, f"chunk names separated by {shown(value)}", "a point or a slash")
    return str(value)


def _dtype(node: Node, name: Any) -> np.dtype[Any]:
    """Return a type of numbers; names are those of NumPy in both formats. Raises DataError."""
    try:
        dtype = np.dtype(name) if isinstance(name, str) else np.dtype(object)
    except (TypeError, ValueError, SyntaxError):
        dtype = np.dtype(object)
    if dtype.kind not in "buif" or dtype.itemsize > 8 or dtype.shape:
        raise odd_zarr(node.root, f"pixels of type {shown(name)}", "whole numbers or floating point of 8 to 64 bits")
    return dtype


def _fill(node: Node, dtype: np.dtype[Any], value: Any) -> Any:
    """Return the value of missing chunks. Raises DataError where the pixel type has no such value."""
    try:
        if dtype.kind == "f" and isinstance(value, str):
            bits = bytes.fromhex(value[2:]) if value.startswith("0x") else b""
            return np.frombuffer(bits, dtype.newbyteorder(">"))[0] if bits else dtype.type(float(value))
        if value is None:
            value = 0
        if not isinstance(value, int | float) or (dtype.kind != "f" and dtype.type(value) != value):
            raise ValueError
        return dtype.type(value)
    except (ValueError, OverflowError, IndexError) as error:
        raise odd_zarr(node.root, f"a fill value {shown(value)} for {dtype.name}", "a pixel's value") from error
