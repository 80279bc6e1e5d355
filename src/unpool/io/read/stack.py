"""Stacks: files whose pages are pictures of one size, as slices of a volume or frames of a film are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.io.placement import Placement
from unpool.io.read.arrays import StoredArray, array_page_layout, is_arrays, page_header, page_pixels, stored_arrays
from unpool.io.read.formats import first_bytes, is_tiff, open_file
from unpool.io.read.raster import Header, Raster, check_size, decoding
from unpool.io.read.tiff import tiff_stack
from unpool.io.read.tiff_windows import tiff_page_reader

STACK_SUFFIXES = frozenset({".tif", ".tiff", ".npy", ".npz"})
"""Suffixes, in lower case, of files that may be stacks. MATLAB has slices along the last axis, as often as not."""


class Stack(NamedTuple):
    """An open file that can be read as a stack.

    Attributes
    ----------
    pages: number of pages, 2 or more.
    header: of a page.
    read: a function from the number of a page, from 0, to its pixels as stored.
    placement: place and size that the file states for all pages.
    """

    pages: int
    header: Header
    read: Callable[[int], Raster]
    placement: Placement = Placement()


@contextmanager
def open_stack(path: Path) -> Iterator[Stack | None]:
    """Open a file that has several pages; None where it has one page, or where no kind of stack is known.

    Raises
    ------
    DataError: the file is broken, or a page is too large.
    """
    if path.suffix.lower() not in STACK_SUFFIXES:
        yield None
        return
    with open_file(path) as file:
        if is_tiff(file, path):
            yield _tiff_stack(file, path)
        elif is_arrays(first_bytes(file)):
            arrays = stored_arrays(file, path)
            yield stack_of_array(arrays[0], path) if len(arrays) == 1 else None
        else:
            yield None


def _tiff_stack(file: BinaryIO, path: Path) -> Stack | None:
    found = tiff_stack(file, path)
    if found is None:
        return None
    return Stack(len(found.pages), found.picture.header, tiff_page_reader(file, path, found), found.picture.placement)


def stack_of_array(array: StoredArray, path: Path) -> Stack | None:
    """Return the stack in an array of three or four axes, which is read as a whole at the first page; None without."""
    layout = array_page_layout(array)
    if layout is None:
        return None
    header = page_header(array, layout)
    check_size(path, header)
    held: list[NDArray[Any]] = []

    def read(page: int) -> Raster:
        if not held:
            with decoding(path):
                held.append(array.read())
        return Raster(header, page_pixels(held[0], layout, page))

    return Stack(layout.pages, header, read)


def pages_of(path: Path) -> int:
    """Return the number of pages of a file that can be read as a stack; 1 for every other file, also a broken one."""
    try:
        with open_stack(path) as stack:
            return stack.pages if stack else 1
    except DataError:
        return 1
