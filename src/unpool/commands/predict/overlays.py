"""Overlays of predictions, drawn band by band: outlines and a light tint over the picture, and a legend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import ClassTable, Labels
from unpool.commands.predict.targets import Outputs
from unpool.io.read.windows import PictureFile
from unpool.io.write.images import write_image
from unpool.report.legend import legend_picture
from unpool.report.pictures import Levels, levels_of, overlay
from unpool.shapes import Region

STRIP = 64
"""Rows of an overlay that are drawn at a time."""

SAMPLED = 512
"""Rows and columns of each of the 16 parts of a large picture from which the levels of its overlay are taken."""

SMALL_SIDE, MOST_ENLARGED = 400, 8
"""Pixels of the longer side below which a picture is enlarged in its overlay, and the most times that it is."""

OUTLINE_SIDE, THICKEST = 700, 8
"""Pixels of the longer side for each pixel of an outline's width, and the widest outline."""

LONG = 4
"""Times that a side counts at most of the other one, so that outlines leave something of a long and narrow picture."""

_WHITE = 255


@dataclass(frozen=True)
class OverlayDrawing:
    """The drawing of one picture's overlay.

    A small picture is enlarged by a whole number, so that outlines hide less of it, and the legend lies below it. An
    overlay with a place on the earth, or in a TIFF, keeps the size of its picture, and its legend is a file of its own.
    """

    picture: PictureFile
    table: ClassTable
    outputs: Outputs

    @property
    def framed(self) -> bool:
        """Whether the overlay is enlarged and has the legend below it."""
        return self.outputs.legend is None

    @cached_property
    def times(self) -> int:
        """The number of pixels, down and across, that a pixel of the picture has in the overlay."""
        longest = max(self.picture.shape[:2])
        return max(1, min(MOST_ENLARGED, -(-SMALL_SIDE // longest))) if self.framed else 1

    @cached_property
    def outline(self) -> int:
        """The width of outlines on each side of a border, in pixels of the overlay."""
        shortest, longest = sorted(side * self.times for side in self.picture.shape[:2])
        side = min(longest, LONG * shortest)
        return max(1, self.times // 3, min(THICKEST, round(side / OUTLINE_SIDE)))

    @cached_property
    def legend(self) -> NDArray[np.uint8]:
        """The legend: uint8 (rows, columns, 3), as wide as the picture or wider."""
        rows, columns = (side * self.times for side in self.picture.shape[:2])
        text = max(12, min(60, max(rows, columns) // 50))
        return legend_picture(self.table.names, self.table.colours, columns, text)

    @property
    def columns(self) -> int:
        """The columns of the overlay; those beside the picture are white."""
        return self.legend.shape[1] if self.framed else self.picture.shape[1]

    @property
    def below(self) -> NDArray[np.uint8]:
        """The rows below the picture: uint8 (rows, columns, 3); none where the legend is a file of its own."""
        return self.legend if self.framed else self.legend[:0, : self.columns]

    @cached_property
    def _levels(self) -> Levels | None:
        """The grey levels between which the picture is stretched for display; a large one is judged by 16 parts."""
        rows, columns, _ = self.picture.shape
        regions = [(slice(0, rows), slice(0, columns))]
        if rows * columns > 16 * SAMPLED * SAMPLED:
            tops, lefts = (np.linspace(0, max(side - SAMPLED, 0), 4).astype(int) for side in (rows, columns))
            regions = [(slice(top, top + SAMPLED), slice(left, left + SAMPLED)) for top in tops for left in lefts]
        values = np.concatenate([self._values(region) for region in regions])
        return levels_of(values[:, np.newaxis]) if len(values) else None

    def _values(self, region: Region) -> NDArray[Any]:
        """Return the values of the pixels of a region that have data, (pixels, channels)."""
        pixels, absent = self.picture.window(*region)[..., :3], self.picture.absent(*region)
        return pixels.reshape(-1, pixels.shape[2]) if absent is None else pixels[~absent]

    def band(self, labels: Labels, top: int) -> NDArray[np.uint8]:
        """Draw a band strip by strip, because drawing takes 50 bytes a pixel: uint8 (rows, columns, 3).

        Parameters
        ----------
        labels: (rows, columns) class ids, or ``IGNORE_ID`` where the picture has no data.
        top: the number of the band's first row in the picture.
        """
        times, columns = self.times, labels.shape[1]
        drawn = np.full((len(labels) * times, self.columns, 3), _WHITE, dtype=np.uint8)
        height = max(1, min(STRIP, (1 << 20) // columns))
        for start in range(0, len(labels), height):
            stop = min(start + height, len(labels))
            # borders depend on the neighbouring rows
            first, last = max(start - self.outline, 0), min(stop + self.outline, len(labels))
            pixels = self.picture.window(slice(top + first, top + last), slice(0, columns))
            strip = overlay(
                _enlarged(pixels, times),
                _enlarged(labels[first:last], times),
                self.table.colours,
                self.outputs.opacity,
                self._levels,
                self.outline,
            )
            lines = slice(start * times, stop * times)
            drawn[lines, : columns * times] = strip[(start - first) * times :][: lines.stop - lines.start]
        return drawn

    def write_legend(self) -> None:
        """Write the legend where it is a file of its own. Raises RunError."""
        if self.outputs.legend is not None:
            write_image(self.outputs.legend, self.legend)


def _enlarged(pixels: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """Return an array of pixels or labels with each of them ``times`` x ``times``."""
    return pixels if times == 1 else pixels.repeat(times, axis=0).repeat(times, axis=1)
