"""The likely meaning of classes without names: their share, form and brightness, and options that name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from unpool.class_table import IGNORE_ID, ClassTable, flatten_value, value_text
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.commands import classes_option
from unpool.dataset.mask_values.tally import MaskTally

_MOST_CLASSES = 8
"""Most classes whose meaning a person reads."""
_BACKGROUND = 0.5
"""Share of the pixels and of the edges of the pictures from which a class is probably the background."""
_THIN = 4.0
"""Width in pixels up to which a class is made of lines or spots."""
_LARGE = 0.25
"""Share of a picture's side from which a region is large."""
_BRIGHT = 0.3
"""Contrast, in standard deviations of a picture, from which a class is brighter or darker than the rest."""
_BACKGROUND_NAMES = ("background", "bg", "void", "other", "none", "unlabel", "ignore", "empty", "nothing", "ground")


class _Look(NamedTuple):
    """How one class looks in the masks and pictures of a set.

    Attributes
    ----------
    share, edge: of all pixels, and of the pixels along the edges of the pictures.
    run: mean length of its runs along rows and columns, in pixels.
    side: mean side of the pictures, in pixels.
    contrast: see ``MaskTally.contrast``; None where it is not known.
    """

    share: float
    edge: float
    run: float
    side: float
    contrast: float | None

    @property
    def background(self) -> bool:
        """Whether it is probably the background."""
        return self.share >= _BACKGROUND and self.edge >= _BACKGROUND

    def words(self) -> str:
        """Return the look in words."""
        parts = [f"{self.share:.1%} of the pixels"]
        if self.background:
            parts.append("most of the edges of the pictures")
        elif self.run <= 2 * _THIN:
            parts.append(f"lines or spots about {max(self.run / 2, 1):.0f} pixels wide")
        elif self.run >= _LARGE * self.side:
            parts.append("large regions")
        else:
            parts.append(f"regions of about {self.run:.0f} pixels across")
        if self.contrast is not None and abs(self.contrast) >= _BRIGHT:
            parts.append("brighter than the rest" if self.contrast > 0 else "darker than the rest")
        return ", ".join(parts)


def class_meaning(table: ClassTable, tallies: Sequence[MaskTally]) -> list[Finding]:
    """Return the note on classes without names: how each looks, and options that name them.

    Parameters
    ----------
    tallies: of the masks that the table reads.
    """
    values = [given[0] for given in table.values]
    if table.kind == "instances" or len(values) > _MOST_CLASSES:
        return []
    looks = [_look(flatten_value(value), _readable(table, tallies)) for value in values]
    texts = list(map(value_text, values))
    backgrounds = [k for k, look in enumerate(looks) if look and look.background]
    names = [f"class{text.removeprefix('#')}" for text in texts]
    if len(values) == 2:
        names = ["object", "object"] if backgrounds else names
    for k in backgrounds:
        names[k] = "background"
    options = [*zip(texts, names, strict=True), *((text, "ignore") for text in table.value_texts(IGNORE_ID))]
    shown = "; ".join(f"{text}: {look.words()}" for text, look in zip(texts, looks, strict=True) if look)
    return [
        Finding(
            "note",
            "unnamed-classes",
            f"the classes have no names of their own; {shown}",
            "",
            f"look at a mask beside its picture, and give names, with your own words in place of these: "
            f"{classes_option(options)}",
        )
    ]


def missing_background(table: ClassTable, tallies: Sequence[MaskTally]) -> list[Finding]:
    """Return the warning of names by order of which none is a background, where the first covers nearly everything.

    Such a list may have the objects alone, so that every name is one value too low.
    """
    if any(word in name.lower() for name in table.names for word in _BACKGROUND_NAMES) or table.values[0][0] != 0:
        return []
    look = _look(0, _readable(table, tallies))
    if look is None or not look.background:
        return []
    return [
        Finding(
            "warning",
            "background-unnamed",
            f"by their order the names begin with {table.names[0]} for the mask value 0, which covers {look.share:.1%} "
            "of the pixels and most of the edges of the pictures, as a background does",
            "a name for the background too, if there is one",
            f"if 0 is the background, name all values: "
            f"{classes_option([('0', 'background'), *((str(k), name) for k, name in enumerate(table.names, 1))])}",
        )
    ]


def _readable(table: ClassTable, tallies: Sequence[MaskTally]) -> list[MaskTally]:
    return [each for tally in tallies if (each := tally.as_kind(table.kind))]


def _look(value: int, tallies: Sequence[MaskTally]) -> _Look | None:
    """Return the look of a flat value; None where no mask has it."""
    pixels, edges = Counter[int](), Counter[int]()
    runs = measured = 0
    contrast, seen = 0.0, 0
    for tally in tallies:
        pixels.update(tally.counts)
        edges.update(tally.edge)
        count = tally.counts.get(value, 0)
        if value in tally.neighbours:
            runs, measured = runs + tally.neighbours[value].runs, measured + count
        if value in tally.contrast:
            contrast, seen = contrast + tally.contrast[value] * count, seen + count
    if not pixels[value]:
        return None
    return _Look(
        share=pixels[value] / pixels.total(),
        edge=edges[value] / max(edges.total(), 1),
        run=2 * measured / runs if runs else 0.0,
        side=(pixels.total() / len(tallies)) ** 0.5,
        contrast=contrast / seen if seen else None,
    )
