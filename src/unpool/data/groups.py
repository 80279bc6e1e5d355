"""Groups of pictures that come from one source, and copies of one picture, judged by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

_PLACE = r"(?:x|y|r|c|z|row|col|tile|patch|crop|slice|frame|part|page|sec|section)[_\-. ]?\d+"
_TILE = re.compile(rf"[_\-. ]{_PLACE}(?:[_\-. ]?{_PLACE})*$", re.IGNORECASE)
_SLICE = re.compile(r"[_\-. ](?:z|slice|frame|page|sec|section)[_\-. ]?(\d+)$", re.IGNORECASE)
_COUNTERS = re.compile(r"(?:[_\-. (]+[a-z]?\d+\)?)+$", re.IGNORECASE)
_COUNTER = re.compile(r"[_\-. (]+[a-z]?\d+\)?$", re.IGNORECASE)
_IN_BRACKETS = re.compile(r" ?\(\d+\)$")
_NUMBERED = re.compile(r"\d")
_HASH = re.compile(r"(?:_(?:jpe?g|png|tiff?|bmp|gif|webp))?\.rf\.[0-9a-z]{16,}$", re.IGNORECASE)
_FLIP = r"[hv]?flip(?:ped)?(?:[_\-]?(?:lr|ud|[hvxy]))?"
_CHANGED = re.compile(
    rf"(?:[_\-. ](?:aug(?:mented|mentation)?|{_FLIP}|mirror(?:ed)?|rot(?:ated?)?|copy)[_\-]?\d*)+$", re.IGNORECASE
)

_SOURCES = frozenset(
    [
        "animal",
        "case",
        "clip",
        "donor",
        "exam",
        "film",
        "fish",
        "mouse",
        "movie",
        "patient",
        "plate",
        "rat",
        "scan",
        "site",
        "slide",
        "specimen",
        "subject",
        "video",
        "visit",
        "well",
    ]
)
"""Words in the names of folders, or of pictures, that mean a source."""
_CLASSES = frozenset(["category", "class", "grade", "kind", "label", "level", "score", "stage", "type"])
"""Words in the names of folders, or of pictures, that mean a kind of pictures, also with a number."""
_MOST_KINDS = 9
"""Folders of words alone up to which they are kinds of pictures. More are sources, such as towns."""


def copies_of(names: Iterable[str]) -> dict[str, str]:
    """Return, for each name, that of the picture of which it is a copy: itself, or one that was varied.

    Roboflow names varied copies ``x.rf.HASH``; others end with words such as ``_aug_3`` or ``_flip``.

    Parameters
    ----------
    names: pair names; a leading ``train/``, ``val/`` or ``test/`` does not count.
    """
    bare = {name: re.sub(r"^(train|val|test)/", "", name) for name in names}
    return {name: _CHANGED.sub("", _HASH.sub("", text)) or text for name, text in bare.items()}


def kind_of(names: Iterable[str]) -> dict[str, str]:
    """Return the kind of each name: the words that stand for a class of pictures, such as ``benign`` and ``normal``.

    Such words are folders, or stand before a number in brackets, as in ``benign (7)``. Empty for all where there are no
    such words: for words that have numbers (``p12``), differ in a letter (``slideA``), mean a source (``patient``), or
    are more than nine.

    Parameters
    ----------
    names: see ``copies_of``.
    """
    bare = copies_of(names)
    for words_of in (_folder, _words):
        kinds = {name: words_of(text) for name, text in bare.items()}
        if _are_kinds(set(kinds.values())) and len(kinds) >= 2 * len(set(kinds.values())):
            return kinds
    return dict.fromkeys(bare, "")


def group_of(names: Iterable[str]) -> dict[str, str]:
    """Return the name of the group of each name.

    Tiles of one slide, slices of one patient and frames of one film are a group: ``slideA_x0_y128`` belongs to
    ``slideA``, ``0001TP_006690`` to ``0001TP``; and so are varied copies of one picture. Names in sub-folders are
    grouped by their folder, except where folders name kinds of pictures. A name that is only a counter (``01``,
    ``img_001``), or has no counter, is a group of its own. Where all names would be one group, each name is a group of
    its own. Words without a number (``slideA_00``) are groups where there are several of them, each with several names.

    Parameters
    ----------
    names: pair names; a leading ``train/``, ``val/`` or ``test/`` does not count.
    """
    bare = copies_of(names)
    kinds = kind_of(bare)
    fewest = len(set(kinds.values()))  # kinds are no groups, whatever their names
    folders = {_folder(text) for text in bare.values()}
    rules = (_by_counters, _by_counter) if _are_kinds(folders) else (_folder, _by_counters, _by_counter)
    for rule in rules:
        groups = {text: rule(text) or text for text in bare.values()}
        if fewest < len(set(groups.values())) < len(groups):
            return {name: groups[text] for name, text in bare.items()}
    if any(kinds.values()):
        return bare
    stems = {text: _COUNTERS.sub("", text) for text in bare.values()}
    sizes = Counter(stems.values())
    if len(sizes) > 1 and min(sizes.values()) > 1 and all(stems.values()):
        return {name: stems[text] for name, text in bare.items()}
    return bare


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


def copies_apart(parts: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Return the pictures of which varied copies are in more than one part, with these parts.

    Parameters
    ----------
    parts: the names in each part of a split.
    """
    found: dict[str, set[str]] = {}
    varied: set[str] = set()
    for part, names in parts.items():
        for name, base in copies_of(names).items():
            found.setdefault(base, set()).add(part)
            varied |= {base} if not name.endswith(base) else set()
    return {base: where for base, where in found.items() if len(where) > 1 and base in varied}


def _folder(text: str) -> str:
    return text.rpartition("/")[0]


def _words(text: str) -> str:
    """Return a name without its number in brackets, which programs give to the files of one folder; else empty."""
    words = _IN_BRACKETS.sub("", text)
    return words if words != text else ""


def _are_kinds(words: Collection[str]) -> bool:
    """Return whether words stand for kinds of pictures, and not for their sources."""
    last = [word.rpartition("/")[2].strip("_-. ").lower() for word in words]
    if not 2 <= len({*last}) <= _MOST_KINDS or not all(last):
        return False
    tokens = [re.split(r"[\W_]+", word) for word in last]
    if all(_CLASSES & {re.sub(r"\d", "", token) for token in each} for each in tokens):
        return True
    if any(_NUMBERED.search(word) or len(word) < 2 for word in last):
        return False
    if any(_SOURCES & {*each} for each in tokens):
        return False
    shared = next((k for k, letters in enumerate(zip(*last, strict=False)) if len({*letters}) > 1), min(map(len, last)))
    return not (shared > 2 and all(len(word) - shared <= 2 for word in last))


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
