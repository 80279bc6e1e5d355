"""Findings about the values of the pictures: two scales in one set, missing data, one value alone, colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import accumulate, pairwise
from statistics import median

import numpy as np

from unpool.appearance.comparison import differences, times_text
from unpool.appearance.picture import Appearance
from unpool.appearance.seen import SeenPictures
from unpool.appearance.values import Values
from unpool.dataset.findings import Finding, joined
from unpool.dataset.picture_facts import PictureFacts
from unpool.dataset.split import Split
from unpool.wording import count_text, first_of, percent_text

GAP = 8.0
"""Ratio between the reaches of two pictures that are next to each other in order, from which two groups are apart."""
SCALES = 50.0
"""Ratio between the median reaches of two groups from which they cannot share a mean and a deviation."""
DEPTHS = (1, 255, 1023, 4095, 16383, 65535)
"""Largest values of the usual ways of storing pictures."""
FULL = 0.9
"""Share of a depth's largest value that the pictures of a group reach if they use that depth."""
SHIFT = 3.0
"""Distance between the ranges of two groups, in lengths of the longer one, from which they are in two units."""
MOST_VALUES = 2
"""Values with a finding of their own; more are joined into one."""


def value_findings(pictures: Mapping[str, PictureFacts], split: Split) -> list[Finding]:
    """Return the findings about the values of a set's pictures.

    Parameters
    ----------
    pictures: facts of the usable pairs, by pair name.
    """
    by_type: dict[str, dict[str, PictureFacts]] = {}
    for name, fact in pictures.items():
        by_type.setdefault(fact.dtype, {})[name] = fact
    findings = [*_missing_data(pictures), *_one_value(pictures), *_colours_not_in_train(pictures, split)]
    for facts in by_type.values():
        findings += [*_mixed_ranges(facts)] or [*_dark_pictures(facts)]
    return findings


def _mixed_ranges(facts: Mapping[str, PictureFacts]) -> Iterator[Finding]:
    """Yield the warning of pictures of one type that are stored in two scales, or in two units.

    A picture whose mask has one class alone may show nothing, so its range proves nothing and is left out.
    """
    of_pictures = {name: fact.appearance.range for name, fact in facts.items() if _shows_classes(fact)}
    ranges = {name: each for name, each in of_pictures.items() if each}
    reach = {name: max(map(abs, each)) for name, each in ranges.items()}
    scales = _scales(reach)
    groups = scales or _units(ranges)
    if not groups:
        return
    large = set(groups[1])
    odd, others = sorted(([name for name in reach if name in group] for group in map(set, groups)), key=len)
    ratio = median(reach[name] for name in groups[1]) / median(reach[name] for name in groups[0])
    far = "the first" if odd[0] in large else "the others"
    yield Finding(
        "warning",
        "mixed-ranges",
        f"{count_text(len(odd), 'picture')} with values from {_range_text(ranges, odd)} ({first_of(odd)}), and "
        f"{len(others)} with values from {_range_text(ranges, others)}"
        + (f"; {far} reach {times_text(ratio)}" if scales else ""),
        "one scale and one unit in all pictures of a pixel type, because they share a mean and a deviation",
        "store these pictures in the scale of the others",
        tuple(odd),
    )


def _scales(reach: Mapping[str, float]) -> tuple[list[str], list[str]] | None:
    """Return the pictures of a small and of a large scale; None where there is one scale."""
    ordered = sorted(reach, key=lambda name: reach[name])
    largest = _depth(max(reach.values(), default=0.0))
    for place, (one, other) in enumerate(pairwise(ordered), start=1):
        if reach[other] < GAP * reach[one]:
            continue
        small, large = ordered[:place], ordered[place:]
        ratio = median(reach[name] for name in large) / median(reach[name] for name in small)
        if ratio >= SCALES or (largest is not None and _depth(reach[one]) not in (None, largest)):
            return small, large
    return None


def _depth(reach: float) -> int | None:
    """Return the depth that pictures use whose values reach so far; None where they fill no depth."""
    return next((depth for depth in DEPTHS if FULL * depth <= reach <= depth), None)


def _units(ranges: Mapping[str, tuple[float, float]]) -> tuple[list[str], list[str]] | None:
    """Return the pictures of two ranges that lie far apart; None where they do not."""
    ordered = sorted(ranges, key=lambda name: ranges[name])
    tops = [ranges[name][1] for name in ordered]
    below, largest = list(accumulate(tops, max)), list(accumulate(reversed(tops), max))[::-1]
    for place in range(1, len(ordered)):
        least, above = ranges[ordered[0]][0], ranges[ordered[place]][0]
        if above - below[place - 1] > SHIFT * max(below[place - 1] - least, largest[place] - above):
            return ordered[:place], ordered[place:]
    return None


