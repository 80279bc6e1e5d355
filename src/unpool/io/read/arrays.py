"""Arrays in the files of NumPy and MATLAB: .npy, .npz and .mat; listed, and read as a picture where one is meant.

Nothing is unpickled: an array of objects could run code. What a file announces is compared with its size first.
"""

from __future__ import annotations

import ast
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.io.read.raster import MAX_BYTES, Header, Raster, broken, check_size, decoding
from unpool.wording import bytes_text, count_text, first_of, python_line, size_text

ARRAY_SUFFIXES = frozenset({".npy", ".npz", ".mat"})
"""Suffixes, in lower case, of files of arrays."""

NPY_MARK, ZIP_MARK, MAT_MARK, MAT_73_MARK = b"\x93NUMPY", b"PK\x03\x04", b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"
CHANNEL_AXIS = 16
"""The longest axis that is taken as channels, as of a TIFF's pages without a name."""

MOST_ARRAYS = 1000
"""The most arrays of a file that are listed."""

_MOST_HEAD = 10_000
"""The most bytes of the head of an array."""

_MOST_MAT = 1 << 28
"""The most bytes of a .mat file, inflated."""

_MOST_LISTED = 1 << 24
"""The most numbers of an array whose values are listed."""

_ONE = "one array in each file, or two that are named as picture and mask, such as image and label"


class StoredArray(NamedTuple):
    """An array of numbers in a file.

    Attributes
    ----------
    name: its name, such as ``label`` or ``groundTruth.Segmentation``; empty in a .npy file.
    access: how a program gets to it from what ``scipy.io.loadmat`` or ``numpy.load`` returns.
    read: returns it.
    """

    name: str
    access: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]

    def __str__(self) -> str:
        return f"{self.name or 'one array'} ({size_text(self.shape)}, {self.dtype})"


class ArrayLayout(NamedTuple):
    """The axes of a picture, or of a stack of pictures, in an array.

    Attributes
    ----------
    pages: number of pictures; 1 for a picture alone.
    channel_axis: the axis of the channels in a page; None where there is one channel without an axis of its own.
    """

    pages: int
    rows: int
    columns: int
    channels: int
    channel_axis: int | None


def is_arrays(start: bytes) -> bool:
    """Return whether a file begins as one of NumPy or MATLAB; a .npz is a zip archive."""
    return start.startswith((NPY_MARK, ZIP_MARK, MAT_MARK[:7]))


def stored_arrays(file: BinaryIO, path: Path) -> tuple[StoredArray, ...]:
    """List the arrays of numbers in a file that may be pictures or masks: those of two axes or more.

    Raises
    ------
    DataError: the file is broken, too large, or of a kind that is not opened here; the message says how to.
    """
    with decoding(path):
        start = file.read(128)
        file.seek(0)
        if start.startswith(NPY_MARK):
            return (_npy(file, path, ""),)
        if start.startswith(ZIP_MARK):
            return tuple(_npz(file, path))
        if start.startswith(MAT_73_MARK):
            raise _mat_73(path)
        return tuple(_mat(file, path))


def array_header(file: BinaryIO, path: Path) -> Header:
    """Read the header of the one picture in a file of arrays. Raises DataError where there is none, or several."""
    array = _only_array(file, path)
    return page_header(array, picture_layout(array, path))


def array_raster(file: BinaryIO, path: Path) -> Raster:
    """Decode the one picture in a file of arrays. Raises DataError where there is none, or several."""
    return picture_of_array(_only_array(file, path), path)


def picture_of_array(array: StoredArray, path: Path) -> Raster:
    """Read the picture in an array, while its file is open. Raises DataError where it is none, or too large."""
    layout = picture_layout(array, path)
    header = page_header(array, layout)
    check_size(path, header)
    with decoding(path):
        return Raster(header, page_pixels(array.read(), layout, 0))


def array_layout(array: StoredArray) -> ArrayLayout | None:
    """Return how an array holds a picture, or a stack of pictures of one channel or of several; None where unclear.

    An axis of at most ``CHANNEL_AXIS`` is the channels, where it is the last or the first, and the others are longer.
    A third long axis in front is a stack.
    """
    shape = array.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 2:
        return ArrayLayout(1, shape[0], shape[1], 1, None)
    if len(shape) == 3:
        return _three(*shape)
    if len(shape) == 4:
        inner = _three(*shape[1:])
        return inner._replace(pages=shape[0]) if inner and inner.pages == 1 else None
    return None


def array_page_layout(array: StoredArray) -> ArrayLayout | None:
    """Return how an array holds a stack; None where it does not. A short first axis is of pages here, not channels."""
    shape = array.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 3 and (inner := _three(*shape)) and inner.channel_axis != 2 and shape[0] > 1:
        return ArrayLayout(shape[0], shape[1], shape[2], 1, None)
    if len(shape) == 4 and (inner := _three(*shape[1:])) and inner.pages == 1:
        return inner._replace(pages=shape[0])
    return None


