"""``check``, ``train``, ``recipes``, ``demo`` and ``explain``."""

from __future__ import annotations

import json
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
    NetOption,
    PrecisionOption,
    RecipeOption,
    SeedOption,
    SettingsOption,
    drive,
    settings_of,
)
from unpool.cli.program import BAD_DATA, STOPPED, app


@app.command
def check(
    data: DataOption,
    *,
    masks: MasksOption = None,
    classes: ClassesOption = None,
    ignore: IgnoreOption = None,
    seed: SeedOption = None,
    recipe: RecipeOption = None,
    set_: SettingsOption = None,
    json_: JsonOption = False,
) -> int:
    """Say what is in a folder, and what is wrong with it.

    Example: unpool check photos --masks instances

    Exit code 3 when training on it would be wrong.
    """
    from unpool.commands.check import check as run
    from unpool.config.schema import resolve
    from unpool.dataset.survey_text import survey_page

    settings = settings_of(recipe, set_, masks=masks, classes=classes, ignore=ignore, seed=seed)
    config = resolve(settings)
    survey = drive(run(data, config.data, config.training.seed), quiet=json_)
    print(json.dumps(survey.to_json(), indent=2, ensure_ascii=False) if json_ else survey_page(survey))
    return BAD_DATA if survey.errors else 0


@app.command
def train(
    data: DataOption,
    *,
    net: Annotated[str | None, Parameter(name="--net", help="The network: unet by default.")] = None,
    minutes: Annotated[float | None, Parameter(help="How long to train; 10 unless --epochs is given.")] = None,
    epochs: Annotated[int | None, Parameter(help="How many epochs to train.")] = None,
    out: Annotated[Path | None, Parameter(help="The run folder; by default runs/DATA-NET.")] = None,
    resume: Annotated[bool, Parameter(negative="", help="Go on with the run this command started.")] = False,
    masks: MasksOption = None,
    classes: ClassesOption = None,
    ignore: IgnoreOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    recipe: RecipeOption = None,
    set_: SettingsOption = None,
    json_: JsonOption = False,
) -> int:
    """Train a network on a folder and keep the best epoch.

    Example: unpool train photos --net unet --minutes 10

    The run folder holds the model, the settings, the log and what --resume needs.
    Ctrl-C and SIGTERM stop it with everything saved.
    """
    from unpool.commands.train.stages import train_in_stages as run

    settings = settings_of(
        recipe, set_, net=net, masks=masks, classes=classes, ignore=ignore, seed=seed, minutes=minutes, epochs=epochs,
        device=device, precision=precision,
    )  # fmt: skip
    trained = drive(run(data, settings, out, resume=resume), quiet=json_)
    if json_:
        print(json.dumps(trained.to_json(), indent=2, ensure_ascii=False))
    else:
        score = "–" if trained.best_mean_iou is None else f"{trained.best_mean_iou:.4f}"
        print(f"model: {trained.model}   (epoch {trained.best_epoch}, validation mean IoU {score})")
        print(f"next:  unpool test {trained.folder} {data}")
    return 0 if trained.stopped_by is None else STOPPED + trained.stopped_by


@app.command
def recipes(*, json_: JsonOption = False) -> int:
    """List the papers' trainings that come with the package.

    Example: unpool recipes
    """
    from unpool.config.schema import paper_recipes, read_recipe

    notes = {name: read_recipe(name) for name in paper_recipes()}
    if json_:
        print(json.dumps(notes, indent=2, ensure_ascii=False))
        return 0
    for name, settings in notes.items():
        note = settings["recipe"]
        print(f"{name}: {settings['net']}\n  {note['citation']}")
        for label in ("data", "expected", "time"):
            print(f"  {label + ':':<10}{note[label]}")
        for departure in note.get("departures", ()):
            print(f"  departs:  {departure}")
    print("\nuse:  unpool train DATA --recipe NAME")
    return 0


@app.command
def demo(
    *,
    out: Annotated[Path | None, Parameter(help="Where everything goes; by default unpool-demo.")] = None,
    minutes: Annotated[float, Parameter(help="How long to train.")] = 1.5,
    net: NetOption = "unet",
    json_: JsonOption = False,
) -> int:
    """Show the whole story in a few minutes, on pictures made on the spot.

    Example: unpool demo
    """
    from unpool.commands.demo import demo as run

    result = drive(run(out, minutes=minutes, net=net), quiet=json_)
    if json_:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    return 0


@app.command
def explain(
    net: Annotated[str | None, Parameter(help="The network; without one, all are listed.")] = None,
    other: Annotated[str | None, Parameter(help="Another, to stand beside it.")] = None,
    *,
    size: Annotated[str | None, Parameter(help="Of the picture: 360x480 or 572; by default the paper's.")] = None,
    channels: Annotated[int | None, Parameter(help="Channels of the picture.")] = None,
    classes: Annotated[int | None, Parameter(help="Number of classes.")] = None,
    set_: SettingsOption = None,
    figure: Annotated[Path | None, Parameter(help="Write the drawing of the network to this SVG file.")] = None,
    page: Annotated[
        Path | None, Parameter(help="Write everything to this Markdown file, the drawing beside it.")
    ] = None,
    json_: JsonOption = False,
) -> int:
    """Say what a network is made of, layer by layer, and what it costs; of two, what differs.

    Example: unpool explain unet-2015 --size 572
    """
    from unpool.commands.explain import explain as run

    settings = settings_of(None, set_)
    told = run(net, other, size=size, channels=channels, classes=classes, settings=settings, figure=figure, page=page)
    print(json.dumps(told.data, indent=2, ensure_ascii=False) if json_ else told.text)
    return 0
