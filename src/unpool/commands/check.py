"""``check``: the content of a folder of pictures and masks, and everything that is wrong in it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from unpool.class_table import ClassTable
from unpool.commands.events import Event, Progress
from unpool.config.schema import DataSettings
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.split import SplitShares
from unpool.dataset.survey import survey_steps
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError
from unpool.generators import mapped
from unpool.wording import command_text, count_text, first_of


def check(
    folder: Path,
    settings: DataSettings,
    seed: int = 0,
    table: ClassTable | None = None,
    settled: str | None = None,
) -> Generator[Event, None, Survey]:
    """Survey a folder of pictures and masks.

    Parameters
    ----------
    seed: seed of the split, where the settings have no ``split_seed``.
    table: the class table of a trained model, by which the masks are read; a mask value that it lacks is then an
        error. None makes a table from the masks.
    settled: digest of the class file that lay beside the model's training data, see ``unpool.dataset.survey``.
    """
    options = MaskOptions(settings.masks, settings.classes, settings.ignore, settings.snap)
    steps = survey_steps(
        folder,
        options,
        seed=seed if settings.split_seed is None else settings.split_seed,
        shares=SplitShares(settings.val_share, settings.test_share),
        table=table,
        settled=settled,
    )
    return (yield from mapped(steps, lambda step: [Progress("reading pictures and masks", *step)]))


def require_unchanged(survey: Survey, fingerprint: str | None) -> None:
    """Raise an error where a folder does not have the fingerprint of an earlier run; None accepts every folder.

    Raises
    ------
    DataError: names both fingerprints.
    """
    if fingerprint not in (None, survey.fingerprint):
        raise DataError(
            f"{survey.folder.root}: its files have changed; the fingerprint is now {survey.fingerprint[:12]}",
            f"the file names and contents of the run, with the fingerprint {str(fingerprint)[:12]}",
            "put the data back as it was, or start a new run with unpool train or unpool test",
        )


def require_no_errors(survey: Survey, testing: bool = False) -> None:
    """Raise an error where a survey has error findings.

    Parameters
    ----------
    testing: the masks were read by a model's table, with which ``unpool check`` cannot read them again.

    Raises
    ------
    DataError: names the first finding and how many more there are.
    """
    if not survey.errors:
        return
    first, command = survey.errors[0], command_text(["unpool", "check", survey.folder.root])
    raise DataError(
        f"{survey.folder.root}: {first.found}{_more(first, len(survey.errors) - 1)}",
        first.expected,
        first.repair if testing else f"{first.repair}\n  see all:  {command}",
    )


def _more(first: Finding, others: int) -> str:
    unnamed = [name for name in first.files if name not in first.found]
    files = f" ({first_of(unnamed, 3)})" if unnamed else ""
    return files + (f", and {count_text(others, 'more problem')}" if others else "")
