"""Which pictures come from one source, as far as their names tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_PLACE = r"(?:x|y|r|c|z|row|col|tile|patch|crop|slice|frame|part|page|sec|section)[_\-. ]?\d+"
_TILE = re.compile(rf"[_\-. ]{_PLACE}(?:[_\-. ]?{_PLACE})*$", re.IGNORECASE)
_COUNTERS = re.compile(r"(?:[_\-. (]+[a-z]?\d+\)?)+$", re.IGNORECASE)
_COUNTER = re.compile(r"[_\-. (]+[a-z]?\d+\)?$", re.IGNORECASE)
_NUMBERED = re.compile(r"\d")


def group_of(names: Iterable[str]) -> dict[str, str]:
    """Give every name the name of its group.

    Tiles of one slide, slices of one patient and frames of one film make a group: ``slideA_x0_y128`` belongs to
    ``slideA``, ``0001TP_006690`` to ``0001TP``. Names in sub-folders group by their folder. A name that is
    only a counter (``01``, ``img_001``) or has none is a group of its own, as all names are where everything
    would fall into one group. Words without a number (``slideA_00``) make groups where there are several and each
    has several members.

    Parameters
    ----------
    names: pair names; a leading ``train/``, ``val/`` or ``test/`` is left out of account.
    """
    bare = {name: re.sub(r"^(train|val|test)/", "", name) for name in names}
    for rule in (_by_folder, _by_counters, _by_counter):
        groups = {name: rule(text) or text for name, text in bare.items()}
        if 1 < len(set(groups.values())) < len(groups):
            return groups
    stems = {name: _COUNTERS.sub("", text) for name, text in bare.items()}
    sizes = Counter(stems.values())
    return stems if len(sizes) > 1 and min(sizes.values()) > 1 and all(stems.values()) else bare


def _by_folder(text: str) -> str:
    return text.rpartition("/")[0]


def _by_counters(text: str) -> str:
    """The name without its place in a tiling, or without all its counters where the rest is numbered itself."""
    folder, _, stem = text.rpartition("/")
    whole = _TILE.sub("", stem)
    if whole == stem:
        whole = _COUNTERS.sub("", stem)
        if not _NUMBERED.search(whole):
            whole = ""
    return f"{folder}/{whole}".lstrip("/") if whole else ""


def _by_counter(text: str) -> str:
    """The name without its last counter, where the rest is numbered itself."""
    if _TILE.search(text):
        return ""
    rest = _COUNTER.sub("", text)
    return rest if rest != text and _NUMBERED.search(rest) else ""
