"""Findings about the whole set: picture types, classes, the split, and pictures that are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from unpool.data.groups import copies_apart, kind_of
from unpool.dataset.checks.one_pair import Inspection
from unpool.dataset.checks.similarity import equal_pictures, groups_text, similar_pictures
from unpool.dataset.checks.value_ranges import value_findings
from unpool.dataset.findings import Finding
from unpool.dataset.split import keeps_groups
from unpool.dataset.survey_result import Survey
from unpool.wording import all_of, count_text, first_of

FEW_PAIRS = 10
"""Number of pairs below which scores say little."""
TINY_SHARE = 0.001
"""Share of the counted pixels below which a class is suspicious."""


def whole_set_findings(survey: Survey, inspections: Sequence[Inspection], testing: bool, named: bool) -> list[Finding]:
    """Return the findings that need the whole set.

    Parameters
    ----------
    testing: the masks were read by a given table; nothing will be trained.
    named: a person or a table named the classes.
    """
    findings = [*_mixed_pictures(survey), *_empty_masks(survey, testing)]
    findings += [*_few_pairs(survey, testing), *_classes(survey, testing, named)]
    findings += [*value_findings(survey.pictures, survey.split), *_ignored_parts(survey, testing)]
    findings += [] if testing else _types_not_in_train(survey)
    return [*findings, *_lossy_masks(survey, inspections), *_split(survey), *_equal_pictures(survey, inspections)]


def _few_pairs(survey: Survey, testing: bool) -> Iterator[Finding]:
    count = len(survey.folder.pairs)
    if count < FEW_PAIRS:
        yield Finding(
            "note" if testing else "warning",
            "few-pairs",
            f"only {count_text(count, 'pair')}",
            f"{FEW_PAIRS} or more, so that scores mean something",
            "annotate more pictures; a few different ones help more than many similar ones",
        )


def _mixed_pictures(survey: Survey) -> Iterator[Finding]:
    facts = list(survey.pictures.values())
    sizes = Counter((fact.rows, fact.columns) for fact in facts)
    if len(sizes) > 1:
        yield Finding("note", "mixed-sizes", f"{len(sizes)} different picture sizes; training uses crops of one size")
    channels = Counter(fact.channels for fact in facts)
    if set(channels) == {1, 3}:
        found = f"{channels[1]} grey and {channels[3]} RGB pictures; grey is repeated to 3 channels"
        yield Finding("note", "mixed-channels", found)
    elif len(channels) > 1:
        rarest = channels.most_common()[-1][0]
        yield Finding(
            "error",
            "mixed-channels",
            f"pictures with {all_of([count_text(number, 'channel') for number in sorted(channels)])}",
            "one number of channels in all pictures, or grey and RGB mixed",
            "convert the pictures to one number of channels, or move the others out of the folder",
            tuple(fact.name for fact in facts if fact.channels == rarest),
        )
    types = Counter(fact.dtype for fact in facts)
    if len(types) > 1:
        counts = all_of([f"{count} {kind}" for kind, count in types.most_common()])
        yield Finding("note", "mixed-types", f"several pixel types ({counts}); each is normalised on its own")


def _types_not_in_train(survey: Survey) -> Iterator[Finding]:
    """Yield the error of pixel types that only val or test has: no training picture tells how to normalise them."""
    type_of = {name: fact.dtype for name, fact in survey.pictures.items()}
    trained = {type_of[name] for name in survey.split.train if name in type_of}
    for part in ("val", "test"):
        names = [n for n in survey.split.members(part) if trained and type_of.get(n, "") not in {"", *trained}]
        if names:
            yield Finding(
                "error",
                "type-not-in-train",
                f"{count_text(len(names), 'picture')} in {part} of type {type_of[names[0]]}, which no training picture "
                f"has: {first_of(names)}",
                f"the pixel types of the training pictures: {', '.join(sorted(trained))}",
                "save all pictures with one pixel type, or move some pictures of that type to train",
                tuple(names),
            )


def _ignored_parts(survey: Survey, testing: bool) -> Iterator[Finding]:
    for part in ("test",) if testing else ("train", "val"):
        names = tuple(name for name in survey.split.members(part) if name in survey.pictures)
        if names and not any(survey.class_pixels(names)):
            yield Finding(
                "error",
                f"{part}-ignored",
                f"every pixel in {part} is ignored ({count_text(len(names), 'mask')}: {first_of(names)})",
                f"pixels of some class in {part}",
                f"{_check_ignored(testing)}, or divide the pictures in another way",
                names,
            )


def _classes(survey: Survey, testing: bool, named: bool) -> Iterator[Finding]:
    table, split = survey.table, survey.split
    shares = survey.class_shares(survey.pictures)
    if any(shares) and sum(share > 0 for share in shares) < 2:
        yield Finding(
            "warning" if testing else "error",
            "one-class",
            f"all masks hold only {', '.join(n for n, s in zip(table.names, shares, strict=True) if s)}",
            "pixels of two classes or more",
            "check that these files are the masks, and that the mask values of the classes are right",
        )
    two_ways = any(finding.code == "two-ways" for finding in survey.findings)  # the cause of the absence
    val_given = any(pair.split == "val" for pair in survey.folder.pairs)
    for part in () if testing else ("train", "val"):
        pixels = survey.class_pixels(split.members(part))
        absent = [name for name, count in zip(table.names, pixels, strict=True) if not count]
        if any(pixels) and absent and not two_ways:
            yield Finding(
                "warning",
                f"absent-in-{part}",
                f"no pixel of class {first_of(absent, 12)} in {part}",
                "every class in train and in val",
                f"add pictures of it to {part}{'' if val_given else ', or try another --seed'}",
            )
    tiny = [f"{n} ({s:.3%})" for n, s in zip(table.names, shares, strict=True) if 0 < s < TINY_SHARE]
    if tiny:
        found = f"classes with less than {TINY_SHARE:.1%} of the pixels: {', '.join(tiny)}"
        if named:
            yield Finding("note", "tiny-class", found)
        else:
            repair = "look at the masks; name the classes with --classes, and ignore values of no class with --ignore"
            yield Finding("warning", "tiny-class", found, "only values that were drawn on purpose", repair)


def _check_ignored(testing: bool) -> str:
    return "check which mask values the model ignores" if testing else "check the ignored mask values (--ignore)"


def _empty_masks(survey: Survey, testing: bool) -> Iterator[Finding]:
    facts = survey.pictures.values()
    empty = [fact.name for fact in facts if fact.class_pixels[0] and not any(fact.class_pixels[1:])]
    if empty and len(empty) < len(survey.pictures):
        found = f"{count_text(len(empty), 'mask')} with nothing but {survey.table.names[0]}: {first_of(empty)}"
        yield Finding("note", "empty-masks", found, "", "check that they are finished", tuple(empty))
    ignored = [fact.name for fact in facts if not any(fact.class_pixels)]
    if ignored:
        yield Finding(
            "warning",
            "ignored-masks",
            f"{count_text(len(ignored), 'mask')} with nothing but ignored pixels: {first_of(ignored)}",
            "pixels of some class in every mask",
            f"remove these pairs, or {_check_ignored(testing)}",
            tuple(ignored),
        )


def _lossy_masks(survey: Survey, inspections: Sequence[Inspection]) -> Iterator[Finding]:
    lossy = [i.name for i in inspections if i.tally is not None and i.tally.lossy and i.name in survey.pictures]
    if lossy and not survey.table.approximate:
        found = f"{count_text(len(lossy), 'JPEG mask')}, with exact values only by luck: {first_of(lossy)}"
        yield Finding("note", "lossy-mask", found, "", "save masks as PNG", tuple(lossy))


def _split(survey: Survey) -> Iterator[Finding]:
    split = survey.split
    apart = copies_apart({part: split.members(part) for part in ("train", "val", "test")})
    if apart:
        base, parts = next(iter(sorted(apart.items())))
        yield Finding(
            "warning",
            "varied-copies-apart",
            f"by their names, varied copies of {count_text(len(apart), 'picture')} are on more than one side of the "
            f"split, such as {base} in {all_of(sorted(parts))}",
            "validation and test pictures of which no copy was trained on",
            "divide the pictures before copies of them are made, or put the pairs of all parts into one folder so that "
            "Unpool makes the split",
        )
    drawn = not any(pair.split == "val" for pair in survey.folder.pairs)
    kind = kind_of((*split.train, *split.val))
    kinds = sorted({kind[name] for name in split.train} & {kind[name] for name in split.val} - {""})
    if drawn and kinds:
        found = f"{first_of(kinds)} are taken as kinds of pictures, not as their sources: each is in train and in val"
        repair = "if they are sources, such as patients or films, make train/ and val/ yourself"
        yield Finding("note", "kinds-divided", found, "", repair)
    if apart or not split.val or keeps_groups(split):
        return
    if drawn:
        yield Finding(
            "warning",
            "ungrouped-split",
            "pictures of one source are in train and in val, because the sources are too few or too unequal",
            "validation on sources that were not trained on",
            "add pictures of other sources, or make train/ and val/ yourself",
        )
    else:
        yield Finding(
            "note",
            "source-in-both",
            "by their names, pictures of one source are in train and in val, as the folder gives them",
            "",
            "read the scores as scores on new pictures of these sources, not on new sources",
        )


def _equal_pictures(survey: Survey, inspections: Sequence[Inspection]) -> Iterator[Finding]:
    part_of = {n: part for part in ("train", "val", "test") for n in survey.split.members(part)}
    groups = equal_pictures({i.name: i.pixels_digest for i in inspections if i.name in part_of})
    inside = [group for group in groups if len({part_of[name] for name in group}) == 1]
    across = [group for group in groups if len({part_of[name] for name in group}) > 1]
    if inside:
        found = f"{count_text(len(inside), 'picture')} in the set more than once: {groups_text(inside)}"
        yield Finding("note", "copies", found, "", "", tuple(n for group in inside for n in group))
    if across:
        yield Finding(
            "warning",
            "copies-across-split",
            f"{count_text(len(across), 'picture')} on more than one side of the split: {groups_text(across)}",
            "validation and test pictures that were not trained on",
            "keep one of each and remove the others",
            tuple(name for group in across for name in group),
        )
    yield from _similar_pictures(part_of, {name for group in groups for name in group}, inspections)


def _similar_pictures(part_of: dict[str, str], equal: set[str], inspections: Sequence[Inspection]) -> Iterator[Finding]:
    thumbs = {i.name: i.thumb for i in inspections if i.thumb is not None and i.name in part_of and i.name not in equal}
    train, val, test = (
        {name: thumb for name, thumb in thumbs.items() if part_of[name] == part} for part in ("train", "val", "test")
    )
    similar = [*similar_pictures(train, val | test), *similar_pictures(val, test)]
    if similar:
        yield Finding(
            "warning",
            "near-copies-across-split",
            f"{count_text(len(similar), 'picture')} nearly equal to one on another side of the split: "
            + first_of([f"{pair.one} ~ {pair.other}" for pair in similar], 3),
            "validation and test pictures that were not trained on",
            "look at them; keep all pictures of one scene on one side of the split",
            tuple(name for pair in similar for name in (pair.one, pair.other)),
        )
