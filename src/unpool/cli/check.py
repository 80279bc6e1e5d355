"""``unpool check``: a survey of a folder of pictures and masks."""

from __future__ import annotations

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
    json_: JsonOption = False,
) -> int:
    """Show the content of a folder, and what is wrong with it.

    Example: unpool check photos --masks instances

    Exit code 3 if no model can be trained on the folder until it is repaired.
    """
    from unpool.commands.check import check as command
    from unpool.config.settings import resolve
    from unpool.dataset.survey_text import survey_page

    config = resolve(settings_of(recipe, set_, masks=masks, classes=classes, ignore=ignore, snap=snap, seed=seed))
    survey = run_command(command(data, config.data, config.training.seed), silent=json_)
    print_result(survey.to_json() if json_ else survey_page(survey))
    return BAD_DATA if survey.errors else 0
