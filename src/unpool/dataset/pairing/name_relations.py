"""Relations of names: two series of files whose names or folders differ in one part, the same for all of them.

No word is known here. ``photo/1.png`` and ``drawn/1.png``, ``1.bmp`` and ``1.png``, ``1.png`` and ``1_cp_masks.png``,
``a/img.png`` and ``a/label.png`` are related.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import NamedTuple

from unpool.dataset.pairing.folder import PlacedFile, composed
from unpool.dataset.pairing.words import SPLITS, name_words

_CUT = re.compile(r"[_\-. ]|(?<=\d)(?=[A-Za-z]+$)")
_LETTERS = re.compile(r"^[A-Za-z][A-Za-z_]*(?=\d)")
_NUMBER = re.compile(r"^\d+|\d+$")
"""A number that a folder's name begins or ends with."""
_LEAST_KEY = 3
"""Fewest letters of a name that is looked for in folders."""
_MOST_CUTS = 24
_MOST_ALIKE = 12
"""Files of one name that are compared with each other; of more, those whose folders differ in one place."""


class Form(NamedTuple):
    """The part of its place and name by which a series differs from another.

    Attributes
    ----------
    folders: folders, in lower case, with ``*`` for a word that means a split, ``x`` for the shared part of the names,
        and ``#`` for a number that the folders of both series have.
    before, after: the beginning and the end of the name.
    suffix: the suffix, where the series differ in nothing else; otherwise empty.
    whole: whether ``before`` is the whole name, which is the same in all folders.
    """

    folders: tuple[str, ...]
    before: str
    after: str
    suffix: str
    whole: bool = False

    @property
    def plain(self) -> bool:
        """Whether the name has no part of its own."""
        return not self.before and not self.after

    @property
    def words(self) -> set[str]:
        """All words of the form, and the whole texts of its parts."""
        texts = (*self.folders, self.before, self.after)
        return {word for text in texts for word in (*name_words(text), re.sub(r"[\W_]", "", text.lower())) if word}

    def text(self) -> str:
        """Return the form as a person reads it: ``photo/x_rgb``."""
        folders = "".join(f"{part}/" for part in self.folders)
        return f"{folders}{self.before}{'' if self.whole else 'x'}{self.after}{self.suffix}"


@dataclass
class Relation:
    """Two series of files, and their pairs: each file is in one.

    Attributes
    ----------
    forms: of the one series and of the other.
    """

    forms: tuple[Form, Form]
    pairs: list[tuple[PlacedFile, PlacedFile]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pairs)

    def side(self, k: int) -> list[PlacedFile]:
        """Return the files of the one series or of the other."""
        return [pair[k] for pair in self.pairs]


class _Cut(NamedTuple):
    """One way to read a name: what may be shared, and the rest of it."""

    key: str
    before: str
    after: str
    whole: bool = False


class _Named(NamedTuple):
    """A file, what its path says, and its number among all files, which is quicker to compare than a path.

    Attributes
    ----------
    folders: with ``*`` for a word that means a split.
    """

    number: int
    file: PlacedFile
    stem: str
    parent: str
    folders: tuple[str, ...]


class _Place(NamedTuple):
    """A file and one way to read its name."""

    named: _Named
    cut: _Cut


