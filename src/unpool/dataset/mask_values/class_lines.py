"""Lines of a class file: a name alone, or a name with its mask value, its colour, or both, in any usual order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from unpool.class_table import IGNORE_ID, Colour
from unpool.dataset.mask_values.named_class import NamedClass

_GAP = r"\s?[\s,;:=]\s?"
_MARK = r"\s?[:=,;\t]\s?"
_VALUE = r"(?P<value>-1|\d{1,9})"
_NAME = r"(?P<name>.+?)"
_COLOUR = r"(?:(?P<rgb>\d{1,3}(?:\s?[\s,;]\s?\d{1,3}){2})|(?P<hex>#[0-9a-fA-F]{6}))"

FORMS = tuple(
    re.compile(form)
    for form in (
        rf"(?P<name>[^:]+):{_COLOUR}:[^:]*:[^:]*",  # CVAT's labelmap.txt
        rf"{_VALUE}{_GAP}{_NAME}{_GAP}{_COLOUR}",
        rf"{_VALUE}{_GAP}{_COLOUR}{_GAP}{_NAME}",
        rf"{_COLOUR}{_GAP}{_NAME}",
        rf"{_NAME}{_MARK}{_VALUE}{_MARK}{_COLOUR}",
        rf"{_NAME}{_GAP}{_COLOUR}",
        rf"{_VALUE}(?:{_MARK}|\s[-–]\s|[.)]?\s){_NAME}",
        rf"{_NAME}{_MARK}{_VALUE}",
    )
)
"""The forms of a line that has more than a name. A form is that of a file only if every line has it."""

_VALUE_LAST = re.compile(rf"{_NAME}\s{_VALUE}")
"""A form in which the number may also be a part of the name: ``cell 1``, and ``type 1`` beside ``type 2``."""
MOST_LINES, LONGEST_LINE = 10_000, 300
_HEADING_WORDS = frozenset(
    [
        "id",
        "ids",
        "idx",
        "index",
        "value",
        "pixel",
        "mask",
        "name",
        "names",
        "class",
        "classes",
        "label",
        "labels",
        "category",
        "color",
        "colour",
        "rgb",
        "hex",
        "r",
        "g",
        "b",
        "red",
        "green",
        "blue",
        "parts",
        "actions",
    ]
)
_LONE_HEADINGS = frozenset({"name", "names", "classes", "class name", "class names", "class_name", "label name"})
LABELME_IGNORED = "__ignore__"
"""The first line of labelme's class files; labelme gives it -1, which its masks hold as 255."""


class Line(NamedTuple):
    """A line of a class file, with its number from 1; its text has no gap of more than one space or tab."""

    number: int
    text: str

    @property
    def shown(self) -> str:
        """The beginning of the text, for messages."""
        return self.text[:60].replace("\t", " ")


def lines_of(text: str) -> list[Line]:
    """Return the lines of a text that say something: no empty ones, no comments (``#`` that begins no colour).

    Raises
    ------
    ValueError: there are more lines, or longer ones, than class files have.
    """
    rows = text.splitlines()
    lines = [Line(number, _narrow(row.strip())) for number, row in enumerate(rows, 1)]
    lines = [line for line in lines if line.text and not re.match(r"#(?![0-9a-fA-F]{6}\b)", line.text)]
    if len(lines) > MOST_LINES:
        raise ValueError(f"it has {len(lines):,} lines")
    if long := next((line for line in lines if len(line.text) > LONGEST_LINE), None):
        raise ValueError(f"line {long.number} has {len(long.text):,} letters")
    return lines


def _narrow(text: str) -> str:
    return re.sub(r"\s+", lambda gap: "\t" if "\t" in gap[0] else " ", text)


def named_classes(lines: Sequence[Line]) -> list[NamedClass]:
    """Read the lines of a class file, of which the first may be a heading such as ``name,r,g,b``.

    Raises
    ------
    ValueError: the lines have several forms, a number has no name, or two lines exclude each other.
    """
    form = _form_of(lines)
    if form is None:
        return _plain(lines)
    if not _fit(form, lines[0]):
        if not _is_heading(lines[0].text):
            raise ValueError(_two_forms(lines[1], lines[0]))
        lines = lines[1:]
    classes = [_with_number(form, line) for line in lines]
    _refuse_twice(lines, classes)
    return classes


