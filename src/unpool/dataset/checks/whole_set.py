"""Findings that need the whole set: classes, sizes, the split, and pictures that are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from unpool.dataset.checks.duplicates import copies, listed, near_copies
from unpool.dataset.checks.pair import Inspection
from unpool.dataset.findings import Finding
from unpool.dataset.split import keeps_groups
from unpool.dataset.survey_result import Survey

FEW_PAIRS = 10
TINY_SHARE = 0.001


def whole_set_findings(survey: Survey, inspections: Sequence[Inspection], testing: bool, named: bool) -> list[Finding]:
    """What the whole set shows.

    Parameters
    ----------
    testing: the masks were read by a table that was given; nothing will be trained.
    named: a person said what the classes are.
    """
    parts = (_orphans, _mixtures, _empties)
    findings = [finding for part in parts for finding in part(survey)]
    findings += [*_amounts(survey, testing), *_classes(survey, testing, named)]
    findings += [*_ignored(survey, ("test",) if testing else ("train", "val"))]
    findings += [] if testing else _strange_types(survey)
    return [*findings, *_lossy(survey, inspections), *_split(survey), *_copies(survey, inspections)]


def _orphans(survey: Survey) -> Iterator[Finding]:
    folder = survey.folder
    for paths, what, code in (
        (folder.orphan_images, "pictures without a mask", "orphan-images"),
        (folder.orphan_masks, "masks without a picture", "orphan-masks"),
    ):
        if paths:
            shown = ", ".join(path.name for path in paths[:5]) + (", …" if len(paths) > 5 else "")
            yield Finding(
                "warning",
                code,
                f"{len(paths)} {what}: {shown}",
                "a partner of the same name for every file",
                "add or rename the partner; without one they are left out",
                tuple(map(str, paths)),
            )


def _amounts(survey: Survey, testing: bool) -> Iterator[Finding]:
    count = len(survey.folder.pairs)
    if count < FEW_PAIRS:
        yield Finding(
            "note" if testing else "warning",
            "few-pairs",
            f"{count} pairs in all",
            f"{FEW_PAIRS} or more for scores that mean something",
            "annotate more pictures; several different ones help more than many alike",
        )


def _mixtures(survey: Survey) -> Iterator[Finding]:
    facts = list(survey.pictures.values())
    sizes = Counter((fact.rows, fact.columns) for fact in facts)
    if len(sizes) > 1:
        yield Finding("note", "mixed-sizes", f"{len(sizes)} different picture sizes; training cuts equal crops")
    channels = Counter(fact.channels for fact in facts)
    if set(channels) == {1, 3}:
        found = f"{channels[1]} grey and {channels[3]} RGB pictures; greys are repeated to 3 channels"
        yield Finding("note", "mixed-channels", found)
    elif len(channels) > 1:
        odd = channels.most_common()[-1][0]
        yield Finding(
            "error",
            "mixed-channels",
            "pictures with " + " and ".join(f"{n} channels" for n in sorted(channels)),
            "one number of channels, or grey and RGB mixed",
            "keep or convert to one number of channels",
            tuple(fact.name for fact in facts if fact.channels == odd),
        )
    types = Counter(fact.dtype for fact in facts)
    if len(types) > 1:
        shown = ", ".join(f"{count} {kind}" for kind, count in types.most_common())
        yield Finding("note", "mixed-types", f"pixels of several types ({shown}); each is scaled by its own constants")


def _strange_types(survey: Survey) -> Iterator[Finding]:
    """Pixel types to validate or test on that training has not seen, so that nothing tells how to scale them."""
    kinds = {name: fact.dtype for name, fact in survey.pictures.items()}
    known = {kinds[name] for name in survey.split.train if name in kinds}
    for part in ("val", "test"):
        strange = [n for n in survey.split.members(part) if known and kinds.get(n, "") not in {"", *known}]
        if strange:
            yield Finding(
                "error",
                "type-not-in-train",
                f"{len(strange)} {part} pictures of type {kinds[strange[0]]}, which no training picture has: "
                + _some(strange),
                f"pixels of a type that is trained on: {', '.join(sorted(known))}",
                "save all pictures with one pixel type, or put some of that type into train",
                tuple(strange),
            )


def _ignored(survey: Survey, parts: Sequence[str]) -> Iterator[Finding]:
    for part in parts:
        names = tuple(name for name in survey.split.members(part) if name in survey.pictures)
        if names and not any(survey.class_pixels(names)):
            yield Finding(
                "error",
                f"{part}-ignored",
                f"all {len(names)} pictures in {part} hold nothing but ignored pixels: {_some(names)}",
                f"counted pixels in {part}",
                "check the ignore value, or divide the pictures otherwise",
                names,
            )


def _classes(survey: Survey, testing: bool, named: bool) -> Iterator[Finding]:
    table, split = survey.table, survey.split
    shares = survey.class_shares(survey.pictures)
    if any(shares) and sum(share > 0 for share in shares) < 2:
        yield Finding(
            "warning" if testing else "error",
            "one-class",
            "all masks together hold only " + ", ".join(n for n, s in zip(table.names, shares, strict=True) if s),
            "at least two classes",
            "check that these are the masks, and that the class values are right",
        )
    for part in ("train", "val"):
        seen = survey.class_pixels(split.members(part))
        absent = [name for name, count in zip(table.names, seen, strict=True) if not count]
        if split.members(part) and absent:
            yield Finding(
                "warning",
                f"absent-in-{part}",
                f"no pixel of class {', '.join(absent)} in {part}",
                "every class in train and in val",
                "add pictures of it, or try another --seed" if part == "val" else "add pictures of it, or remove it",
            )
    tiny = [f"{n} ({s:.3%})" for n, s in zip(table.names, shares, strict=True) if 0 < s < TINY_SHARE]
    if tiny:
        found = f"under {TINY_SHARE:.1%} of all pixels: {', '.join(tiny)}"
        if named:
            yield Finding("note", "tiny-class", found)
        else:
            repair = "look at the masks; name the classes with --classes, and ignore what is none with --ignore"
            yield Finding("warning", "tiny-class", found, "values that were drawn on purpose", repair)


def _empties(survey: Survey) -> Iterator[Finding]:
    facts = survey.pictures.values()
    empty = [fact.name for fact in facts if fact.class_pixels[0] and not any(fact.class_pixels[1:])]
    if empty and len(empty) < len(survey.pictures):
        found = f"{len(empty)} masks hold nothing but {survey.table.names[0]}: {_some(empty)}"
        yield Finding("note", "empty-masks", found, "", "check that they were not left undrawn", tuple(empty))
    blank = [fact.name for fact in facts if not any(fact.class_pixels)]
    if blank:
        yield Finding(
            "warning",
            "ignored-masks",
            f"{len(blank)} masks are ignored everywhere: {_some(blank)}",
            "some counted pixels in every mask",
            "remove these pairs, or check the ignore value",
            tuple(blank),
        )


def _lossy(survey: Survey, inspections: Sequence[Inspection]) -> Iterator[Finding]:
    lossy = [i.name for i in inspections if i.tally is not None and i.tally.lossy and i.name in survey.pictures]
    if lossy:
        found = f"{len(lossy)} masks are JPEGs, whose values are exact by luck: {_some(lossy)}"
        yield Finding("note", "lossy-mask", found, "", "save masks as PNG", tuple(lossy))


def _split(survey: Survey) -> Iterator[Finding]:
    split = survey.split
    if not split.val or keeps_groups(split):
        return
    if not any(pair.split == "val" for pair in survey.folder.pairs):
        yield Finding(
            "warning",
            "ungrouped-split",
            "pictures of one source are in train and in val, because whole sources leave no sensible share",
            "validation on sources that were not trained on",
            "add sources, or make val/ yourself",
        )
    else:
        yield Finding(
            "note",
            "source-in-both",
            "the names say that train and val, as the folder gives them, share sources",
            "",
            "scores tell about new pictures of these sources, not about new sources",
        )


def _copies(survey: Survey, inspections: Sequence[Inspection]) -> Iterator[Finding]:
    part_of = {n: part for part in ("train", "val", "test") for n in survey.split.members(part)}
    same = copies({i.name: i.pixels_digest for i in inspections if i.name in part_of})
    inside = [group for group in same if len({part_of[name] for name in group}) == 1]
    across = [group for group in same if len({part_of[name] for name in group}) > 1]
    if inside:
        found = f"{len(inside)} pictures are there more than once: {listed(inside)}"
        yield Finding("note", "copies", found, "", "", tuple(n for group in inside for n in group))
    if across:
        yield Finding(
            "warning",
            "copies-across-split",
            f"{len(across)} pictures are on both sides of the split: {listed(across)}",
            "validation and test pictures that were not trained on",
            "remove one of each",
            tuple(name for group in across for name in group),
        )
    yield from _near_copies(part_of, {name for group in same for name in group}, inspections)


def _near_copies(part_of: dict[str, str], known: set[str], inspections: Sequence[Inspection]) -> Iterator[Finding]:
    thumbs = {i.name: i.thumb for i in inspections if i.thumb is not None and i.name in part_of and i.name not in known}
    train, val, test = (
        {name: thumb for name, thumb in thumbs.items() if part_of[name] == part} for part in ("train", "val", "test")
    )
    near = [*near_copies(train, val | test), *near_copies(val, test)]
    if near:
        shown = ", ".join(f"{a} ~ {b}" for a, b, _ in near[:3]) + (
            f" and {len(near) - 3} more" if len(near) > 3 else ""
        )
        yield Finding(
            "warning",
            "near-copies-across-split",
            f"{len(near)} times a picture looks nearly the same as one on another side of the split: {shown}",
            "validation and test pictures that were not trained on",
            "look at them; keep pictures of one scene on one side of the split",
            tuple(name for pair in near for name in pair[:2]),
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
