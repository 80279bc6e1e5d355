"""The files under a folder, without files that unpool wrote."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unpool.errors import DataError
from unpool.io.outputs import OUTPUT_MARK, is_marked, written_names
from unpool.io.read.images import IMAGE_SUFFIXES
from unpool.wording import count_text, decodable, first_of

JUNK = frozenset(
    {"thumbs.db", "desktop.ini", "__macosx", "lost+found", "$recycle.bin", "system volume information", "@eadir"}
)
"""Names, in lower case, of files and folders that operating systems leave behind."""


@dataclass(frozen=True)
class FoundFiles:
    """The files under a folder.

    Attributes
    ----------
    files: sorted within each folder.
    left_out: the number of picture files that each output mark leaves out.
    """

    files: tuple[Path, ...]
    left_out: Mapping[Path, int]

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The files that are pictures by their suffix."""
        return tuple(path for path in self.files if _is_picture(path))

    def left_out_text(self) -> str:
        """Return a sentence on the files that are left out; an empty text where there are none."""
        if not self.left_out:
            return ""
        marks = first_of([decodable(str(mark)) for mark in self.left_out])
        count = count_text(sum(self.left_out.values()), "picture file")
        return f"left out, because unpool wrote it there: {count} (see {marks})"


def find_files(root: Path) -> FoundFiles:
    """Find all files under a folder.

    Links are followed; each folder is visited once. Hidden files and files that operating systems leave behind are
    left out. So are the files that an output mark names, see ``unpool.io.outputs``; but the mark of ``root`` itself
    counts only where other pictures remain, and never for the whole folder.

    Raises
    ------
    DataError: a folder cannot be read, or the name of a picture has bytes that are no UTF-8.
    """
    marks = _Marks(root)
    files = list(_files(root, marks))
    pictures = [path for path in files if _is_picture(path)]
    for path in pictures:
        require_letters(path.relative_to(root), root)
    hidden = {path: mark for path in files if (mark := marks.of(path)) is not None}
    if all(path in hidden for path in pictures):
        hidden = {path: mark for path, mark in hidden.items() if mark.parent != root}
    left_out = Counter(hidden[path] for path in pictures if path in hidden)
    return FoundFiles(tuple(path for path in files if path not in hidden), left_out)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


@dataclass
class _Marks:
    """The output marks in the folders of a search."""

    root: Path
    files: dict[Path, Path] = field(default_factory=dict)
    folders: dict[Path, Path] = field(default_factory=dict)

    def read(self, folder: Path) -> None:
        names, mark = written_names(folder), folder / OUTPUT_MARK
        self.files |= {folder / name: mark for name in names if not name.endswith("/")}
        self.folders |= {folder / name: mark for name in names if name.endswith("/")}
        if not names and folder != self.root:
            self.folders[folder] = mark

    def of(self, picture: Path) -> Path | None:
        """Return the mark that leaves a picture out."""
        inside = (self.folders[folder] for folder in picture.parents if folder in self.folders)
        return self.files.get(picture) or next(inside, None)


def _files(root: Path, marks: _Marks) -> Iterator[Path]:
    """Yield all files under a folder that are no junk, and read the marks on the way."""
    visited: set[str] = set()
    for here, folders, names in os.walk(root, followlinks=True, onerror=_unreadable):
        real = os.path.realpath(here)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        if is_marked(Path(here)):
            marks.read(Path(here))
        folders[:] = sorted(name for name in folders if not is_junk(name))
        yield from (Path(here, name) for name in sorted(names) if not is_junk(name))


def _unreadable(error: OSError) -> None:
    raise DataError(
        f"{decodable(str(error.filename))}: the folder cannot be read ({error.strerror})",
        "a folder whose files can be listed",
        "give yourself the right to read it, or move it elsewhere",
    ) from error


def is_junk(name: str) -> bool:
    """Return whether a file or folder is hidden, or left behind by an operating system."""
    return name.startswith(".") or name.lower() in JUNK


def require_letters(name: Path, where: Path) -> None:
    """Raise DataError where the name of a picture, in the folder ``where``, has bytes that are no UTF-8."""
    if decodable(str(name)) != str(name):
        raise DataError(
            f"{decodable(str(where))}: a file name with bytes that are no UTF-8 letters: {decodable(str(name))}",
            "file names in UTF-8",
            "rename the file, and its mask or picture alike",
        )