def _form_of(lines: Sequence[Line]) -> re.Pattern[str] | None:
    """Return the form of all lines but a heading; None where they are names, or differ."""
    form = next((form for form in FORMS if lines and all(_fit(form, line) for line in lines[1:] or lines)), None)
    if form or len(lines) < 2:
        return form
    matches = [_fit(_VALUE_LAST, line) for line in lines[_is_heading(lines[0].text) :]]
    parts = [(match["name"], match["value"]) for match in matches if match]
    apart = all(len(set(column)) == len(matches) for column in zip(*parts, strict=True))
    return _VALUE_LAST if parts and apart else None


def _fit(form: re.Pattern[str], line: Line) -> re.Match[str] | None:
    """Return the match of a form, whose name must have a letter; None where the line has another form."""
    match = form.fullmatch(line.text)
    return match if match and re.search(r"[^\W\d]", match["name"]) else None


def _is_heading(text: str) -> bool:
    words = re.split(r"[\W_]+", text.lower())
    return set(words) <= _HEADING_WORDS


def _with_number(form: re.Pattern[str], line: Line) -> NamedClass:
    match = _fit(form, line)
    assert match is not None
    parts = match.groupdict()
    named = NamedClass(parts["name"].strip(), _value(parts), _colour(parts, line))
    if named.value != -1:
        return named
    if not named.ignored:
        raise ValueError(f"line {line.number} is '{line.shown}', and no mask value is below 0")
    return replace(named, value=IGNORE_ID)


def _value(parts: Mapping[str, str | None]) -> int | None:
    text = parts.get("value")
    return None if text is None else int(text)


def _colour(parts: Mapping[str, str | None], line: Line) -> Colour | None:
    text = parts.get("hex") or parts.get("rgb")
    if text is None:
        return None
    numbers = (
        [int(text[k : k + 2], 16) for k in (1, 3, 5)] if text[0] == "#" else list(map(int, re.findall(r"\d+", text)))
    )
    if max(numbers) > 255:
        raise ValueError(f"line {line.number} is '{line.shown}', and a colour ends at 255")
    return numbers[0], numbers[1], numbers[2]


def _refuse_twice(lines: Sequence[Line], classes: Sequence[NamedClass]) -> None:
    """Refuse a value with two names, and numbers that may belong to the names, as in ``1 euro`` and ``2 euro``."""
    by_value: dict[int, Line] = {}
    by_name: dict[str, Line] = {}
    for line, named in zip(lines, classes, strict=True):
        if named.value is None:
            continue
        if (other := by_value.setdefault(named.value, line)) != line:
            raise ValueError(f"lines {other.number} and {line.number} both name the value {named.value}")
        if (other := by_name.setdefault(named.name, line)) != line and re.match(r"\d+ ", line.text):
            raise ValueError(
                f"line {other.number} is '{other.shown}' and line {line.number} is '{line.shown}', whose numbers "
                "may be mask values or parts of the names; write '1: name' where it is a value"
            )


def _plain(lines: Sequence[Line]) -> list[NamedClass]:
    """Read lines that are names, the first of the value 0; a line that looks like more among them is refused."""
    numbered = [line for line in lines if any(_fit(form, line) for form in FORMS)]
    if numbered:
        other = next((line for line in lines if line not in numbered), lines[lines[0] == numbered[0]])
        raise ValueError(_two_forms(numbered[0], other))
    if lines and lines[0].text.lower() in _LONE_HEADINGS:
        raise ValueError(f"line {lines[0].number} is '{lines[0].shown}', which may be a heading or a class; remove it")
    _refuse_numbers(lines)
    if lines and lines[0].text == LABELME_IGNORED:
        names = [NamedClass(line.text, place) for place, line in enumerate(lines[1:])]
        return [NamedClass(LABELME_IGNORED, IGNORE_ID), *names]
    return [NamedClass(line.text) for line in lines]


def _refuse_numbers(lines: Sequence[Line]) -> None:
    """Refuse a number without a name, and numbers before all names that differ from the places of the names."""
    leading = [re.match(r"(\d+)(?![^\W_])", line.text) for line in lines]
    for place, (line, number) in enumerate(zip(lines, leading, strict=True)):
        same = number is not None and number[0] == str(place)
        if not same and not re.search(r"[^\W\d]", line.text):
            raise ValueError(f"line {line.number} is '{line.shown}', a number without a name")
        if not same and all(leading):
            raise ValueError(
                f"line {line.number} is '{line.shown}', whose number may be a mask value or a part of the name; "
                "write '1: name' where it is a value"
            )


def _two_forms(one: Line, other: Line) -> str:
    one, other = sorted((one, other))
    return (
        f"line {one.number} is '{one.shown}' and line {other.number} is '{other.shown}', which differ in form; "
        "write all lines alike, as '0: name'"
    )
