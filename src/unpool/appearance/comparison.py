"""How pictures differ from those that a model saw, and the notes about it, one for each kind of difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from unpool.appearance.picture import Appearance
from unpool.appearance.seen import SeenPictures, SeenRange
from unpool.wording import count_text, first_of

UnlikeKind: TypeAlias = Literal["grey", "colour", "far-above", "far-below", "elsewhere", "missing-data"]
"""A kind of difference; ``elsewhere``: the range lies far from that of the training pictures."""

GREY, COLOURED = 0.005, 0.01
"""Relative difference of the channels up to which a picture is grey, and from which it is in colour."""
ABOVE = 8.0
"""Reach of a picture that is far above that of the training pictures, relative to the longest."""
BELOW = 1 / 50
"""Reach of a picture that is far below, relative to the shortest; a picture without any object is no less usual."""
TYPE_CHANGES = (
    (16, "12-bit values beside 16-bit ones"),
    (256, "0..1 beside 0..255, or 8-bit values beside 16-bit ones"),
    (65535, "0..1 beside 0..65535"),
)
"""Factors between pictures that were stored in two ways, and these ways."""

_NOTES: Mapping[UnlikeKind, str] = {
    "grey": "{pictures} in grey ({names}), but the model was trained on pictures in colour: expect worse masks, or "
    "train on grey pictures too",
    "colour": "{pictures} in colour ({names}), but the model was trained on grey pictures: expect worse masks, or "
    "convert them to grey",
    "far-above": "{pictures} with values far above those of the training pictures ({names}): scale the values as in "
    "the training pictures",
    "far-below": "{pictures} with values far below those of the training pictures ({names}): scale the values as in "
    "the training pictures",
    "elsewhere": "{pictures} with values far from those of the training pictures ({names}): give them in the unit of "
    "the training pictures",
    "missing-data": "{pictures} with a value far from all others, which no training picture has ({names}): if it means "
    "missing data, replace it by a usual value, and do not use the masks there",
}
"""The notes; their order is that of the messages."""


def differences(picture: Appearance, seen: SeenPictures) -> dict[UnlikeKind, str]:
    """Return the kinds of difference between a picture and those that a model saw, each with its details."""
    found: dict[UnlikeKind, str] = {}
    if seen.colours and picture.colour is not None:
        if picture.colour <= GREY and seen.colours[0] >= COLOURED:
            found["grey"] = ""
        if picture.colour >= COLOURED and seen.colours[1] <= GREY:
            found["colour"] = ""
    known = seen.ranges.get(picture.dtype)
    if known is None:
        return found
    found |= _range_difference(picture, known)
    new = [each for each in picture.far_values if each.value not in known.far]
    if new:
        found["missing-data"] = " and ".join(f"{value:.6g} on about {share:.1%} of the pixels" for value, share in new)
    return found


def _range_difference(picture: Appearance, known: SeenRange) -> dict[UnlikeKind, str]:
    span = picture.span
    if span is None:
        return {}
    low, high = span
    text = f"{low:.5g} to {high:.5g}, in training {known.least:.5g} to {known.largest:.5g}"
    reach = max(abs(low), abs(high))
    if reach > ABOVE * known.long:
        return {"far-above": f"{text}; it reaches {times_text(reach / known.long)}"}
    if low < high and reach < BELOW * known.short:
        return {"far-below": f"{text}; the training pictures reach {times_text(known.short / reach)}"}
    apart = max(low - known.largest, known.least - high)
    return {"elsewhere": text} if apart > known.largest - known.least else {}


def difference_notes(found: Mapping[str, Mapping[UnlikeKind, str]]) -> list[str]:
    """Return a note for each kind of difference, with the number of pictures, their names and an example.

    Parameters
    ----------
    found: by picture name, as ``differences`` returns it.
    """
    notes = []
    for kind, text in _NOTES.items():
        names = [name for name, kinds in found.items() if kind in kinds]
        if names:
            detail = found[names[0]][kind]
            example = f"{names[0]}: {detail}" if detail else ""
            listed = "; ".join(filter(None, (first_of(names, 3), example))) if len(names) > 1 else example or names[0]
            notes.append(text.format(pictures=count_text(len(names), "picture"), names=listed))
    return notes


def notes_on(pictures: Mapping[str, Appearance], seen: SeenPictures | None) -> list[str]:
    """Return the notes about pictures by their names; none where it is not known what the model saw."""
    return difference_notes({name: differences(each, seen) for name, each in pictures.items()}) if seen else []


def times_text(ratio: float) -> str:
    """Return how far values reach, relative to others: ``about 250 times as far``, with the usual cause.

    Parameters
    ----------
    ratio: 1 or more.
    """
    causes = [cause for factor, cause in TYPE_CHANGES if factor / 2 < ratio < factor * 2]
    return f"about {float(f'{ratio:.2g}'):,g} times as far" + (f" ({causes[0]})" if causes else "")
