"""The commands ``unpool info``, ``unpool verify`` and ``unpool export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from unpool.cli.options import DeviceOption, JsonOption, ModelOption, PrecisionOption, drive
from unpool.cli.program import FAILED, app


@app.command
def info(model: ModelOption, *, json_: JsonOption = False) -> int:
    """Show a model file: its network, its pictures and classes, its training and its scores.

    Example: unpool info runs/photos-unet
    """
    from unpool.commands.info import info as run

    information = run(model)
    print(json.dumps(information.data, indent=2, ensure_ascii=False) if json_ else information.text)
    return 0


@app.command
def verify(
    model: ModelOption, *, device: DeviceOption = None, precision: PrecisionOption = None, json_: JsonOption = False
) -> int:
    """Check that a model computes on this machine what it computed where it was trained.

    Example: unpool verify runs/photos-unet

    The exit code is 1 where it does not, and 3 where the file is damaged.
    """
    from unpool.commands.verify import verify as run

    verification = run(model, device=device or "auto", precision=precision or "auto")
    print(json.dumps(verification.to_json(), indent=2, ensure_ascii=False) if json_ else verification.text)
    return 0 if verification.holds else FAILED


@app.command
def export(
    model: ModelOption,
    *,
    to: Annotated[Literal["onnx", "torch-export", "bioimageio"], Parameter(help="The format.")],
    out: Annotated[Path | None, Parameter(help="The file; by default in the folder of the model.")] = None,
    output: Annotated[
        Literal["classes", "probabilities"], Parameter(help="The output for each pixel.")
    ] = "probabilities",
    precision: Annotated[
        Literal["float32", "float16", "int8"],
        Parameter(help="Number type of the network; int8 only for its convolutions."),
    ] = "float32",
    pixels: Annotated[
        Literal["uint8", "uint16", "float32"] | None,
        Parameter(help="Pixel type of the input, where the model was trained on several."),
    ] = None,
    pictures: Annotated[
        Path | None, Parameter(help="Folder of pictures to calibrate int8 with, and to compare with.")
    ] = None,
    author: Annotated[
        list[str] | None,
        Parameter(name="--author", negative="", help="Author named in a bioimageio package; repeatable."),
    ] = None,
    json_: JsonOption = False,
) -> int:
    """Write a model for other programs, and check that it computes the same.

    Example: unpool export runs/photos-unet --to onnx --out model.onnx
    """
    from unpool.commands.export import export as run

    result = drive(
        run(model, to, out, output=output, precision=precision, pixels=pixels, pictures=pictures, authors=author or ()),
        quiet=json_,
    )
    if json_:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    return 0
