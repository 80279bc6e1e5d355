"""The text of a small file that a person wrote: UTF-8, or UTF-16 as Windows' Notepad saves it."""

from __future__ import annotations

import codecs
from pathlib import Path

from unpool.errors import DataError
from unpool.wording import bytes_text

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, most_bytes: int) -> str:
    """Read a text file.

    Parameters
    ----------
    most_bytes: size above which the file is refused.

    Raises
    ------
    DataError: the file is too large, is no text in UTF-8 or UTF-16, or cannot be read.
    """
    try:
        if (size := path.stat().st_size) > most_bytes:
            raise DataError(
                f"{path} is larger ({bytes_text(size)}) than a text that a person wrote",
                f"at most {bytes_text(most_bytes)}",
                "move it out of the folder, if it is no such file",
            )
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror or error}", "a text file that can be read", "check the file's rights"
        ) from error
    try:
        return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}: line {line} has bytes that are no UTF-8 letters",
            "a text in UTF-8",
            "open it in an editor and save it with the encoding UTF-8",
        ) from error
