"""Groups of pictures that come from one source, judged by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_PLACE = r"(?:x|y|r|c|z|row|col|tile|patch|crop|slice|frame|part|page|sec|section)[_\-. ]?\d+"
_TILE = re.compile(rf"[_\-. ]{_PLACE}(?:[_\-. ]?{_PLACE})*$", re.IGNORECASE)
_SLICE = re.compile(r"[_\-. ](?:z|slice|frame|page|sec|section)[_\-. ]?(\d+)$", re.IGNORECASE)
_COUNTERS = re.compile(r"(?:[_\-. (]+[a-z]?\d+\)?)+$", re.IGNORECASE)
_COUNTER = re.compile(r"[_\-. (]+[a-z]?\d+\)?$", re.IGNORECASE)
_NUMBERED = re.compile(r"\d")


def group_of(names: Iterable[str]) -> dict[str, str]:
    """Return the name of the group of each name.

    Tiles of one slide, slices of one patient and frames of one film are a group: ``slideA_x0_y128`` belongs to
    ``slideA``, ``0001TP_006690`` to ``0001TP``. Names in sub-folders are grouped by their folder. A name that is
    only a counter (``01``, ``img_001``), or has no counter, is a group of its own. Where all names would be one group,
    each name is a group of its own. Words without a number (``slideA_00``) are groups where there are several of
    them, each with several names.

    Parameters
    ----------
    names: pair names; a leading ``train/``, ``val/`` or ``test/`` does not count.
    """
    bare = {name: re.sub(r"^(train|val|test)/", "", name) for name in names}
    for rule in (_by_folder, _by_counters, _by_counter):
        groups = {name: rule(text) or text for name, text in bare.items()}
        if 1 < len(set(groups.values())) < len(groups):
            return groups
    stems = {name: _COUNTERS.sub("", text) for name, text in bare.items()}
    sizes = Counter(stems.values())
    return stems if len(sizes) > 1 and min(sizes.values()) > 1 and all(stems.values()) else bare


def slices_of(names: Iterable[str]) -> dict[str, tuple[str, ...]] | None:
    """Return the slices of each stack or film, in their order; None where some name is not that of a slice.

    ``a_page_3`` is the third slice of ``a``; the words are slice, page, frame, section, sec and z.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        number = _SLICE.search(name)
        if number is None:
            return None
        found.setdefault(name[: number.start()], []).append((int(number[1]), name))
    return {source: tuple(name for _, name in sorted(slices)) for source, slices in found.items()}


def _by_folder(text: str) -> str:
    return text.rpartition("/")[0]


def _by_counters(text: str) -> str:
    """Return the name without its place in a tiling, or without all its counters where the rest has a number."""
    folder, _, stem = text.rpartition("/")
    source = _TILE.sub("", stem)
    if source == stem:
        source = _COUNTERS.sub("", stem)
        if not _NUMBERED.search(source):
            source = ""
    return f"{folder}/{source}".lstrip("/") if source else ""


def _by_counter(text: str) -> str:
    """Return the name without its last counter, where the rest has a number."""
    if _TILE.search(text):
        return ""
    rest = _COUNTER.sub("", text)
    return rest if rest != text and _NUMBERED.search(rest) else ""
