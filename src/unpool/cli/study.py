"""``unpool study``, ``study show``, ``study report`` and ``study plans``: fair comparisons of many structures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from unpool.cli.options import (
    ClassesOption,
    DataOption,
    DeviceOption,
    IgnoreOption,
    JsonOption,
    MasksOption,
    PrecisionOption,
    SettingsOption,
    SnapOption,
    whole_number,
)
from unpool.cli.program import STOPPED, app, print_result, run_command

study_app = App(name="study")
app.command(study_app)

StudyArgument = Annotated[Path, Parameter(help="Folder of a study.")]


@study_app.default
def study_run(
    data: DataOption,
    *,
    vary: Annotated[
        list[str] | None,
        Parameter(
            negative="", help="A setting with its values, as skip=none,add,concat; repeatable, all combinations."
        ),
    ] = None,
    plan: Annotated[str | None, Parameter(help="A TOML file, or a name that `unpool study plans` lists.")] = None,
    name: Annotated[
        str | None, Parameter(help="Name of the study; by default the plan's. In a database, each study needs its own.")
    ] = None,
    search: Annotated[
        int | None,
        Parameter(converter=whole_number, help="Try this number of combinations, chosen by their results (optuna)."),
    ] = None,
    net: Annotated[str | None, Parameter(name="--net", help="Network of the baseline; by default unet.")] = None,
    minutes: Annotated[float | None, Parameter(help="Minutes of all trainings together; by default 60.")] = None,
    epochs: Annotated[
        int | None, Parameter(converter=whole_number, help="Epochs of a full training, in place of dividing minutes.")
    ] = None,
    equal: Annotated[
        Literal["steps", "seconds"] | None,
        Parameter(help="What every training has the same of: steps (by default), or seconds."),
    ] = None,
    seeds: Annotated[
        int | None, Parameter(converter=whole_number, help="Seeds of each finalist; by default 3.")
    ] = None,
    most_seeds: Annotated[
        int | None, Parameter(converter=whole_number, help="Seeds at most, where the verdict needs them; by default 6.")
    ] = None,
    halving: Annotated[
        bool | None, Parameter(help="Give up half of the variants after a part of the training, and again.")
    ] = None,
    test_share: Annotated[
        float | None,
        Parameter(help="Share of the pictures that judge; by default 0.25, if the folder has no test part."),
    ] = None,
    val_share: Annotated[
        float | None,
        Parameter(help="Share of the pictures that choose; by default 0.2, if the folder has no val part."),
    ] = None,
    seed: Annotated[
        int | None, Parameter(name="--seed", converter=whole_number, help="First seed, and seed of the split.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder of the study; by default studies/DATA-PLAN.")] = None,
    resume: Annotated[bool, Parameter(negative="", help="Continue the study that the same command began.")] = False,
    storage: Annotated[
        str | None,
        Parameter(help="Database through which machines without a common disk share the study: postgresql://…"),
    ] = None,
    note: Annotated[str | None, Parameter(help="What the study asks; it becomes the title of its page.")] = None,
    masks: MasksOption = None,
    classes: ClassesOption = None,
    ignore: IgnoreOption = None,
    snap: SnapOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    set_: SettingsOption = None,
    json_: JsonOption = False,
) -> int:
    """Train variants of a network under the same conditions, and say which is better, and how sure that is.

    Example: unpool study photos --vary skip=none,add,concat --minutes 60

    Some pictures are set aside before anything is tried, and judge once, at the end. The
    folder of the study gets a page, study.html, and tables. The same command with the same
    --out continues a study; in several terminals or on several machines, it is shared.
    """
    from unpool.commands.study.study import plan_in
    from unpool.commands.study.study import study as command
    from unpool.study.plan import plan_given

    given: dict[str, Any] = {
        "name": name, "net": net, "minutes": minutes, "epochs": epochs, "equal": equal, "seeds": seeds,
        "most_seeds": most_seeds, "halving": halving, "test_share": test_share, "val_share": val_share,
        "question": note,
    }  # fmt: skip
    if seed is not None:
        given |= {"first_seed": seed, "split_seed": seed}
    options = {
        "data.masks": masks, "data.classes": classes, "data.ignore": ignore, "data.snap": snap,
        "machine.device": device, "machine.precision": precision,
    }  # fmt: skip
    named = plan is not None or bool(vary) or search is not None
    if named:
        wanted = plan_given(plan, given, set_ or [], options, vary or [], search)
    else:
        wanted = plan_in(out, given, [*(set_ or []), *(name for name, value in options.items() if value is not None)])
    result = run_command(command(data, wanted, out, resume=resume, storage=storage), silent=json_)
    print_result(result.to_json() if json_ else f"{result.text}\n\npage: {result.folder.page}")
    return 0 if result.stopped_by is None else STOPPED + result.stopped_by


@study_app.command(name="show")
def study_show(folder: StudyArgument, *, json_: JsonOption = False) -> int:
    """Show how a study stands: its variants, verdicts and costs.

    Example: unpool study show studies/photos-study
    """
    from unpool.commands.study.study import shown_study

    result = shown_study(folder)
    print_result(result.to_json() if json_ else result.text)
    return 0


@study_app.command(name="report")
def study_report(folder: StudyArgument, *, json_: JsonOption = False) -> int:
    """Write the page and the tables of a study again, from its results.

    Example: unpool study report studies/photos-study
    """
    from unpool.commands.study.study import shown_study, write_study_record

    result = shown_study(folder)
    write_study_record(result.folder, result.contents)
    files = {"page": result.folder.page, "csv": result.folder.csv, "markdown": result.folder.markdown}
    print_result(
        {name: str(file) for name, file in files.items()}
        if json_
        else "\n".join(f"{name:10}{file}" for name, file in files.items())
    )
    return 0


@study_app.command(name="plans")
def study_plans(name: Annotated[str | None, Parameter(help="Show this plan as TOML.")] = None) -> int:
    """List the plans that come with unpool, or show one as a TOML file to change.

    Example: unpool study plans unet-skips
    """
    from unpool.study.plan import plan_text, plans_text

    print_result(plans_text() if name is None else plan_text(name))
    return 0
