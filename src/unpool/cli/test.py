"""``unpool test``: scores of a model on a folder."""

from __future__ import annotations

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
)
from unpool.cli.program import app, print_result, run_command


@app.command
def test(
    model: ModelOption,
    data: DataOption,
    *,
    split: Annotated[
        Literal["auto", "train", "val", "test", "all"],
        Parameter(help="Pictures to score: auto takes the test split, or else the validation split, or else all."),
    ] = "auto",
    out: Annotated[Path | None, Parameter(help="Folder of the report; by default next to the model.")] = None,
    measures: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="Measures in addition to the counts of pixels: boundaries (BF score, boundary IoU, distances), "
            "boundaries-of-truth (the BF score as SegNet's paper defines it), objects (SEG, average precision; by "
            "default for masks of object numbers), separated-objects (touching ones separated as predict "
            "--objects does; by default too), membranes (V_rand, V_info and errors of ISBI 2012; the first class "
            "is the membrane), membranes-second (the second class is the membrane), calibration (confidence against "
            "accuracy; by default), uncertainty (whether it finds the wrong pixels; by default with --samples).",
        ),
    ] = None,
    conventions: Annotated[
        bool, Parameter(negative="", help="Also give mean IoU and Dice by the rules of other implementations.")
    ] = False,
    tta: TtaOption = "none",
    samples: SamplesOption = 0,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    json_: JsonOption = False,
) -> int:
    """Score a model against the masks of a folder, and write a report.

    Example: unpool test runs/photos-unet photos
    """
    from unpool.commands.test.options import TestOptions
    from unpool.commands.test.test import test as command

    options = TestOptions(split, device or "auto", precision or "auto", measures, conventions, tta, samples)
    result = run_command(command(model, data, options, out=out), silent=json_)
    if json_:
        print_result(result.to_json())
    return 0
