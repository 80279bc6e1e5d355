"""``unpool train``: a network trained on a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unpool.cli.options import (
    ClassesOption,
    DataOption,
    DeviceOption,
    IgnoreOption,
    JsonOption,
    MasksOption,
    PrecisionOption,
    RecipeOption,
    SeedOption,
    SettingsOption,
    SnapOption,
    settings_of,
    whole_number,
)
from unpool.cli.program import STOPPED, app, print_result, run_command
from unpool.wording import DASH, command_text


@app.command
def train(
    data: DataOption,
    *,
    net: Annotated[str | None, Parameter(name="--net", help="Name of the network; by default unet.")] = None,
    minutes: Annotated[
        float | None, Parameter(help="Minutes of training; 10 by default, unless --epochs is given.")
    ] = None,
    epochs: Annotated[int | None, Parameter(converter=whole_number, help="Epochs of training.")] = None,
    out: Annotated[Path | None, Parameter(help="Run folder; by default runs/DATA-NET.")] = None,
    resume: Annotated[bool, Parameter(negative="", help="Continue the run that the same command started.")] = False,
    masks: MasksOption = None,
    classes: ClassesOption = None,
    ignore: IgnoreOption = None,
    snap: SnapOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    recipe: RecipeOption = None,
    set_: SettingsOption = None,
    json_: JsonOption = False,
) -> int:
    """Train a network on a folder, and keep the model of the best epoch.

    Example: unpool train photos --net unet --minutes 10

    The run folder gets the model, the settings, the log and the state that --resume needs.
    Ctrl-C and SIGTERM save everything before they stop the training.
    """
    from unpool.commands.run_folder import recipe_origin
    from unpool.commands.train.stages import train_in_stages as command

    settings = settings_of(
        recipe, set_, net=net, masks=masks, classes=classes, ignore=ignore, snap=snap, seed=seed, minutes=minutes,
        epochs=epochs, device=device, precision=precision,
    )  # fmt: skip
    steps = command(data, settings, out, resume=resume, origin=recipe_origin(recipe))
    trained = run_command(steps, silent=json_)
    if json_:
        print_result(trained.to_json())
    else:
        score = DASH if trained.best_mean_iou is None else f"{trained.best_mean_iou:.4f}"
        following = command_text(["unpool", "test", trained.folder, data])
        print_result(
            f"model: {trained.model}   (epoch {trained.best_epoch}, validation mean IoU {score})\nnext:  {following}"
        )
    return 0 if trained.stopped_by is None else STOPPED + trained.stopped_by
