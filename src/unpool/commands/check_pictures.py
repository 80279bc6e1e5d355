"""The pictures of a check's page: for each finding the pairs or files that it concerns, and a gallery of pairs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from unpool.class_table import IGNORE_ID
from unpool.commands.events import Event, Message, Progress
from unpool.data.samples import Pair, read_sample
from unpool.dataset.survey_result import Survey
from unpool.dataset.survey_text import folder_facts, mask_values_text, verdict_line
from unpool.errors import DataError, UsageError
from unpool.io.files import write_text
from unpool.io.read.images import IMAGE_SUFFIXES, read_image
from unpool.io.read.masks import read_mask
from unpool.io.text_files import read_text
from unpool.report.check_page import CHECK_PAGE_END, CheckContents, CheckFigure, CheckPanel, ClassRow, render_check
from unpool.report.pictures import displayable, overlay
from unpool.wording import decodable

OF_A_FINDING = 3
"""Most pairs or files that are shown for one finding."""
IN_GALLERY = 12
"""Most pairs in the gallery."""
_MOST_BYTES = 50_000_000


def page_path(folder: Path, kind: str = "check") -> Path:
    """Return the file of a folder's page in the current folder: ``photos-check.html``.

    Parameters
    ----------
    kind: the page's own word.

    Raises
    ------
    UsageError: there is a file of that name that a check did not write.
    """
    path = Path(f"{folder.resolve().name or 'folder'}-{kind}.html")
    try:
        own = not path.exists() or read_text(path, _MOST_BYTES).endswith(CHECK_PAGE_END)
    except (OSError, DataError):
        own = False
    if not own:
        raise UsageError(
            f"{path} is there, and unpool check did not write it",
            "a name that is free, or a page of an earlier check",
            "move the file, or call unpool check from another folder",
        )
    return path


def write_check_page(survey: Survey, path: Path, command: str) -> Generator[Event, None, None]:
    """Write the page of a survey, completely or not at all, with an event for each picture that is read."""
    pairs = {pair.name: pair for pair in survey.folder.pairs}
    concerned = {finding.code: finding.files[:OF_A_FINDING] for finding in survey.findings if finding.files}
    chosen = _gallery(survey)
    total = sum(map(len, concerned.values())) + len(chosen)
    shown: dict[str, list[CheckPanel]] = {}
    done = 0
    for code, names in concerned.items():
        for name in names:
            panel = _panel(survey, pairs[name]) if name in pairs else _file_panel(survey.folder.root, Path(name))
            shown.setdefault(code, []).extend([panel] if panel else [])
            done += 1
            yield Progress("drawing pictures", done, total)
    gallery = []
    for name in chosen:
        gallery.append(_panel(survey, pairs[name]))
        done += 1
        yield Progress("drawing pictures", done, total)
    split = survey.split
    sizes = ", ".join(f"{part} {len(split.members(part))}" for part in ("train", "val", "test") if split.members(part))
    contents = CheckContents(
        title=f"Check of {decodable(survey.folder.root.resolve().name)}",
        verdict=verdict_line(survey),
        facts=[*folder_facts(survey), ("split", f"{sizes}: {split.origin}")],
        classes=_class_rows(survey),
        findings=survey.findings,
        shown=shown,
        gallery=gallery,
        command=command,
    )
    write_text(path, render_check(contents))
    yield Message(f"the page with pictures: {path}")


def _gallery(survey: Survey) -> list[str]:
    """Return pairs to look at: for each class the one with the largest share of it, then others, evenly spread."""
    facts = survey.pictures
    largest = [
        max(facts.values(), key=lambda fact: fact.class_pixels[k] / (fact.rows * fact.columns))
        for k in range(len(survey.table))
        if any(fact.class_pixels[k] for fact in facts.values())
    ]
    chosen = list(dict.fromkeys(fact.name for fact in largest))[:IN_GALLERY]
    others = [name for name in facts if name not in chosen]
    room = min(IN_GALLERY - len(chosen), len(others))
    return chosen + [others[k * len(others) // room] for k in range(room)]


def _panel(survey: Survey, pair: Pair) -> CheckPanel:
    """Return a pair: the picture and its overlay, or the mask as it is stored where the classes do not fit it."""
    try:
        sample = read_sample(pair, survey.table)
    except DataError as error:
        figures = [
            figure
            for path, caption, stored in ((pair.image, "picture", False), (pair.mask, "mask as stored", True))
            if (figure := _figure(path, caption, stored))
        ]
        return CheckPanel(pair.name, tuple(figures), error.found)
    colours = survey.table.colours
    tinted = overlay(sample.image, sample.labels, colours)
    picture = CheckFigure("picture", displayable(sample.image))
    return CheckPanel(pair.name, (picture, CheckFigure("mask over it", tinted)))


def _file_panel(root: Path, path: Path) -> CheckPanel | None:
    """Return a file of a finding that belongs to no pair; None where it is no picture file."""
    path = path if path.is_absolute() or path.is_relative_to(root) else root / path
    figure = _figure(path, "file", stored=False) if path.suffix.lower() in IMAGE_SUFFIXES else None
    name = path.relative_to(root) if path.is_relative_to(root) else path
    return CheckPanel(decodable(str(name)), (figure,)) if figure else None


def _figure(path: Path, caption: str, stored: bool) -> CheckFigure | None:
    try:
        pixels = read_mask(path) if stored else read_image(path)
    except DataError:
        return None
    if pixels.dtype == np.int32:  # object numbers
        pixels = (pixels % 65_536).astype(np.uint16)
    return CheckFigure(caption, displayable(pixels), stored)


def _class_rows(survey: Survey) -> Sequence[ClassRow]:
    table, facts = survey.table, list(survey.pictures.values())
    shares = survey.class_shares(survey.pictures)
    rows = [
        ClassRow(name, mask_values_text(table, k), colour, share, sum(fact.class_pixels[k] > 0 for fact in facts))
        for k, (name, colour, share) in enumerate(zip(table.names, table.colours, shares, strict=True))
    ]
    ignored = sum(fact.ignored_pixels for fact in facts)
    if ignored or table.ignore:
        pixels = ignored + sum(survey.class_pixels(survey.pictures))
        values = "/".join(table.value_texts(IGNORE_ID))
        count = sum(fact.ignored_pixels > 0 for fact in facts)
        rows.append(ClassRow("ignored (of all pixels)", values, None, ignored / max(pixels, 1), count))
    return rows
