"""The record of a study as a table: CSV for a spreadsheet, Markdown to paste into a report, text for a terminal."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence

from unpool.report.sections import Section, Table, as_markdown
from unpool.report.spreadsheet import text_cell
from unpool.report.study_contents import Attempt, StudyContents, with_finite_numbers
from unpool.report.study_forest import difference_text
from unpool.report.text import aligned, interval_text, ratio_text
from unpool.wording import DASH, PAGE_WIDTH, bytes_text, duration_text, on_one_line


def study_csv(contents: StudyContents) -> str:
    """Return the attempts as CSV, one a line, in their order; a cell is empty where a value is not known.

    Scores are ratios 0..1, differences points (hundredths), times seconds, memory bytes.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([
        "number", "attempt", "changes", "note", "state", "ended", "given_up_at", "seeds", "score", "score_low",
        "score_high", "difference", "difference_low", "difference_high", "shown", "verdict", "validation",
        "parameters", "multiply_adds", "step_seconds", "training_seconds", "prediction_seconds", "memory_bytes",
    ])  # fmt: skip
    for number, attempt in enumerate(map(with_finite_numbers, contents.attempts), 1):
        cost = attempt.cost
        numbers = [
            attempt.score, *(attempt.score_interval or (None, None)),
            attempt.difference, *(attempt.difference_interval or (None, None)),
        ]  # fmt: skip
        writer.writerow([
            number,
            *map(
                text_cell,
                (attempt.name, attempt_changes_text(attempt), attempt.note, attempt.state, attempt.ended),
            ),
            _cell(attempt.given_up_at), attempt.seeds, *map(_cell, numbers),
            "" if attempt.difference is None else "yes" if attempt.shown else "no",
            text_cell(attempt.verdict), _cell(attempt.validation), cost.parameters, cost.multiply_adds,
            *map(_cell, (cost.step_seconds, cost.training_seconds, cost.prediction_seconds)), cost.memory,
        ])  # fmt: skip
    return text.getvalue()


def study_markdown(contents: StudyContents) -> str:
    """Return the study as Markdown: what it found, the table of attempts, warnings, rules and the command."""
    header = (
        "", "attempt", "changed", "why", "difference, points", "interval", "score", "interval", "seeds", "result",
        "parameters", "multiply-adds", "training", "prediction", "memory", "state",
    )  # fmt: skip
    rows = []
    for number, attempt in enumerate(map(with_finite_numbers, contents.attempts), 1):
        words = (attempt.name, attempt_changes_text(attempt) or DASH, attempt.note or DASH)
        costs = cost_texts(attempt)
        rows.append((
            str(number), *map(_markdown, words), *(part or DASH for part in _difference(attempt, number)),
            ratio_text(attempt.score), interval_text(attempt.score_interval) or DASH, str(attempt.seeds),
            _markdown(attempt.verdict) or DASH, *(costs[k] for k in (0, 1, 3, 4, 5)),
            _markdown(attempt_end_text(attempt)),
        ))  # fmt: skip
    found = (contents.subtitle, *contents.headline)
    sections = [
        Section("", (f"# {_markdown(contents.title)}", *(_markdown(each) for each in found if each))),
        *([Section("attempts", (Table(header, tuple(rows), left=(1, 2, 3, 9, 15)),))] if rows else []),
        *_listed("warnings", contents.warnings),
        *(Section(name, (tuple(f"{_markdown(key)}: {_markdown(value)}" for key, value in pairs),))
          for name, pairs in ((_markdown(name), pairs) for name, pairs in contents.facts)),
        *_listed("rules", contents.rules),
        *([Section("command", (f"    {on_one_line(contents.command)}",))] if contents.command else []),
    ]  # fmt: skip
    return as_markdown(sections)


