"""Options that name mask values, ready to paste into a command: ``--classes 0=background 255=object``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from itertools import pairwise

from unpool.class_table import IGNORE_ID, ClassTable, MaskKind, MaskValue, ValueRange, unflatten_value, value_text

LARGEST_GREY = 255
MOST_PASTED = 24
"""Most classes in a command that a person would paste."""


def classes_option(classes: Iterable[tuple[str, str]]) -> str:
    """Return ``--classes`` with mask values, as a person writes them, and names."""
    return " ".join(["--classes", *(shlex.quote(f"{value}={name}") for value, name in classes)])


def ignore_option(values: Sequence[MaskValue]) -> str:
    """Return ``--ignore`` with mask values."""
    return " ".join(["--ignore", *(shlex.quote(value_text(value)) for value in values)])


def ranges_option(values: Sequence[int], names: Sequence[str]) -> str:
    """Return ``--classes`` with ranges of greys that end halfway between these values, sorted, of 8 bits."""
    ends = [*((low + high) // 2 for low, high in pairwise(values)), LARGEST_GREY]
    starts = [0, *(end + 1 for end in ends)]
    spans = [str(ValueRange(start, end, 0)) for start, end in zip(starts, ends, strict=False)]
    return classes_option(zip(spans, names, strict=True))


def named_option(table: ClassTable, more: Sequence[tuple[MaskValue, str]] = ()) -> str:
    """Return ``--classes`` with every class of a table, its ignored values, and more values with their names."""
    classes = [(",".join(table.value_texts(k)), name) for k, name in enumerate(table.names)]
    ignored = table.value_texts(IGNORE_ID)
    classes += [(",".join(ignored), "ignore")] if ignored else []
    return classes_option([*classes, *((value_text(value), name) for value, name in more)])


def placeholders(values: Sequence[int], kind: MaskKind) -> list[str]:
    """Return a name for each flat value, for a person to replace: the first is the background where it is 0."""
    texts = [value_text(unflatten_value(value, kind)).removeprefix("#") for value in values]
    if len(values) == 2 and values[0] == 0:
        return ["background", "object"]
    return [f"class{text}" if value or k else "background" for k, (value, text) in enumerate(zip(values, texts))]  # noqa: B905
