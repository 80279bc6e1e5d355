"""What a model saw: the ranges, the colours and the missing-data values of its training pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from unpool.appearance.picture import Appearance


@dataclass(frozen=True)
class SeenRange:
    """The values of the training pictures of one pixel type, without far values.

    Attributes
    ----------
    least, largest: over all pictures.
    short, long: the shortest and the longest reach of a picture, see ``Appearance.reach``.
    far: the values far from all others that some picture had, such as -9999 for missing data.
    """

    least: float
    largest: float
    short: float
    long: float
    far: tuple[float, ...] = ()


@dataclass(frozen=True)
class SeenPictures:
    """The appearance of the pictures that a model was trained on.

    Attributes
    ----------
    ranges: the values, by pixel type; a type has none where each of its pictures has one value alone.
    colours: the least and the greatest ``Appearance.colour`` of a picture; None where the pictures have neither one
        channel nor three.
    """

    ranges: Mapping[str, SeenRange]
    colours: tuple[float, float] | None

    @classmethod
    def of(cls, pictures: Iterable[Appearance]) -> SeenPictures:
        """Return what a model sees that is trained on some pictures."""
        pictures = list(pictures)
        ranges: dict[str, SeenRange] = {}
        for dtype in sorted({picture.dtype for picture in pictures}):
            of_type = [picture for picture in pictures if picture.dtype == dtype]
            known = [picture.range for picture in of_type if picture.range]
            reaches = [picture.reach for picture in of_type if picture.reach]
            far = {value for picture in of_type for value, _ in picture.far_values}
            if known:
                least, largest = min(low for low, _ in known), max(high for _, high in known)
                ranges[dtype] = SeenRange(least, largest, min(reaches), max(reaches), tuple(sorted(far)))
        colours = [picture.colour for picture in pictures if picture.colour is not None]
        return cls(ranges, (min(colours), max(colours)) if colours else None)

    def together(self, other: SeenPictures) -> SeenPictures:
        """Return what two models have seen together."""
        ranges = {**self.ranges, **other.ranges}
        for dtype in self.ranges.keys() & other.ranges.keys():
            one, two = self.ranges[dtype], other.ranges[dtype]
            ranges[dtype] = SeenRange(
                least=min(one.least, two.least),
                largest=max(one.largest, two.largest),
                short=min(one.short, two.short),
                long=max(one.long, two.long),
                far=tuple(sorted({*one.far, *two.far})),
            )
        colours = [each for each in (self.colours, other.colours) if each is not None]
        least, greatest = zip(*colours, strict=True) if colours else ((), ())
        return SeenPictures(ranges, (min(least), max(greatest)) if colours else None)

    def to_card(self) -> dict[str, Any]:
        """Return the facts as JSON data, which ``SeenPictures.from_card`` reads."""
        return {
            "ranges": {dtype: {**asdict(each), "far": list(each.far)} for dtype, each in self.ranges.items()},
            "colours": list(self.colours) if self.colours else None,
        }

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> SeenPictures:
        """Read JSON data of ``SeenPictures.to_card``. Raises KeyError, TypeError or ValueError for other data."""
        ranges = {
            str(dtype): SeenRange(
                least=float(each["least"]),
                largest=float(each["largest"]),
                short=float(each["short"]),
                long=float(each["long"]),
                far=tuple(map(float, each["far"])),
            )
            for dtype, each in card["ranges"].items()
        }
        colours = None
        if card["colours"] is not None:
            least, greatest = map(float, card["colours"])
            colours = least, greatest
        numbers = [n for each in ranges.values() for n in (each.least, each.largest, each.short, each.long, *each.far)]
        if not all(map(math.isfinite, (*numbers, *(colours or ())))) or any(r.short <= 0 for r in ranges.values()):
            raise ValueError("the appearance of the training pictures is not finite, or has no range")
        return cls(ranges, colours)
