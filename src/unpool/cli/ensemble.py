"""``unpool ensemble``: several trained models as one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unpool.cli.options import JsonOption
from unpool.cli.program import app, print_result


@app.command
def ensemble(
    models: Annotated[
        list[Path], Parameter(negative="", help="Two or more model.safetensors files, or run folders that have one.")
    ],
    *,
    out: Annotated[Path, Parameter(help="Model file to write, for example runs/ensemble/model.safetensors.")],
    json_: JsonOption = False,
) -> int:
    """Join trained models to one model, whose probabilities are the mean of theirs.

    Example: unpool ensemble runs/photos-unet runs/photos-segnet --out runs/both/model.safetensors

    The file is a model for predict, test, info, verify and export. It takes the time of
    all its members. Whether it is better, unpool test and unpool compare show.
    """
    from unpool.commands.ensemble.ensemble import ensemble as command

    result = command(models, out)
    print_result(result.to_json() if json_ else result.text)
    return 0
