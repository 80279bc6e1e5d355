"""The record a survey leaves: the folder, its table, its split, and every finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from unpool.class_table import ClassTable
from unpool.dataset.findings import Finding
from unpool.dataset.pairing.folder import Folder
from unpool.dataset.split import Split


@dataclass(frozen=True)
class PictureFacts:
    """One sound pair.

    Attributes
    ----------
    rows, columns, channels, dtype, form: of the picture as ``read_image`` returns it.
    class_pixels: pixels of each of the K classes; ``ignored_pixels`` count nowhere.
    objects: how many objects a mask of object numbers has; None for other masks.
    digest: sha256 of the decoded picture, in hex; equal for equal pixels.
    """

    name: str
    rows: int
    columns: int
    channels: int
    dtype: str
    form: str
    class_pixels: tuple[int, ...]
    ignored_pixels: int
    objects: int | None
    digest: str


@dataclass(frozen=True)
class Survey:
    """What is in a folder, and what is wrong with it.

    Attributes
    ----------
    pictures: facts of the pairs that could be read, by pair name.
    channels: what a network will take: 3 where greys and RGB are mixed.
    findings: the gravest first.
    seconds: how long the survey took.
    fingerprint: sha256 over all names and file contents, in hex.
    """

    folder: Folder
    table: ClassTable
    split: Split
    pictures: Mapping[str, PictureFacts]
    channels: int
    findings: tuple[Finding, ...]
    seconds: float
    fingerprint: str

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make training or testing impossible."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def class_pixels(self, names: Iterable[str]) -> tuple[int, ...]:
        """Pixels of each class over some pairs; pairs that could not be read have none."""
        counts = [self.pictures[name].class_pixels for name in names if name in self.pictures]
        return tuple(map(sum, zip(*counts, strict=True))) if counts else (0,) * len(self.table)

    def pixels_with_class(self, names: Iterable[str]) -> tuple[int, ...]:
        """All pixels, ignored ones too, of those of some pictures in which each class occurs."""
        found = [self.pictures[name] for name in names if name in self.pictures]
        return tuple(
            sum(facts.rows * facts.columns for facts in found if facts.class_pixels[k]) for k in range(len(self.table))
        )

    def class_shares(self, names: Iterable[str]) -> tuple[float, ...]:
        """Share of each class in the counted pixels of some pairs; all 0 where none are counted."""
        pixels = self.class_pixels(names)
        return tuple(count / max(sum(pixels), 1) for count in pixels)

    def to_json(self) -> dict[str, Any]:
        """The survey as plain data."""
        return {
            "root": str(self.folder.root),
            "layout": self.folder.layout,
            "fingerprint": self.fingerprint,
            "channels": self.channels,
            "seconds": round(self.seconds, 3),
            "table": self.table.to_card(),
            "split": self.split.to_json(),
            "pairs": len(self.folder.pairs),
            "orphan_images": [str(path) for path in self.folder.orphan_images],
            "orphan_masks": [str(path) for path in self.folder.orphan_masks],
            "pictures": [asdict(facts) for facts in self.pictures.values()],
            "findings": [asdict(finding) for finding in self.findings],
        }