def _range_of(ranges: Mapping[str, tuple[float, float]], names: Sequence[str]) -> tuple[float, float]:
    return min(ranges[name][0] for name in names), max(ranges[name][1] for name in names)


def _range_text(ranges: Mapping[str, tuple[float, float]], names: Sequence[str]) -> str:
    return "{:.5g} to {:.5g}".format(*_range_of(ranges, names))


def _missing_data(facts: Mapping[str, PictureFacts]) -> list[Finding]:
    """Return a finding for each value that is far from all others, or that files declare as missing data."""
    far = {value for fact in facts.values() for value, _ in fact.appearance.far_values}
    pictures: dict[float, dict[str, Appearance]] = {value: {} for value in sorted(far)}
    for name, fact in facts.items():
        for value in far & fact.appearance.doubtful:
            pictures[value][name] = fact.appearance
    findings = [_missing_value(value, having) for value, having in pictures.items()]
    return findings if len(findings) <= MOST_VALUES else joined(findings)


def _missing_value(value: float, pictures: Mapping[str, Appearance]) -> Finding:
    names = tuple(pictures)
    share = sum(picture.share(value) for picture in pictures.values()) / len(names)
    together = reduce(Values.joined, [each for picture in pictures.values() for each in picture.channels])
    others = together.range_without({value})
    declared = any(picture.declared == value for picture in pictures.values())
    return Finding(
        "warning",
        "missing-data",
        f"{count_text(len(names), 'picture')} with the value {value:.6g} on {percent_text(share)} of the pixels "
        f"({first_of(names)}), "
        + ("which the files declare as missing data" if declared else "far from all others")
        + (f"; the others are {others[0]:.5g} to {others[1]:.5g}" if others else "")
        + f"; with it, the mean is {together.mean:.5g} and the deviation {together.deviation:.5g}",
        "a usual value in every pixel, because normalisation and the network take each as it is",
        "if it means missing data, replace it in the pictures, such as by the mean of the others, and give those "
        "pixels an ignored value in the masks",
        names,
    )


def _one_value(facts: Mapping[str, PictureFacts]) -> Iterator[Finding]:
    names = [name for name, fact in facts.items() if all(channel.constant for channel in fact.appearance.channels)]
    drawn = [name for name in names if _shows_classes(facts[name])]
    if drawn:
        yield Finding(
            "warning",
            "constant-picture",
            f"{count_text(len(drawn), 'picture')} of one value alone, with masks of several classes: {first_of(drawn)}",
            "pictures that show what the masks show",
            "look at them; export them again, or remove these pairs",
            tuple(drawn),
        )
    elif names:
        found = f"{count_text(len(names), 'picture')} of one value alone: {first_of(names)}"
        yield Finding("note", "constant-picture", found, "", "check that nothing is missing", tuple(names))


def _dark_pictures(facts: Mapping[str, PictureFacts]) -> Iterator[Finding]:
    """Yield the note of pictures that use a small part of their pixel type; it matters where only some do."""
    tops = {name: max(channel.largest for channel in fact.appearance.channels) for name, fact in facts.items()}
    whole = np.dtype(next(iter(facts.values())).dtype)
    dark = [name for name, top in tops.items() if whole.kind == "u" and top < (np.iinfo(whole).max + 1) // 16]
    if dark:
        found = (
            f"{count_text(len(dark), 'picture')} without a pixel above {max(tops[name] for name in dark):g} of "
            f"{np.iinfo(whole).max}: {first_of(dark)}"
        )
        made_up = "; normalisation makes up for it" if len(dark) == len(facts) else ""
        yield Finding("note", "dark-picture", found + made_up, "", "", tuple(dark))


def _colours_not_in_train(pictures: Mapping[str, PictureFacts], split: Split) -> Iterator[Finding]:
    """Yield the warning of grey pictures in val or test where train has only coloured ones, and the other way round."""
    trained = [pictures[name].appearance for name in split.train if name in pictures]
    seen = replace(SeenPictures.of(trained), ranges={})
    for part in ("val", "test"):
        members = [name for name in split.members(part) if name in pictures]
        found = {name: differences(pictures[name].appearance, seen) for name in members}
        names = [name for name in members if found[name]]
        if trained and names:
            kind = "in grey" if "grey" in found[names[0]] else "in colour"
            yield Finding(
                "warning",
                "colour-not-in-train",
                f"{count_text(len(names), 'picture')} in {part} {kind}, as no training picture is: {first_of(names)}",
                "grey and coloured pictures in train if val or test has both",
                "divide the pictures into folders train/ and val/ with both kinds in train, or remove these pictures",
                tuple(names),
            )


def _shows_classes(fact: PictureFacts) -> bool:
    return sum(map(bool, fact.class_pixels)) > 1