def _three(first: int, second: int, last: int) -> ArrayLayout | None:
    if min(first, second, last) < 1:
        return None
    if last <= CHANNEL_AXIS < first or last == 1 or (last in (3, 4) and first > CHANNEL_AXIS // 2):
        return ArrayLayout(1, first, second, last, 2)
    if first <= CHANNEL_AXIS < last:
        return ArrayLayout(1, second, last, first, 0)
    if min(first, second, last) > CHANNEL_AXIS and not first == second != last:
        return ArrayLayout(first, second, last, 1, None)
    return None  # slices along the last axis, or an axis too short to tell


def picture_layout(array: StoredArray, path: Path) -> ArrayLayout:
    """Return the layout of an array that holds one picture. Raises DataError where it does not."""
    layout = array_layout(array)
    if layout is None or layout.pages > 1:
        raise DataError(
            f"{path}: {array} is no picture of rows, columns and up to {CHANNEL_AXIS} channels",
            "one picture in each array; a stack of slices needs a mask of as many slices",
            "save each picture as an array of its own, or as a PNG or TIFF",
        )
    return layout


def page_pixels(array: NDArray[Any], layout: ArrayLayout, page: int) -> NDArray[Any]:
    """Return the pixels (rows, columns[, channels]) of one picture of an array."""
    inner = 2 if layout.channel_axis is None else 3  # axes of a page
    pages = array.reshape(-1, *array.shape[-inner:])
    pixels: NDArray[Any] = pages[page]
    if layout.channel_axis is not None:
        pixels = np.moveaxis(pixels, layout.channel_axis, -1)
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def page_header(array: StoredArray, layout: ArrayLayout) -> Header:
    """Return the header of a picture, or of a page of a stack, in an array."""
    dtype = array.dtype
    form = "rgb" if layout.channels == 3 else "channels"
    if layout.channels == 1:
        form = "one-bit" if dtype == np.bool_ else "grey"
    bits = 1 if dtype == np.bool_ else 8 * dtype.itemsize
    return Header(layout.rows, layout.columns, layout.channels, dtype.newbyteorder("=").name, bits, form)


def _only_array(file: BinaryIO, path: Path) -> StoredArray:
    arrays = stored_arrays(file, path)
    if not arrays:
        raise DataError(
            f"{path}: no array of numbers with rows and columns",
            "an array (rows, columns) or (rows, columns, channels)",
            "move the file out of the folder, or save the picture as a PNG or TIFF",
        )
    if len(arrays) > 1:
        raise several_arrays(path, arrays)
    return arrays[0]


def several_arrays(path: Path, arrays: Sequence[StoredArray]) -> DataError:
    """Return the error of a file with several arrays, which lists them and shows how to save one of them."""
    loader, call = ("scipy.io", "scipy.io.loadmat") if path.suffix.lower() == ".mat" else ("numpy", "numpy.load")
    code = (
        f"import glob, {loader}, sys, tifffile; [tifffile.imwrite(f[:-4] + '.tif', a{{access}}) for f in "
        f"glob.glob(glob.escape(sys.argv[1]) + '/**/*{path.suffix}', recursive=True) for a in [{call}(f)] "
        "if {key} in a]"
    )
    keys = [each.access[1:].partition("]")[0] for each in arrays[:2]]
    codes = [code.format(access=each.access, key=key) for each, key in zip(arrays[:2], keys, strict=True)]
    lines = [f"for {each.name}: {python_line(line, path.parent)}" for each, line in zip(arrays, codes, strict=False)]
    return DataError(
        f"{path}: {count_text(len(arrays), 'array')}: {first_of([_with_values(array) for array in arrays], 6)}",
        _ONE,
        f"save the array that you mean as a TIFF beside each file; {'; '.join(lines)}",
    )


def _with_values(array: StoredArray) -> str:
    """Return an array in words, with its values where they are few."""
    if array.dtype.kind not in "bui" or np.prod(array.shape, dtype=object) > _MOST_LISTED:
        return str(array)
    values = np.unique(array.read())
    return (
        f"{array} with the values {first_of([str(value) for value in values], 8)}" if len(values) <= 8 else str(array)
    )


def _npy(file: BinaryIO, path: Path, name: str) -> StoredArray:
    """Return the array whose file begins here."""
    shape, fortran, dtype = _npy_head(file, path)

    def read() -> NDArray[Any]:
        count = int(np.prod(shape, dtype=object))
        if count * dtype.itemsize > MAX_BYTES:
            raise DataError(
                f"{path}: an array of {bytes_text(count * dtype.itemsize)}",
                f"at most {bytes_text(MAX_BYTES)} in an array",
                "save each picture as an array of its own",
            )
        data = file.read(count * dtype.itemsize)
        if len(data) != count * dtype.itemsize:
            raise broken(path, f"it has {len(data):,} of {count * dtype.itemsize:,} bytes of numbers")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")

    return StoredArray(name, f"[{name!r}]" if name else "", shape, dtype, read)


def _npy_head(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the head of an array (NumPy's NEP 1): its shape, whether columns come first, and its type."""
    start = file.read(8)
    if start[:6] != NPY_MARK:
        raise broken(path, "an array without NumPy's first bytes")
    size = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(size), "little")
    if length > _MOST_HEAD:
        raise broken(path, f"a head of {length:,} bytes")
    head = ast.literal_eval(file.read(length).decode("utf-8"))
    kind = head["descr"]
    if not isinstance(kind, str) or np.dtype(kind).kind not in "buif":
        what = "Python objects, which may run code and are not opened" if "O" in str(kind) else f"the type {kind}"
        raise DataError(
            f"{path}: an array of {what}",
            "an array of numbers",
            "save the masks or pictures as PNG or TIFF in the program that wrote the file; in Cellpose: File, Save "
            "masks as PNG",
        )
    shape = tuple(int(side) for side in head["shape"])
    if min(shape, default=1) < 0:
        raise broken(path, f"an array of {size_text(shape)}")
    return shape, bool(head["fortran_order"]), np.dtype(kind)


def _npz(file: BinaryIO, path: Path) -> Iterator[StoredArray]:
    archive = zipfile.ZipFile(file)
    names = [entry.filename for entry in archive.infolist() if entry.filename.endswith(".npy")]
    if not names:
        raise DataError(
            f"{path}: a zip archive without arrays", "arrays of NumPy, or pictures in a folder", "unpack the archive"
        )
    for name in names[:MOST_ARRAYS]:
        with archive.open(name) as member:
            try:
                array = _npy(member, path, name[:-4])  # type: ignore[arg-type]
            except DataError:
                if len(names) == 1:
                    raise
                continue
        if len(array.shape) >= 2:
            yield array._replace(read=_member_reader(archive, path, name))


def _member_reader(archive: zipfile.ZipFile, path: Path, name: str) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        with archive.open(name) as member:
            return _npy(member, path, "").read()  # type: ignore[arg-type]

    return read


def _mat_73(path: Path) -> DataError:
    code = "import h5py, sys; h5py.File(sys.argv[1]).visititems(lambda name, each: print(name, each))"
    return DataError(
        f"{path}: a MATLAB file of version 7.3, which is HDF5 and is not read",
        "a MATLAB file of version 7, or PNG or TIFF files",
        f"in MATLAB, save it again with save(..., '-v7'); or list its arrays: pip install h5py, then "
        f"{python_line(code, path)}",
    )


def _mat(file: BinaryIO, path: Path) -> Iterator[StoredArray]:
    from scipy.io import loadmat  # noqa: PLC0415 - it takes a while, and few need it

    plain = BytesIO(_inflated_mat(file, path))
    for name, value in loadmat(plain).items():
        if not name.startswith("__"):
            yield from _numbers(name, f"[{name!r}]", value, 8)


def _numbers(name: str, access: str, value: Any, depth: int) -> Iterator[StoredArray]:
    """Yield the arrays of numbers in a value of a .mat file, also within structs and cells."""
    if not isinstance(value, np.ndarray) or not depth or not value.size:
        return
    if value.dtype.names:
        for place in list(np.ndindex(value.shape))[:CHANNEL_AXIS]:
            for field in value.dtype.names:
                inner = f"{access}[{field!r}][{','.join(map(str, place))}]"
                yield from _numbers(f"{name}.{field}", inner, value[field][place], depth - 1)
    elif value.dtype == object:
        for number, place in enumerate(list(np.ndindex(value.shape))[:CHANNEL_AXIS], 1):
            inner = f"{access}[{','.join(map(str, place))}]"
            shown = name if value.size == 1 else f"{name}{{{number}}}"
            yield from _numbers(shown, inner, value[place], depth - 1)
    elif value.dtype.kind in "buif" and value.ndim >= 2 and min(value.shape[:2]) > 1:
        yield StoredArray(name, access, value.shape, value.dtype, lambda: value)


def _inflated_mat(file: BinaryIO, path: Path) -> bytes:
    """Return a .mat file without compression, so that nothing in it inflates later (MAT-file format, version 5)."""
    head = file.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
    if order is None:
        raise broken(path, "its head states no byte order")
    plain, left = bytearray(head), _MOST_MAT
    while len(tag := file.read(8)) == 8:
        kind, size = struct.unpack(order + "II", tag)
        data = file.read(min(size, left))
        if len(data) != size:
            raise broken(path, f"an element of {bytes_text(size)} in a file that ends before, or too large")
        if kind == 15:
            inflater = zlib.decompressobj()
            data = inflater.decompress(data, left)
            if not inflater.eof:
                raise broken(path, f"an element that is cut off, or inflates to more than {bytes_text(left)}")
        else:
            data = tag + data
        plain += data
        left -= len(data)
    return bytes(plain)
