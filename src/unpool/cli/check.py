"""``unpool check``: a survey of a folder of pictures and masks."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from unpool.cli.options import (
    ClassesOption,
    DataOption,
    IgnoreOption,
    JsonOption,
    MasksOption,
    RecipeOption,
    SeedOption,
    SettingsOption,
    SnapOption,
    settings_of,
)
from unpool.cli.program import BAD_DATA, app, print_result, run_command


@app.command
def check(
    data: DataOption,
    *,
    masks: MasksOption = None,
    classes: ClassesOption = None,
    ignore: IgnoreOption = None,
    snap: SnapOption = None,
    seed: SeedOption = None,
    recipe: RecipeOption = None,
    set_: SettingsOption = None,
    page: Annotated[
        bool,
        Parameter(negative="", help="Also write a page with pictures, FOLDER-check.html, into the current folder."),
    ] = False,
    augmentation: Annotated[
        bool,
        Parameter(
            negative="",
            help="Also draw the pictures as a training sees them, FOLDER-augmentation.html, into the current folder.",
        ),
    ] = False,
    json_: JsonOption = False,
) -> int:
    """Show the content of a folder, and what is wrong with it.

    Example: unpool check photos --page --augmentation

    Exit code 3 if no model can be trained on the folder until it is repaired.
    """
    from unpool.commands.check import check as command
    from unpool.commands.check_pictures import page_path, write_check_page
    from unpool.config.settings import resolve
    from unpool.dataset.survey_text import survey_page
    from unpool.wording import command_text

    settings = settings_of(recipe, set_, masks=masks, classes=classes, ignore=ignore, snap=snap, seed=seed)
    config = resolve(settings)
    path = page_path(data) if page else None
    crops = page_path(data, "augmentation") if augmentation else None
    words = command_text(["unpool", *sys.argv[1:]])
    survey = run_command(command(data, config.data, config.training.seed), silent=json_)
    print_result(survey.to_json() if json_ else survey_page(survey))
    if path:
        run_command(write_check_page(survey, path, words), silent=json_)
    if crops:
        from unpool.commands.check_augmentation import write_augmentation_page  # torch takes seconds to import

        run_command(write_augmentation_page(survey, settings, crops, words), silent=json_)
    return BAD_DATA if survey.errors else 0
