"""Pages of sections with titles, paragraphs and tables: as text for a terminal, and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from unpool.wording import PAGE_WIDTH, on_one_line


@dataclass(frozen=True)
class Table:
    """A table of text; a row of one cell is a heading within the table.

    Attributes
    ----------
    left: numbers of the columns that are aligned to the left; the others are aligned to the right.
    wide: whether cells are long; all are then aligned to the left, and folded on a terminal.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = (0,)
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A title with its parts: paragraphs as texts, tables, and lists as tuples of lines."""

    title: str
    parts: tuple[str | Table | tuple[str, ...], ...]


def as_text(sections: Sequence[Section]) -> str:
    """Return the sections as text of at most 100 columns; a section without a title begins the page."""
    return "\n\n".join("\n".join(_text_lines(section)) for section in sections)


def as_markdown(sections: Sequence[Section]) -> str:
    """Return the sections as Markdown with titles of the second level."""
    blocks = []
    for section in sections:
        blocks += [f"## {section.title[:1].upper()}{section.title[1:]}"] if section.title else []
        for part in section.parts:
            if isinstance(part, Table):
                blocks.append(_markdown_table(part))
            elif isinstance(part, tuple):
                blocks.append("\n".join(f"- {line}" for line in part))
            else:
                blocks.append(part)
    return "\n\n".join(blocks) + "\n"


def _text_lines(section: Section) -> list[str]:
    lines = [section.title.upper()] if section.title else []
    for part in section.parts:
        if isinstance(part, Table):
            rows = tuple(tuple(map(on_one_line, row)) for row in part.rows)
            lines += _folded(replace(part, rows=rows)) if part.wide else _aligned(replace(part, rows=rows))
        elif isinstance(part, tuple):
            for line in part:
                lines += textwrap.wrap(on_one_line(line), PAGE_WIDTH, initial_indent="- ", subsequent_indent="  ")
        else:
            lines += textwrap.wrap(on_one_line(part), PAGE_WIDTH, break_on_hyphens=False)
    return lines


def _aligned(table: Table) -> list[str]:
    full = [table.header, *(row for row in table.rows if len(row) > 1)]
    widths = [max(len(row[k]) for row in full) for k in range(len(table.header))]
    gap = "  " if sum(widths) + 2 * len(widths) - 2 <= PAGE_WIDTH else " "
    lines = []
    for row in (table.header, *table.rows):
        cells = [cell.ljust(w) if k in table.left else cell.rjust(w)
                 for k, (cell, w) in enumerate(zip(row, widths, strict=False))]  # fmt: skip
        lines.append(gap.join(cells).rstrip() if len(row) > 1 else row[0])
    return lines


def _folded(table: Table) -> list[str]:
    full = (table.header, *table.rows)
    widths = _folded_widths([max(len(row[k]) for row in full) for k in range(len(table.header))])
    lines = []
    for row in full:
        cells = [textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(row, widths, strict=True)]
        for line in range(max(1, *map(len, cells))):
            here = [cell[line] if line < len(cell) else "" for cell in cells]
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(here, widths, strict=True)).rstrip())
    return lines


def _folded_widths(longest: list[int]) -> list[int]:
    """Return widths of columns that fit the page, from their longest cells: the widest columns shrink first."""
    widths = list(longest)
    while sum(widths) + 2 * len(widths) - 2 > PAGE_WIDTH:
        widths[widths.index(max(widths))] -= 1
    return widths


def _markdown_table(table: Table) -> str:
    columns = len(table.header)
    rule = ["---" if k in table.left or table.wide else "--:" for k in range(columns)]
    rows = [[f"**{row[0]}**", *[""] * (columns - 1)] if len(row) == 1 else list(row) for row in table.rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in row) + " |" for row in ([*table.header], rule, *rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
