"""The command ``unpool predict``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from unpool.cli.options import DeviceOption, JsonOption, ModelOption, PrecisionOption, SamplesOption, TtaOption, drive
from unpool.cli.program import BAD_DATA, app


@app.command
def predict(
    model: ModelOption,
    inputs: Annotated[list[str], Parameter(help="Pictures, folders (with sub-folders) and patterns.")],
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder for the masks.")],
    overlay: Annotated[bool, Parameter(negative="", help="Also write the picture with the mask over it.")] = False,
    probabilities: Annotated[
        Literal["float32", "uint16", "uint8"] | None,
        Parameter(help="Also write every class's probability, as 0..1, 0..65535 or 0..255."),
    ] = None,
    uncertainty: Annotated[
        bool,
        Parameter(negative="", help="Also write 1 - confidence, or with --samples the variance of every class."),
    ] = False,
    tta: TtaOption = "none",
    samples: SamplesOption = 0,
    memory: Annotated[
        str | None,
        Parameter(help="Memory that the process may take: 2GB, 800MB. By default half of what is free, at most 4GB."),
    ] = None,
    resume: Annotated[
        bool, Parameter(negative="", help="Keep what the same command wrote before it was interrupted, and continue.")
    ] = False,
    verify: Annotated[
        bool,
        Parameter(negative="", help="First compare tiles with the picture at once, on a part of a picture."),
    ] = False,
    overwrite: Annotated[bool, Parameter(negative="", help="Replace outputs that exist.")] = False,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    json_: JsonOption = False,
) -> int:
    """Write a mask for every picture, in the values of the masks the model was trained on.

    Example: unpool predict runs/photos-unet new-photos --out masks --overlay
    """
    from unpool.commands.predict.predict import PredictionOptions
    from unpool.commands.predict.predict import predict as run
    from unpool.commands.predict.targets import ExtraOutputs
    from unpool.prediction.averaging import Averaging

    extras = ExtraOutputs(overlay, probabilities, uncertainty)
    options = PredictionOptions(
        averaging=Averaging(tta, samples),
        overwrite=overwrite,
        resume=resume,
        verify=verify,
        memory=bytes_of(memory),
        device=device or "auto",
        precision=precision or "auto",
    )
    result = drive(run(model, inputs, out, extras, options), quiet=json_)
    if json_:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    return BAD_DATA if result.failed else 0


def bytes_of(text: str | None) -> float | None:
    """Return the bytes that a text such as 2GB or 800MB stands for; None for None.

    Raises
    ------
    UsageError: the text is not a size.
    """
    from unpool.errors import UsageError

    if text is None:
        return None
    number, unit = text.strip().upper().removesuffix("B"), 1.0
    for letter, size in (("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        if number.endswith(letter):
            number, unit = number[:-1], size
    try:
        count = float(number) * unit
    except ValueError:
        count = 0.0
    if not 0 < count < float("inf"):
        raise UsageError(f"--memory {text}", "a size such as 2GB or 800MB", "correct it")
    return count
