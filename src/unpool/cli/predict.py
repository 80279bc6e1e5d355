"""``predict``."""

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
        Parameter(help="Also write every class's probability, in 0..1, 0..65535 or 0..255."),
    ] = None,
    uncertainty: Annotated[
        bool,
        Parameter(negative="", help="Also write 1 - confidence, or with --samples the variance of every class."),
    ] = False,
    tta: TtaOption = "none",
    samples: SamplesOption = 0,
    memory: Annotated[
        str | None,
        Parameter(help="What the process may hold: 2GB, 800MB. By default half of what is free, at most 4GB."),
    ] = None,
    resume: Annotated[
        bool, Parameter(negative="", help="Keep what the same command wrote before it was interrupted, and go on.")
    ] = False,
    verify: Annotated[
        bool, Parameter(negative="", help="First compare tiles with the whole on a part of a picture that is cut.")
    ] = False,
    overwrite: Annotated[bool, Parameter(negative="", help="Replace outputs that exist.")] = False,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    json_: JsonOption = False,
) -> int:
    """Write a mask for every picture, in the values of the masks the model was trained on.

    Example: unpool predict runs/photos-unet new-photos --out masks --overlay
    """
    from unpool.commands.predict.predict import predict as run
    from unpool.prediction.averaging import Averaging

    result = drive(
        run(
            model,
            inputs,
            out,
            overlays=overlay,
            probabilities=probabilities,
            uncertainty=uncertainty,
            averaging=Averaging(tta, samples),
            verify=verify,
            overwrite=overwrite,
            resume=resume,
            memory=bytes_of(memory),
            device=device or "auto",
            precision=precision or "auto",
        ),
        quiet=json_,
    )
    if json_:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    return BAD_DATA if result.failed else 0


def bytes_of(text: str | None) -> float | None:
    """A number of bytes such as 2GB or 800MB."""
    from unpool.errors import UsageError

    if text is None:
        return None
    number, unit = text.strip().upper().removesuffix("B"), 1.0
    for letter, size in (("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        if number.endswith(letter):
            number, unit = number[:-1], size
    try:
        found = float(number) * unit
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise UsageError(f"--memory {text}", "a size such as 2GB or 800MB", "correct it")
    return found
