"""Which picture a mask seems to belong to, by its name and its folders, where no rule of pairing holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from unpool.dataset.pairing.folder import PlacedFile, composed
from unpool.dataset.pairing.words import IMAGE_AFFIXES, any_affix

MOST = 0.8
"""Share of the masks above which a way to read their names counts as the person's."""


@dataclass(frozen=True)
class Belonging:
    """Masks by the pictures that they seem to belong to.

    Attributes
    ----------
    way: how that was read: ``word`` (``x_drawing`` for ``x``), ``folder`` (``x/drawing`` for ``x``), ``place`` (the
        same name in another sub-folder) or ``zeros`` (``007`` for ``7``).
    masks: each picture with its masks, one or more.
    """

    way: str
    masks: list[tuple[PlacedFile, list[PlacedFile]]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of masks that belong to a picture."""
        return sum(len(masks) for _, masks in self.masks)

    @property
    def several(self) -> bool:
        """Whether most pictures have more than one mask."""
        return 2 * sum(len(masks) > 1 for _, masks in self.masks) > len(self.masks)


def belonging(images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> Belonging | None:
    """Return the way by which most masks belong to a picture; None where there is none."""
    for way in _WAYS:
        found = belonging_by(way, images, masks)
        if found.masks and found.count >= MOST * len(masks):
            return found
    return None


def belonging_by(way: str, images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> Belonging:
    """Return the masks that belong to a picture in one way."""
    if not masks:
        return Belonging(way)
    image_keys, mask_keys = _WAYS[way]
    by_key: dict[str, list[PlacedFile]] = {}
    for image in images:
        for key in {*image_keys(image)}:
            by_key.setdefault(_within(image, key), []).append(image)
    owned: dict[PlacedFile, list[PlacedFile]] = {}
    for mask in masks:
        owners = next((found for key in mask_keys(mask) if (found := by_key.get(_within(mask, key)))), [])
        if len(owners) == 1 and owners[0].path != mask.path:
            owned.setdefault(owners[0], []).append(mask)
    if way == "folder" and len(owned) == 1 < len(images):
        return Belonging(way)  # a folder 0 of many pictures is not that of the picture 0
    return Belonging(way, list(owned.items()))


def _within(file: PlacedFile, key: str) -> str:
    return f"{file.split or ''}\0{composed(key).casefold()}"


def _named(image: PlacedFile) -> Iterator[str]:
    """Yield the place and the name of a picture, and its names without words such as ``img_``."""
    some = IMAGE_AFFIXES if any_affix(IMAGE_AFFIXES[1:]).search(image.path.stem) else IMAGE_AFFIXES[:1]
    for affix in some:
        if common := affix.strip(image.path.stem):
            yield f"{image.place}/{common}"


def _named_parts(mask: PlacedFile) -> Iterator[str]:
    """Yield the place with each beginning and each end of a mask's name, the longest first."""
    stem = mask.path.stem
    gaps = [match.start() for match in re.finditer(r"[_\-. ]", stem)][:50]
    parts = [stem[:gap] for gap in gaps] + [stem[gap + 1 :] for gap in gaps]
    yield from (f"{mask.place}/{part}" for part in sorted(parts, key=len, reverse=True) if part)


def _in_own_folder(image: PlacedFile) -> Iterator[str]:
    """Yield the folders in which masks of a picture may lie: one of its name, and its own."""
    yield f"{image.place}/{image.path.stem}".strip("/")
    yield image.path.stem
    if image.place:
        yield image.place


def _own_folder(mask: PlacedFile) -> Iterator[str]:
    if mask.place:
        yield mask.place


def _name(file: PlacedFile) -> Iterator[str]:
    yield file.path.stem


def _without_zeros(file: PlacedFile) -> Iterator[str]:
    yield f"{file.place}/" + re.sub(r"0+(?=\d)", "", file.path.stem)


_Keys = Callable[[PlacedFile], Iterator[str]]
_WAYS: dict[str, tuple[_Keys, _Keys]] = {
    "word": (_named, _named_parts),
    "place": (_name, _name),
    "folder": (_in_own_folder, _own_folder),
    "zeros": (_without_zeros, _without_zeros),
}
