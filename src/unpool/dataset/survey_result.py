"""The result of a survey: the folder, its class table, its split, and every finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from unpool.class_table import ClassTable
from unpool.dataset.findings import Finding
from unpool.dataset.pairing.folder import Folder
from unpool.dataset.picture_facts import PictureFacts
from unpool.dataset.split import Split


@dataclass(frozen=True)
class Survey:
    """The content of a folder, and everything that is wrong in it.

    Attributes
    ----------
    pictures: facts of the usable pairs, by pair name.
    channels: image channels of a network for this set; 3 where grey and RGB are mixed.
    findings: errors first, then warnings, then notes.
    seconds: duration of the survey.
    fingerprint: sha256 over all names and file contents, in hex.
    class_file: digest of the class names in the folder's file, in hex; None without one.
    """

    folder: Folder
    table: ClassTable
    split: Split
    pictures: Mapping[str, PictureFacts]
    channels: int
    findings: tuple[Finding, ...]
    seconds: float
    fingerprint: str
    class_file: str | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make training or testing impossible."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def class_pixels(self, names: Iterable[str]) -> tuple[int, ...]:
        """Count the pixels of each class over some pairs; pairs that are not usable have none."""
        counts = [self.pictures[name].class_pixels for name in names if name in self.pictures]
        return tuple(map(sum, zip(*counts, strict=True))) if counts else (0,) * len(self.table)

    def pixels_with_class(self, names: Iterable[str]) -> tuple[int, ...]:
        """Count, for each class, all pixels of those of some pictures that show it; ignored pixels count too."""
        facts = [self.pictures[name] for name in names if name in self.pictures]
        return tuple(
            sum(fact.rows * fact.columns for fact in facts if fact.class_pixels[k]) for k in range(len(self.table))
        )

    def class_shares(self, names: Iterable[str]) -> tuple[float, ...]:
        """Return the share of each class in the counted pixels of some pairs; all 0 where no pixel counts."""
        pixels = self.class_pixels(names)
        return tuple(count / max(sum(pixels), 1) for count in pixels)

    def to_json(self) -> dict[str, Any]:
        """Return the survey as JSON data."""
        return {
            "root": str(self.folder.root),
            "layout": self.folder.layout,
            "fingerprint": self.fingerprint,
            "channels": self.channels,
            "seconds": round(self.seconds, 3),
            "table": self.table.to_card(),
            "split": self.split.to_json(),
            "pairs": len(self.folder.pairs),
            "orphan_images": [str(path) for path in self.folder.unpaired_images],
            "orphan_masks": [str(path) for path in self.folder.unpaired_masks],
            "pictures": [asdict(facts) for facts in self.pictures.values()],
            "findings": [asdict(finding) for finding in self.findings],
        }
