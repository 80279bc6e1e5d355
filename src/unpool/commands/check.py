"""``check``: what is in a folder, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from unpool.class_table import ClassTable
from unpool.commands.events import Event, Progress
from unpool.config.schema import DataSettings
from unpool.dataset.findings import Finding
from unpool.dataset.survey import survey_steps
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError


def check(
    folder: Path, settings: DataSettings, seed: int = 0, table: ClassTable | None = None
) -> Generator[Event, None, Survey]:
    """Survey a folder of pictures and masks.

    With ``table`` the masks are read by the table of a model that exists; a value that it does not know is an
    error finding.
    """
    steps = survey_steps(
        folder,
        masks=settings.masks,
        classes=settings.classes,
        ignore=settings.ignore,
        seed=seed,
        val_share=settings.val_share,
        table=table,
    )
    while True:
        try:
            done, total = next(steps)
        except StopIteration as stop:
            found: Survey = stop.value
            return found
        yield Progress("reading pictures and masks", done, total)


def require_unchanged(survey: Survey, fingerprint: str | None) -> None:
    """Refuse a folder that is to be as it was and is not; anything is right where ``fingerprint`` is None.

    Raises
    ------
    DataError: both fingerprints are named.
    """
    if fingerprint not in (None, survey.fingerprint):
        raise DataError(
            f"{survey.folder.root} has the fingerprint {survey.fingerprint[:12]}: its files have changed",
            f"the names and contents it had in the run, {str(fingerprint)[:12]}",
            "put the data back as it was, or start a new run with unpool train or unpool test",
        )


def require_sound(survey: Survey) -> None:
    """Refuse a folder with error findings.

    Raises
    ------
    DataError: names the first finding and how many more there are.
    """
    if not survey.errors:
        return
    first = survey.errors[0]
    raise DataError(
        f"{survey.folder.root}: {first.found}{_more(first, len(survey.errors) - 1)}",
        first.expected,
        f"{first.repair}\n  see all:  unpool check {survey.folder.root}",
    )


def _more(first: Finding, others: int) -> str:
    unnamed = [name for name in first.files if name not in first.found]
    files = f" ({', '.join(unnamed[:3])}{', …' if len(unnamed) > 3 else ''})" if unnamed else ""
    return files + (f", and {others} more problem{'s' if others > 1 else ''}" if others else "")
