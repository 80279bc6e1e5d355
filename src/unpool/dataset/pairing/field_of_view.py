"""Fields of view: masks of the part of a picture that a camera shows, beside the masks of what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.data.field_of_view import inside_view
from unpool.dataset.findings import Finding
from unpool.dataset.pairing.few_values import sampled
from unpool.dataset.pairing.folder import Folder
from unpool.dataset.pairing.matching import Match
from unpool.dataset.pairing.words import FIELD_OF_VIEW_WORDS, VESSEL_WORDS
from unpool.errors import DataError
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.wording import count_text

_LEAST_SHARE = 0.3
"""Share of the picture that a field of view has at least."""
_DARK = 0.2
"""Brightness of a picture outside of its field of view, as a share of that inside."""
_SEVERAL, _SAME = 3, 0.9
"""Pictures, and the share of their fields of view that all of these have, from which they are nearly the same."""
_FILLED = 0.7
"""Share of its box that a field of view fills; a disc fills 0.785."""
_OUTSIDE = 0.1
"""Share of the drawn pixels that may lie outside of the field of view."""


def truth_and_view(ways: Mapping[str, Match]) -> tuple[str, str] | None:
    """Return which of two ways to pair gives the masks, and which the fields of view; None where it is not known.

    Parameters
    ----------
    ways: by the word of the folder or the name of their masks, without ``_``, ``-`` and spaces.
    """
    if len(ways) != 2:
        return None
    for truth, view in (list(ways), list(reversed(list(ways)))):
        if not any(view.startswith(word) or view.endswith(word) for word in FIELD_OF_VIEW_WORDS):
            continue
        shown, holds = _looks_like_views(ways[truth], ways[view])
        if (shown is not False and truth in VESSEL_WORDS) or (shown and holds):
            return truth, view
    return None


def _looks_like_views(truth: Match, view: Match) -> tuple[bool | None, bool]:
    """Return whether masks look like fields of view, None where none can be read, and whether they hold the truth."""
    views = {image.path: mask.path for image, mask in view.pairs}
    mask_of = {views[image.path]: mask.path for image, mask in truth.pairs if image.path in views}
    shown, inside = [], []
    for path in sampled(list(mask_of)):
        try:
            pixels = inside_view(path)
            drawn = read_mask(mask_of[path], "instances") > 0
        except DataError:
            continue
        shown.append(_is_one_region(pixels))
        inside.append(
            drawn.shape == pixels.shape
            and drawn.sum() < pixels.sum()
            and bool((drawn & ~pixels).sum() <= _OUTSIDE * drawn.sum())
        )
    return (all(shown), all(inside)) if shown else (None, False)


def _is_one_region(pixels: NDArray[np.bool_]) -> bool:
    """Return whether pixels are one large region without gaps, as a disc is."""
    if pixels.mean() < _LEAST_SHARE:
        return False
    regions, _ = ndimage.label(pixels)
    sizes = np.bincount(regions.ravel())[1:]
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return bool(sizes.max() >= 0.99 * sizes.sum() and pixels.sum() >= _FILLED * box)


def shown_alone(match: Match) -> list[Finding]:
    """Return the warning that masks which are taken as the truth look like fields of view.

    Such masks are one large region, nearly the same in all pictures, and the pictures are dark outside of it.
    """
    masks = {mask.path: image.path for image, mask in match.pairs}
    regions, dark = [], []
    for path in sampled(list(masks)):
        try:
            region, picture = inside_view(path), read_image(masks[path]).mean(axis=2)
        except DataError:
            return []
        if region.shape != picture.shape or region.all() or not _is_one_region(region):
            return []
        regions.append(region)
        dark.append(bool(picture[~region].mean() < _DARK * picture[region].mean()))
    sizes = {region.shape for region in regions}
    if len(regions) < _SEVERAL or len(sizes) > 1 or not all(dark):
        return []
    if float(np.mean(np.all(regions, axis=0))) < _SAME * float(np.mean(np.any(regions, axis=0))):
        return []
    found = "the masks show nearly the same region in all pictures, which are dark outside of it, as fields of view do"
    repair = "look at them; if they are fields of view, add the masks of what is in the pictures in a folder labels/"
    return [Finding("warning", "fields-of-view-alone", found, "masks of what is in the pictures", repair)]


def with_views(folder: Folder, view: Match, where: str) -> Folder:
    """Return the folder with the fields of view of its pictures, and with a note on them.

    Parameters
    ----------
    where: the folders or the form of the names of the fields of view, for the note.
    """
    views = {image.path: mask.path for image, mask in view.pairs}
    pairs = tuple(replace(pair, field_of_view=views.get(pair.image)) for pair in folder.pairs)
    number = sum(pair.field_of_view is not None for pair in pairs)
    found = (
        f"{where} is the field of view, not the ground truth: what lies outside of it is ignored in "
        f"{count_text(number, 'picture')}"
    )
    left = [pair.name for pair in pairs if pair.field_of_view is None]
    if left:
        found += f"; {count_text(len(left), 'picture')} without one, such as {left[0]}, count everywhere"
    note = Finding("note", "field-of-view", found, "", "move it out of the folder to use every pixel")
    return replace(folder, pairs=pairs, findings=(*folder.findings, note))
