"""The survey as a page of text."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable

from unpool.class_table import IGNORE_ID, ClassTable
from unpool.dataset.findings import Finding
from unpool.dataset.picture_facts import PictureFacts
from unpool.dataset.survey_result import Survey
from unpool.wording import PAGE_WIDTH, all_of, count_text, first_of, on_one_line, size_text

_BAR_WIDTH = 24
_WIDEST = 20
"""Most letters of the ignored values for which the table is made wider."""
_OPTIONS = re.compile(
    r"(?:--snap )?--(?:classes|ignore)(?: (?:'[^']*'(?![\w'])|[^\s=;]+=[^\s;,]+|\d+(?![^\s;,])))+|--snap|--masks \w+"
)
"""Options with the values that follow, as a person copies them."""
_NO_BREAK = "\0"
_MARKS = {"error": "ERROR", "warning": "WARNING", "note": "note"}


def survey_page(survey: Survey) -> str:
    """Return the page of ``unpool check``, 100 columns wide: the content, the findings, and a verdict."""
    about = [line for label, text in folder_facts(survey) for line in _labelled(label, text)]
    parts = [about, _classes(survey), _split(survey), _findings(survey), [verdict_line(survey)]]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def verdict_line(survey: Survey) -> str:
    """Return one line that says whether the folder can be used."""
    counts = Counter(finding.severity for finding in survey.findings)
    ready = "Ready to train" if survey.split.train else "Ready to test"
    if counts["error"]:
        return f"Not ready: {count_text(counts['error'], 'error')} to correct first."
    if counts["warning"]:
        return f"{ready}, with {count_text(counts['warning'], 'warning')} to look at."
    return f"{ready}."


def folder_facts(survey: Survey) -> list[tuple[str, str]]:
    """Return what is in a folder, as label and text: its layout, its pairs, their sizes and pixels, the network."""
    folder, facts = survey.folder, list(survey.pictures.values())
    pairs = f"{len(folder.pairs)}"
    if len(facts) < len(folder.pairs):
        pairs += f", {len(facts)} of them usable"
    unpaired = [
        count_text(len(paths), noun)
        for paths, noun in ((folder.unpaired_images, "picture"), (folder.unpaired_masks, "mask"))
        if paths
    ]
    if unpaired:
        pairs += f"; {all_of(unpaired)} without a partner"
    sizes = Counter(size_text((fact.rows, fact.columns)) for fact in facts)
    types = Counter(f"{fact.dtype} {_form(fact)}" for fact in facts)
    lines = [
        ("folder", str(folder.root)),
        ("layout", folder.layout),
        ("pairs", pairs),
        ("sizes", "rows x columns: " + _counted(sizes) if sizes else "no picture can be read"),
        ("pixels", _counted(types) if types else "no picture can be read"),
        ("network", f"{count_text(survey.channels, 'channel')} in, {count_text(len(survey.table), 'class')} out"),
    ]
    if survey.table.kind == "instances":
        lines.append(("objects", f"{sum(fact.objects or 0 for fact in facts):,} in {len(facts)} pictures"))
    return lines


def _form(fact: PictureFacts) -> str:
    return f"{fact.channels} channels" if fact.form == "channels" else fact.form


def _classes(survey: Survey) -> list[str]:
    table = survey.table
    shares = survey.class_shares(survey.pictures)
    present = [sum(fact.class_pixels[k] > 0 for fact in survey.pictures.values()) for k in range(len(table))]
    values = [mask_values_text(table, k) for k in range(len(table))]
    ignored = sum(fact.ignored_pixels for fact in survey.pictures.values())
    all_pixels = ignored + sum(survey.class_pixels(survey.pictures))
    names = [on_one_line(name) for name in table.names]
    ignored_values = "/".join(table.value_texts(IGNORE_ID))
    name_width = max(len(name) for name in (*names, "class"))
    value_width = max(len(value) for value in (*values, "mask value", ignored_values[:_WIDEST]))
    lines = [f"{'mask value':>{value_width}}  {'class':{name_width}}  {'pixels':>7}  {'':{_BAR_WIDTH}}  pictures"]
    for name, value, share, count in zip(names, values, shares, present, strict=True):
        lines.append(
            f"{value:>{value_width}}  {name:{name_width}}  {share:>7.2%}  {_bar(share):{_BAR_WIDTH}}  {count:>8}"
        )
    if table.ignore:
        share = ignored / max(all_pixels, 1)
        lines.append(f"{ignored_values:>{value_width}}  {'(ignored)':{name_width}}  {share:>7.2%} of all pixels")
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


def mask_values_text(table: ClassTable, k: int) -> str:
    """Return the mask values of class ``k`` in words: ``0``, ``1/3`` or ``1 and up``."""
    if table.kind == "instances":
        return "0" if k == 0 else "1 and up"
    return "/".join(table.value_texts(k))


def _labelled(label: str, text: str) -> list[str]:
    """Return a text as lines with a label; options with their values stay on one line, so that they can be copied."""
    whole = _OPTIONS.sub(lambda options: options[0].replace(" ", _NO_BREAK), on_one_line(text))
    lines = textwrap.wrap(
        whole,
        PAGE_WIDTH,
        initial_indent=f"{label:9}",
        subsequent_indent=" " * 9,
        break_on_hyphens=False,
        break_long_words=_NO_BREAK not in whole,
    )
    return [line.replace(_NO_BREAK, " ") for line in lines]


def _counted(counts: Counter[str]) -> str:
    """Return the most common texts with their counts; a single one without its count."""
    if len(counts) == 1:
        return next(iter(counts))
    return first_of([f"{text} ({count})" for text, count in counts.most_common()])


def _bar(share: float) -> str:
    eighths = round(share * _BAR_WIDTH * 8)
    full, part = divmod(eighths, 8)
    return "█" * full + ("▏▎▍▌▋▊▉"[part - 1] if part else "")
