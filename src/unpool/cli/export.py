"""``unpool export``: a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from unpool.cli.options import JsonOption, ModelOption
from unpool.cli.program import app, print_result, run_command


@app.command
def export(
    model: ModelOption,
    *,
    to: Annotated[Literal["onnx", "torch-export", "bioimageio"], Parameter(help="Format of the file.")],
    out: Annotated[Path | None, Parameter(help="File to write; by default next to the model.")] = None,
    output: Annotated[
        Literal["classes", "probabilities"],
        Parameter(help="Output for every pixel: its class id, or the probability of each class."),
    ] = "probabilities",
    precision: Annotated[
        Literal["float32", "float16", "int8"],
        Parameter(help="Number type of the network; int8 is for its convolutions only."),
    ] = "float32",
    pixels: Annotated[
        Literal["uint8", "uint16", "float32"] | None,
        Parameter(help="Pixel type of the input; needed if the model was trained on several types."),
    ] = None,
    pictures: Annotated[
        Path | None, Parameter(help="Folder of pictures that calibrate int8 and check the export.")
    ] = None,
    author: Annotated[
        list[str] | None, Parameter(name="--author", negative="", help="An author of a bioimageio package; repeatable.")
    ] = None,
    json_: JsonOption = False,
) -> int:
    """Write a model for other programs, and prove that it computes the same there.

    Example: unpool export runs/photos-unet --to onnx --out model.onnx
    """
    from unpool.commands.export import ExportOptions
    from unpool.commands.export import export as command

    options = ExportOptions(output, precision, pixels, pictures, tuple(author or ()))
    result = run_command(command(model, to, out, options), silent=json_)
    if json_:
        print_result(result.to_json())
    return 0
