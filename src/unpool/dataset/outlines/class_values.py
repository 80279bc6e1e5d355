"""The mask values of the classes of outlines, and what names a person may give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unpool.class_table import MAX_CLASSES
from unpool.dataset.mask_values.class_names import BY_HAND, ClassNames
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.painting import BACKGROUND_VALUE, VOID_NUMBER, VOID_VALUE
from unpool.errors import DataError, UsageError
from unpool.wording import count_text, first_of

_BACKGROUNDS = frozenset({"background", "bg"})


def class_values(classes: Sequence[NamedClass], labels: Sequence[str], source: str) -> list[NamedClass]:
    """Return the classes of some outlines with their mask values; the background, 0, is first.

    Where every class has a value of its own from 1 to 254, it keeps it. Otherwise they are numbered from 1: first
    the given ones, in their order, then other labels by the alphabet. A class called background is 0, and one whose
    name means that it counts nowhere is 255.

    Parameters
    ----------
    classes: those that the annotation files list.
    labels: the classes of the outlines.

    Raises
    ------
    DataError: there are too many.
    """
    unique: dict[str, NamedClass] = {}
    for named in [*classes, *map(NamedClass, sorted(set(labels)))]:
        unique.setdefault(named.name, named)
    kept = [named for named in unique.values() if not named.ignored and not _is_background(named)]
    if len(kept) >= MAX_CLASSES:
        raise DataError(
            f"{source}: {count_text(len(kept), 'class')}",
            f"at most {MAX_CLASSES - 1} and the background",
            "join classes in the annotation tool, or draw the objects of all of them with --masks instances",
        )
    given = [named.value for named in kept]
    own = len(set(given)) == len(given) and all(value is not None and 0 < value < VOID_VALUE for value in given)
    grounds = [named for named in unique.values() if _is_background(named)]
    first = NamedClass(grounds[0].name if grounds else "background", BACKGROUND_VALUE, _colour(grounds, kept))
    numbered = [
        NamedClass(named.name, named.value if own else number, named.colour) for number, named in enumerate(kept, 1)
    ]
    more = [NamedClass(named.name, BACKGROUND_VALUE, first.colour) for named in grounds[1:]]
    void = [NamedClass(named.name, VOID_VALUE, named.colour) for named in unique.values() if named.ignored]
    return [first, *more, *numbered, *void]


def names_of_masks(classes: Sequence[NamedClass], source: str, objects: bool, void: bool) -> ClassNames:
    """Return the class names of painted masks.

    Parameters
    ----------
    classes: as ``class_values`` gives them.
    objects: the masks hold object numbers.
    void: some pixels of the masks count nowhere.
    """
    if not objects:
        names: dict[str, NamedClass] = {}
        for named in classes:
            names.setdefault(named.name if named.value != BACKGROUND_VALUE else classes[0].name, named)
        return ClassNames(tuple(names.values()), None, source)
    counted = [named.name for named in classes if named.value not in (BACKGROUND_VALUE, VOID_VALUE)]
    two = (NamedClass(classes[0].name), NamedClass(counted[0] if len(counted) == 1 else "foreground"))
    return ClassNames(two, (VOID_NUMBER,) if void else None, source)


def renamed_classes(by_hand: ClassNames, drawn: ClassNames) -> ClassNames:
    """Return the names that a person gives to the classes of outlines, each with its mask value.

    Bare names have to be those of the outlines, in any order: their order says nothing about values that this program
    has chosen. Names with values are taken as they are.

    Raises
    ------
    UsageError: a bare name is none of the outlines' classes, or one of these is missing.
    """
    values: Mapping[str, int | None] = {named.name.lower(): named.value for named in drawn.classes}
    bare = [named for named in by_hand.classes if named.value is None and named.colour is None]
    if len(bare) < len(by_hand.classes) or all(value is None for value in values.values()):
        return by_hand
    names = [named.name.lower() for named in bare]
    wrong = [named.name for named in bare if named.name.lower() not in values]
    absent = [named.name for named in drawn.classes if named.name.lower() not in names]
    if wrong or absent:
        found = f"no outline is of class {first_of(wrong)}" if wrong else f"without {first_of(absent)}"
        stated = " ".join(f"{named.value}={named.name}" for named in drawn.classes)
        raise UsageError(
            f"{BY_HAND} {' '.join(named.name for named in bare)}: {found}",
            f"the names of {drawn.source}: {first_of([named.name for named in drawn.classes], 12)}",
            f"leave {BY_HAND} out; or give names with their mask values: {BY_HAND} {stated}",
        )
    named = [NamedClass(each.name, values[each.name.lower()]) for each in bare]
    return ClassNames(tuple(named), drawn.ignore, BY_HAND)


def _is_background(named: NamedClass) -> bool:
    return named.name.lower().strip("_ ") in _BACKGROUNDS


def _colour(grounds: Sequence[NamedClass], kept: Sequence[NamedClass]) -> tuple[int, int, int] | None:
    """Return the colour of the background: black where the other classes have colours and it has none."""
    given = next((named.colour for named in grounds if named.colour), None)
    return given or ((0, 0, 0) if kept and all(named.colour for named in kept) else None)
