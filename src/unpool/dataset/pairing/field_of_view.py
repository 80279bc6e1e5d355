"""Fields of view: masks of the part of a picture that a camera shows, beside the masks of what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from unpool.data.field_of_view import inside_view
from unpool.dataset.findings import Finding
from unpool.dataset.pairing.few_values import sampled
from unpool.dataset.pairing.folder import Folder
from unpool.dataset.pairing.matching import Match
from unpool.dataset.pairing.words import FIELD_OF_VIEW_WORDS, VESSEL_WORDS
from unpool.errors import DataError
from unpool.io.read.masks import read_mask
from unpool.wording import count_text

_LEAST_SHARE = 0.3
"""Share of the picture that a field of view has at least."""
_FILLED = 0.7
"""Share of its box that a field of view fills; a disc fills 0.785."""
_OUTSIDE = 0.01
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
        shown = _is_view_of(ways[truth], ways[view])
        if shown or (shown is None and truth in VESSEL_WORDS):
            return truth, view
    return None


def _is_view_of(truth: Match, view: Match) -> bool | None:
    """Return whether masks look like fields of view that hold what other masks show; None where none can be read."""
    views = {image.path: mask.path for image, mask in view.pairs}
    both = [(mask.path, views[image.path]) for image, mask in truth.pairs if image.path in views]
    return views_hold(both)


def views_hold(both: Sequence[tuple[Path, Path]]) -> bool | None:
    """Return whether files look like fields of view that hold what the masks show; None where none can be read.

    Parameters
    ----------
    both: masks with these files.
    """
    view_of = dict(both)
    found = [each for mask in sampled(list(view_of)) if (each := _holds(mask, view_of[mask])) is not None]
    return all(found) if found else None


def _holds(mask: Path, view: Path) -> bool | None:
    try:
        drawn, inside = read_mask(mask, "instances") > 0, inside_view(view)
    except DataError:
        return None
    if drawn.shape != inside.shape or not inside.any() or inside.mean() < _LEAST_SHARE:
        return False
    regions, _ = ndimage.label(inside)
    sizes = np.bincount(regions.ravel())[1:]
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    whole = sizes.max() >= 0.99 * sizes.sum() and inside.sum() >= _FILLED * box
    return bool(whole and drawn.sum() < inside.sum() and (drawn & ~inside).sum() <= _OUTSIDE * drawn.sum())


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
