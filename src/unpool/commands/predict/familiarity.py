"""How the predicted pictures differ from those that the model saw, from their windows as they are read."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from unpool.appearance.comparison import UnlikeKind, difference_notes, differences
from unpool.appearance.picture import Appearance, appearance_of
from unpool.appearance.seen import SeenPictures
from unpool.io.read.windows import PictureFile
from unpool.processes import Processes
from unpool.shapes import Region, Size


class WatchedPicture:
    """A picture whose windows are looked at when they are read, so that nothing is decoded for it alone.

    Parameters
    ----------
    compared: whether the picture will be compared; otherwise its windows are not looked at.
    """

    def __init__(self, picture: PictureFile, compared: bool) -> None:
        self._picture, self._compared, self._lock = picture, compared, Lock()
        self.appearance: Appearance | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns and channels."""
        return self._picture.shape

    @property
    def block(self) -> Size:
        """Rows and columns that are decoded together."""
        return self._picture.block

    def __getitem__(self, region: Region) -> NDArray[Any]:
        """Return a window."""
        pixels = self._picture[region]
        if self._compared and pixels.size:
            found = appearance_of(pixels, self._picture.info.missing)
            with self._lock:
                self.appearance = self.appearance.joined(found) if self.appearance else found
        return pixels


class Familiarity:
    """The differences between the predicted pictures and those that the model saw.

    Parameters
    ----------
    seen: None where it is not known; then there are no differences.
    """

    def __init__(self, seen: SeenPictures | None) -> None:
        self._seen = seen
        self._found: dict[str, dict[UnlikeKind, str]] = {}
        self._kinds: set[UnlikeKind] = set()
        self._noted: set[str] = set()

    def watched(self, picture: PictureFile) -> WatchedPicture:
        """Return a picture whose windows are looked at if it is known what the model saw."""
        return WatchedPicture(picture, self._seen is not None)

    def new_notes(self, source: Path, picture: WatchedPicture) -> list[str]:
        """Compare a picture; return notes on the kinds of difference that no picture had before it."""
        if self._seen is None or picture.appearance is None:
            return []
        found = differences(picture.appearance, self._seen)
        self._found[str(source)] = found
        notes = difference_notes({str(source): {kind: each for kind, each in found.items() if kind not in self._kinds}})
        self._kinds |= set(found)
        self._noted |= set(notes)
        return notes

    def last_notes(self, processes: Processes) -> tuple[list[str], list[str]]:
        """Return a note on each kind of difference, for the pictures of all processes, and those notes that are new."""
        together: dict[str, dict[UnlikeKind, str]] = {}
        for rank in range(processes.count):
            for name, found in json.loads(processes.agree_text(json.dumps(self._found), rank)).items():
                together.setdefault(name, {}).update(found)
        notes = difference_notes(together)
        return notes, [note for note in notes if note not in self._noted]
