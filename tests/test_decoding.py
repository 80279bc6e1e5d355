"""One place for all errors of decoders, and the bound of a picture in bytes of memory."""

import warnings
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest

from unpool.errors import DataError, UsageError
from unpool.io.read.raster import MAX_BYTES, Header, check_size, decoding

PATH = Path("a.tif")


class OddError(Exception):
    """An error of a decoder that nobody knows yet."""


def test_any_error_of_a_decoder_becomes_one_with_the_name_of_the_file() -> None:
    for error in (
        OddError("first\nsecond"),
        ImportError("no module"),
        KeyError(),
        StopIteration(),
        RecursionError("r"),
    ):
        refused = pytest.raises(DataError, match=r"a\.tif: cannot be read as a picture \(tile 3: ")
        with refused as raised, decoding(PATH, "tile 3"):
            raise error
        assert raised.value.__cause__ is error
        assert "second" not in str(raised.value)
    with pytest.raises(DataError, match=r"a\.tif: too large for this machine's memory"), decoding(PATH):
        raise MemoryError


def test_own_errors_and_interruptions_pass() -> None:
    for error in (UsageError("found", "expected", "repair"), KeyboardInterrupt(), SystemExit(2)):
        with pytest.raises(type(error)) as raised, decoding(PATH):
            raise error
        assert raised.value is error


def warn_as(module: str) -> None:
    warnings.warn_explicit("odd", UserWarning, "file.py", 1, module)


def test_libraries_do_not_warn_while_they_decode() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with decoding(PATH):
            warn_as("PIL.PngImagePlugin")
            np.array([3e38], np.float32).astype(np.float16) + np.array([np.inf], np.float16)
            warn_as("somebody.else")
        warn_as("PIL.PngImagePlugin")
    assert [(str(each.message), each.filename) for each in shown] == [("odd", "file.py")] * 2


def test_filters_are_as_before_when_threads_overlap() -> None:
    before, barrier = list(warnings.filters), Barrier(2, timeout=10)

    def first() -> None:
        with decoding(PATH):
            barrier.wait()
            barrier.wait()

    def second() -> None:
        barrier.wait()
        with decoding(PATH):
            barrier.wait()

    threads = [Thread(target=first), Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


@pytest.mark.parametrize(
    ("channels", "dtype", "form"), [(1, "uint8", "grey"), (4, "uint16", "rgba"), (1, "float64", "grey")]
)
def test_the_bound_is_in_bytes(channels: int, dtype: str, form: str) -> None:
    rows = MAX_BYTES // 1000 // (channels * np.dtype(dtype).itemsize)
    check_size(PATH, Header(rows, 1000, channels, dtype, 8, form))
    with pytest.raises(DataError, match=rf"{rows + 1} x 1000 pixels with {channels} channels? of {dtype} take 1\.0 GB"):
        check_size(PATH, Header(rows + 1, 1000, channels, dtype, 8, form))


def test_a_palette_takes_the_memory_of_its_colours() -> None:
    with pytest.raises(DataError, match=r"take 1\.2 GB"):
        check_size(PATH, Header(20_000, 20_000, 1, "uint8", 8, "palette"))
    check_size(PATH, Header(20_000, 20_000, 1, "uint8", 8, "palette"), (10_000, 10_000))


def test_no_rows_columns_or_channels() -> None:
    for rows, columns, channels in ((0, 5, 1), (5, -1, 1), (5, 5, 0)):
        with pytest.raises(DataError, match=f"{rows} x {columns} pixels"):
            check_size(PATH, Header(rows, columns, channels, "uint8", 8, "grey"))
