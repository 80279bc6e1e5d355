"""The survey as a page of text for a person."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable

from unpool.class_table import value_text
from unpool.dataset.findings import Finding
from unpool.dataset.survey_result import PictureFacts, Survey

WIDTH = 100
BAR = 24
_MARKS = {"error": "ERROR", "warning": "WARNING", "note": "note"}


def describe(survey: Survey) -> str:
    """The page of ``unpool check``, ``WIDTH`` columns wide: what is there, what is wrong, a verdict."""
    parts = [_about(survey), _classes(survey), _split(survey), _findings(survey), [verdict(survey)]]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def verdict(survey: Survey) -> str:
    """One line: whether the folder can be used."""
    counts = Counter(finding.severity for finding in survey.findings)
    ready = "Ready to train" if survey.split.train else "Ready to test"
    if counts["error"]:
        return f"Not ready: {_count(counts['error'], 'error')} to mend first."
    if counts["warning"]:
        return f"{ready}, with {_count(counts['warning'], 'warning')} to think about."
    return f"{ready}."


def _about(survey: Survey) -> list[str]:
    folder, facts = survey.folder, list(survey.pictures.values())
    pairs = f"{len(folder.pairs)}"
    if len(facts) < len(folder.pairs):
        pairs += f", {len(facts)} of them sound"
    orphans = [
        _count(len(paths), what)
        for paths, what in ((folder.orphan_images, "picture"), (folder.orphan_masks, "mask"))
        if paths
    ]
    if orphans:
        pairs += f"; {' and '.join(orphans)} without a partner"
    sizes = Counter(f"{fact.rows} x {fact.columns}" for fact in facts)
    types = Counter(f"{fact.dtype} {_form(fact)}" for fact in facts)
    lines = [
        ("folder", str(folder.root)),
        ("layout", folder.layout),
        ("pairs", pairs),
        ("sizes", "rows x columns: " + _tallied(sizes, 4) if sizes else "none could be read"),
        ("pixels", _tallied(types, 4) if types else "none could be read"),
        ("network", f"takes {_count(survey.channels, 'channel')}, tells {len(survey.table)} classes apart"),
    ]
    if survey.table.kind == "instances":
        lines.append(("objects", f"{sum(fact.objects or 0 for fact in facts):,} in {len(facts)} pictures"))
    return [line for label, text in lines for line in _labelled(label, text)]


def _form(fact: PictureFacts) -> str:
    return f"{fact.channels} channels" if fact.form == "channels" else fact.form


def _classes(survey: Survey) -> list[str]:
    table = survey.table
    shares = survey.class_shares(survey.pictures)
    present = [sum(fact.class_pixels[k] > 0 for fact in survey.pictures.values()) for k in range(len(table))]
    values = [_values(survey, k) for k in range(len(table))]
    ignored = sum(fact.ignored_pixels for fact in survey.pictures.values())
    everything = ignored + sum(survey.class_pixels(survey.pictures))
    wide = max(len(name) for name in (*table.names, "class"))
    value_wide = max(len(value) for value in (*values, "mask value"))
    lines = [f"{'mask value':>{value_wide}}  {'class':{wide}}  {'pixels':>7}  {'':{BAR}}  pictures"]
    for name, value, share, count in zip(table.names, values, shares, present, strict=True):
        lines.append(f"{value:>{value_wide}}  {name:{wide}}  {share:>7.2%}  {_bar(share):{BAR}}  {count:>8}")
    if table.ignore:
        value = "/".join(map(value_text, table.ignore))
        lines.append(f"{value:>{value_wide}}  {'(ignored)':{wide}}  {ignored / max(everything, 1):>7.2%} of all pixels")
    return lines


def _split(survey: Survey) -> list[str]:
    split = survey.split
    sizes = ", ".join(f"{part} {len(split.members(part))}" for part in ("train", "val", "test") if split.members(part))
    return [*_labelled("split", sizes), *_labelled("", split.origin)]


def _findings(survey: Survey) -> list[str]:
    return [line for finding in survey.findings for line in _finding(finding)]


def _finding(finding: Finding) -> Iterable[str]:
    mark = _MARKS[finding.severity]
    yield from _labelled(mark, f"[{finding.code}] {finding.found}")
    if finding.expected:
        yield from _labelled("", f"expected: {finding.expected}")
    if finding.repair:
        yield from _labelled("", f"to do: {finding.repair}")


def _values(survey: Survey, k: int) -> str:
    if survey.table.kind == "instances":
        return "0" if k == 0 else "1 and up"
    return "/".join(map(value_text, survey.table.values[k]))


def _labelled(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{label:9}",
        subsequent_indent=" " * 9,
        break_on_hyphens=False,
    )


def _tallied(counts: Counter[str], most: int) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    shown = ", ".join(f"{text} ({count})" for text, count in counts.most_common(most))
    return shown + (f", {len(counts) - most} more" if len(counts) > most else "")


def _bar(share: float) -> str:
    eighths = round(share * BAR * 8)
    whole, part = divmod(eighths, 8)
    return "█" * whole + ("▏▎▍▌▋▊▉"[part - 1] if part else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