def study_text(contents: StudyContents) -> str:
    """Return the study as text of at most 100 columns: what it found, the table of attempts, then each in words."""
    attempts = [with_finite_numbers(each) for each in contents.attempts]
    header = ("attempt", "points", "interval", "score", "validation", "seeds", "training", "memory", "state")
    rows = []
    for number, attempt in enumerate(attempts, 1):
        difference, bracket = _difference(attempt, number)
        costs = cost_texts(attempt)
        rows.append((
            f"{number} {attempt.name}", difference or DASH, bracket or DASH, ratio_text(attempt.score),
            ratio_text(attempt.validation), str(attempt.seeds), costs[3], costs[5], state_text(attempt),
        ))  # fmt: skip
    titles = [on_one_line(each) for each in (contents.title, contents.subtitle) if each]
    parts = [
        "\n".join(line for title in titles for line in textwrap.wrap(title, PAGE_WIDTH)),
        "\n".join(line for each in contents.headline for line in textwrap.wrap(on_one_line(each), PAGE_WIDTH)),
        "\n".join(f"{line}" for each in contents.warnings for line in _indented(f"warning: {each}", "")),
        "\n".join(aligned([header, *rows])) if rows else "",
        *("\n".join(_in_words(attempt, number)) for number, attempt in enumerate(attempts, 1)),
        *("\n".join([on_one_line(name), *(line for key, value in pairs for line in _indented(f"{key}: {value}", "  "))])
          for name, pairs in contents.facts),
        "\n".join(["rules", *(line for rule in contents.rules for line in _indented(rule, "  "))])
        if contents.rules else "",
        on_one_line(contents.command),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def attempt_changes_text(attempt: Attempt) -> str:
    """Return the settings that an attempt changes: ``maps = 32, decoder = bilinear``; an empty text for none."""
    return ", ".join(f"{name} = {value}" for name, value in attempt.changes)


def state_text(attempt: Attempt) -> str:
    """Return what became of an attempt, with the share of the training where it matters: ``given up at 25 %``."""
    if attempt.state == "given up" and attempt.given_up_at is not None:
        return f"given up at {attempt.given_up_at:.0%}".replace("%", " %")
    if attempt.state == "running" and attempt.reached == 1:
        return "trained"
    if attempt.state in ("running", "failed") and attempt.reached is not None:
        return f"{attempt.state} at {attempt.reached:.0%}".replace("%", " %")
    return attempt.state


def attempt_end_text(attempt: Attempt) -> str:
    """Return the sentence about an attempt's end, or its state where there is none."""
    return attempt.ended or state_text(attempt)


COST_TITLES = ("parameters", "multiply-adds", "step", "training", "prediction", "memory")
"""Titles of the costs of an attempt, in the order of ``cost_texts``."""


def cost_texts(attempt: Attempt) -> tuple[str, ...]:
    """Return the costs of an attempt in the order of ``COST_TITLES``, with their units; a dash for one not known."""
    cost = attempt.cost
    times = [DASH if each is None else duration_text(each)
             for each in (cost.step_seconds, cost.training_seconds, cost.prediction_seconds)]  # fmt: skip
    return _magnitude(cost.parameters), _magnitude(cost.multiply_adds), *times, bytes_text(cost.memory)


def _magnitude(count: int | None) -> str:
    """Return a count with three digits: ``812``, ``31.0 k``, ``1.43 M``, ``12.3 G``."""
    if count is None:
        return DASH
    size, letter = next(((size, letter) for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")) if count >= size),
                        (1.0, ""))  # fmt: skip
    value = count / size
    digits = 0 if not letter or value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{letter}"


def _difference(attempt: Attempt, number: int) -> tuple[str, str]:
    return ("baseline", "") if number == 1 else difference_text(attempt)


def _in_words(attempt: Attempt, number: int) -> list[str]:
    lines = _indented(f"{number} {attempt.name}{' (baseline)' if number == 1 else ''}", "")
    for title, words in (("changed", attempt_changes_text(attempt)), ("why", attempt.note), ("result", attempt.verdict),
                         ("end", attempt.ended)):  # fmt: skip
        lines += _indented(f"{title}: {words}", "  ") if words else []
    return lines


def _indented(words: str, indent: str) -> list[str]:
    return textwrap.wrap(on_one_line(words), PAGE_WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _listed(title: str, lines: Sequence[str]) -> list[Section]:
    return [Section(title, (tuple(map(_markdown, lines)),))] if lines else []


def _markdown(words: str) -> str:
    """Return words that Markdown shows as they are: no element, emphasis, code or link of their own."""
    clean = on_one_line(words)
    for mark in ("\\", "`", "*", "_", "<", "~", "$"):
        clean = clean.replace(mark, f"\\{mark}")
    return clean.replace("&", "&amp;").replace("](", "]\\(").replace("]:", "]\\:")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
