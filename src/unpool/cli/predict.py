"""``unpool predict``: a mask for every picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from unpool.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    SamplesOption,
    TtaOption,
    bytes_of,
)
from unpool.cli.program import BAD_DATA, app, print_result, run_command


@app.command
def predict(
    model: ModelOption,
    inputs: Annotated[
        list[str],
        Parameter(negative="", help="Pictures, folders with their sub-folders, and patterns such as '*.png'."),
    ],
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder for the masks.")],
    overlay: Annotated[
        bool, Parameter(negative="", help="Also write pictures with their masks drawn over them.")
    ] = False,
    opacity: Annotated[
        float | None,
        Parameter(help="Weight of the class colours with --overlay: 0 (outlines only) to 1; by default 0.25."),
    ] = None,
    mask_form: Annotated[
        Literal["grey", "palette"] | None,
        Parameter(
            help="Form of the masks: grey values (class ids where the training masks were RGB), or a palette with the "
            "classes' colours; by default as the training masks."
        ),
    ] = None,
    probabilities: Annotated[
        Literal["float32", "uint16", "uint8"] | None,
        Parameter(help="Also write the probability of every class, as 0..1, 0..65535 or 0..255."),
    ] = None,
    uncertainty: Annotated[
        bool,
        Parameter(
            negative="",
            help="Also write 1 - confidence; with --samples, the variance of each class.",
        ),
    ] = False,
    objects: Annotated[
        bool,
        Parameter(
            negative="",
            help="Also separate objects that touch: their numbers in objects/, a row for each in objects.csv, and one "
            "for each picture and class in classes.csv.",
        ),
    ] = False,
    pixel_size: Annotated[
        str | None,
        Parameter(help="Size of a pixel for --objects, such as 0.65um; by default what each file states."),
    ] = None,
    tta: TtaOption = "none",
    samples: SamplesOption = 0,
    memory: Annotated[
        str | None,
        Parameter(help="Memory that the process may use: 2GB, 800MB; by default half of the free memory, at most 4GB."),
    ] = None,
    resume: Annotated[
        bool, Parameter(negative="", help="Continue the same command after an interruption; finished masks are kept.")
    ] = False,
    verify: Annotated[
        bool,
        Parameter(negative="", help="First compare tiles with the picture in one piece, on a part of a picture."),
    ] = False,
    overwrite: Annotated[bool, Parameter(negative="", help="Replace outputs that exist.")] = False,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    json_: JsonOption = False,
) -> int:
    """Write a mask for every picture, with the mask values and in the form of the training masks.

    Example: unpool predict runs/photos-unet new-photos --out masks --overlay
    """
    from unpool.commands.predict.predict import PredictionOptions
    from unpool.commands.predict.predict import predict as command
    from unpool.commands.predict.targets import ExtraOutputs
    from unpool.errors import UsageError
    from unpool.io.pixel_size import pixel_size_of
    from unpool.prediction.averaging import Averaging
    from unpool.report.pictures import OPACITY

    if pixel_size is not None and not objects:
        raise UsageError(
            "--pixel-size without --objects", "objects to be measured", "add --objects, or leave --pixel-size out"
        )
    if opacity is not None and not overlay:
        raise UsageError("--opacity without --overlay", "overlays to be drawn", "add --overlay, or leave --opacity out")
    weight = OPACITY if opacity is None else opacity
    extras = ExtraOutputs(overlay, probabilities, uncertainty, objects, mask_form, weight)
    options = PredictionOptions(
        averaging=Averaging(tta, samples),
        overwrite=overwrite,
        resume=resume,
        verify=verify,
        memory=bytes_of(memory),
        device=device or "auto",
        precision=precision or "auto",
        pixel_size=pixel_size_of(pixel_size),
    )
    result = run_command(command(model, inputs, out, extras, options), silent=json_)
    if json_:
        print_result(result.to_json())
    return BAD_DATA if result.failed else 0