def name_relations(files: Sequence[PlacedFile], root_parts: int) -> list[Relation]:
    """Return the relations of some files, those with most pairs first.

    Parameters
    ----------
    root_parts: how many parts of each path are those of the root.
    """
    named = _named(files, root_parts)
    found: dict[tuple[Form, Form], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for alike in chain(_by_name(named), _by_folder(named)):
        for one, other in combinations(alike, 2):
            forms = None if one.named.number == other.named.number else _forms(one, other)
            if forms is None:
                continue
            if forms[0] <= forms[1]:
                found[forms][one.named.number].add(other.named.number)
            else:
                found[forms[1], forms[0]][other.named.number].add(one.named.number)
    relations = [_one_to_one(forms, partners, files) for forms, partners in found.items()]
    relations = [relation for relation in relations if relation.pairs]
    relations.sort(key=lambda each: (-len(each), sum(len(form.before + form.after) for form in each.forms)))
    return _without_repeats(relations)


def _named(files: Sequence[PlacedFile], root_parts: int) -> list[_Named]:
    folders: dict[str, tuple[str, ...]] = {}
    named = []
    for number, file in enumerate(files):
        parent, name = os.path.split(file.path)
        if parent not in folders:
            folders[parent] = tuple(without_split(composed(part)) for part in file.path.parts[root_parts:-1])
        named.append(_Named(number, file, composed(os.path.splitext(name)[0]), parent, folders[parent]))
    return named


def without_split(folder: str) -> str:
    """Return the name of a folder in lower case, with ``*`` for a word that means a split."""
    word = next((word for word in name_words(folder) if word in SPLITS and word not in ("tr", "ts")), None)
    if word is None:
        word = next((end for end in ("tr", "ts") if folder.lower() in (f"images{end}", f"labels{end}")), None)
    return folder.lower().replace(word, "*", 1) if word else folder.lower()


def _by_name(files: Sequence[_Named]) -> Iterator[list[_Place]]:
    """Yield the files that share a split and a part of their names."""
    by_key: dict[tuple[str, str], list[_Place]] = defaultdict(list)
    for named in files:
        for cut in _cuts(named.stem):
            by_key[named.file.split or "", cut.key].append(_Place(named, cut))
    for alike in by_key.values():
        if len(alike) > 1:
            yield from [alike] if len(alike) <= _MOST_ALIKE else _nearby(alike)


def _by_folder(files: Sequence[_Named]) -> Iterator[list[_Place]]:
    """Yield the files of each folder whose names are those of files in other folders: ``a/img``, ``a/label``."""
    stems = [named.stem.casefold() for named in files]
    count = Counter(stems)
    inside: dict[str, dict[str, list[_Named]]] = defaultdict(lambda: defaultdict(list))
    for named, stem in zip(files, stems, strict=True):
        inside[named.parent][stem].append(named)
    for members in inside.values():
        if 1 < len(members) <= _MOST_ALIKE and all(
            len(same) == 1 and count[stem] > 1 for stem, same in members.items()
        ):
            yield [_Place(same[0], _Cut("", stem, "", whole=True)) for stem, same in members.items()]


def _cuts(stem: str) -> Iterator[_Cut]:
    """Yield the ways to read a name, in lower case: whole, without each end, and without each beginning."""
    plain = stem.casefold()
    yield _Cut(plain, "", "")
    if len(plain) != len(stem):
        return
    if letters := _LETTERS.match(stem):
        yield _Cut(plain[letters.end() :], plain[: letters.end()], "")
    for match in list(_CUT.finditer(stem))[:_MOST_CUTS]:
        if match.start():
            yield _Cut(plain[: match.start()], "", plain[match.start() :])
        if match.end() < len(plain):
            yield _Cut(plain[match.end() :], plain[: match.end()], "")


def _nearby(alike: Sequence[_Place]) -> Iterator[list[_Place]]:
    """Yield those of many files of one name whose folders are equal but for one."""
    by_rest: dict[tuple[object, ...], list[_Place]] = defaultdict(list)
    for place in alike:
        folders = place.named.folders
        by_rest[folders].append(place)
        for k in range(len(folders)):
            by_rest[len(folders), k, *folders[:k], *folders[k + 1 :]].append(place)
    for near in by_rest.values():
        if 1 < len(near) <= _MOST_ALIKE:
            yield near


def _forms(one: _Place, other: _Place) -> tuple[Form, Form] | None:
    """Return the forms by which two files differ; None where what differs is not the least."""
    same_name = one.cut[1:] == other.cut[1:]
    if same_name and (one.cut.before or one.cut.after):
        return None
    a, b = one.named.folders, other.named.folders
    while a and b and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    a, b = _without_own(a, b, one.cut.key)
    alone = same_name and not a and not b
    if alone and one.named.parent != other.named.parent:
        return None
    suffixes = [place.named.file.path.suffix.lower() if alone else "" for place in (one, other)]
    if alone and suffixes[0] == suffixes[1]:
        return None
    return (
        Form(a, one.cut.before, one.cut.after, suffixes[0], one.cut.whole),
        Form(b, other.cut.before, other.cut.after, suffixes[1], other.cut.whole),
    )


def _without_own(one: tuple[str, ...], other: tuple[str, ...], key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return two files' folders with ``x`` for the shared part of their names, and ``#`` for a number of both.

    ``slide_01/01_3.png`` and ``gt_01/01_3.png`` differ as those of slide 2 do; ``p7_a/p7`` and ``p7_b/p7`` as others.
    """
    if len(key) >= _LEAST_KEY:
        one, other = (tuple(part.replace(key, "x") for part in folders) for folders in (one, other))
    numbers = [{n for part in folders for n in _NUMBER.findall(part)} for folders in (one, other)]
    for number in sorted(numbers[0] & numbers[1]):
        ends = re.compile(rf"^{number}(?!\d)|(?<!\d){number}$")
        one, other = (tuple(ends.sub("#", part) for part in folders) for folders in (one, other))
    return one, other


def _one_to_one(forms: tuple[Form, Form], partners: dict[int, set[int]], files: Sequence[PlacedFile]) -> Relation:
    """Return the relation of files that have one partner each."""
    owners = Counter(other for others in partners.values() for other in others)
    pairs = [(one, next(iter(others))) for one, others in partners.items() if len(others) == 1]
    return Relation(forms, [(files[one], files[other]) for one, other in pairs if owners[other] == 1])


def _without_repeats(relations: Sequence[Relation]) -> list[Relation]:
    """Return the relations without those whose pairs are those of one before."""
    seen: set[frozenset[tuple[str, str]]] = set()
    kept = []
    for relation in relations:
        pairs = frozenset((min(str(a.path), str(b.path)), max(str(a.path), str(b.path))) for a, b in relation.pairs)
        if pairs not in seen:
            seen.add(pairs)
            kept.append(relation)
    return kept
