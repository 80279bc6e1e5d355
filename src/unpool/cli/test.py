"""``test`` and ``compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from unpool.cli.options import (
    DataOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    SamplesOption,
    TtaOption,
    drive,
)
from unpool.cli.program import app


@app.command
def test(
    model: ModelOption,
    data: DataOption,
    *,
    split: Annotated[
        Literal["auto", "train", "val", "test", "all"],
        Parameter(help="Which pictures: auto takes the test split, else the validation split, else all."),
    ] = "auto",
    out: Annotated[Path | None, Parameter(help="Folder of the report; by default beside the model.")] = None,
    measures: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="What to measure beside the counts of pixels: boundaries (BF score, boundary IoU, distances), "
            "boundaries-of-truth (the BF score as SegNet's paper words it), objects (SEG, average precision; by "
            "default for masks of object numbers), membranes (V_rand, V_info and errors of ISBI 2012; the first class "
            "is the membrane), membranes-second (the second class is), calibration (confidence against accuracy; by "
            "default), uncertainty (does it find the wrong pixels; by default with --samples).",
        ),
    ] = None,
    conventions: Annotated[
        bool, Parameter(negative="", help="Also give mean IoU and Dice by other implementations' rules.")
    ] = False,
    tta: TtaOption = "none",
    samples: SamplesOption = 0,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    json_: JsonOption = False,
) -> int:
    """Score a model on a folder's own masks and write a report.

    Example: unpool test runs/photos-unet photos
    """
    from unpool.commands.test.options import TestOptions
    from unpool.commands.test.test import test as run

    options = TestOptions(split, device or "auto", precision or "auto", measures, conventions, tta, samples)
    result = drive(run(model, data, options, out=out), quiet=json_)
    if json_:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    return 0


@app.command
def compare(
    tests: Annotated[list[Path], Parameter(help="Two or more folders that unpool test wrote, or their scores.json.")],
    *,
    json_: JsonOption = False,
) -> int:
    """Say whether one model is better than others, from tests on the same pictures.

    Example: unpool compare runs/photos-unet/test-photos runs/photos-segnet/test-photos

    The first test is called A, the next B; with more than two the best is compared with each of the others.
    """
    from unpool.commands.compare import compare as run

    result = run(tests)
    print(json.dumps(result.to_json(), indent=2, ensure_ascii=False) if json_ else result.text)
    return 0
