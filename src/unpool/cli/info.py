"""``unpool info``: the card of a model file, as a page."""

from __future__ import annotations

from unpool.cli.options import JsonOption, ModelOption
from unpool.cli.program import app, print_result


@app.command
def info(model: ModelOption, *, json_: JsonOption = False) -> int:
    """Show a model file: its classes, its input and output, its training and its scores.

    Example: unpool info runs/photos-unet
    """
    from unpool.commands.info import info as command

    information = command(model)
    print_result(information.data if json_ else information.text)
    return 0
