"""``unpool demo``: every main command once, on made pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unpool.cli.options import JsonOption
from unpool.cli.program import app, print_result, run_command


@app.command
def demo(
    *,
    out: Annotated[Path | None, Parameter(help="Folder for all files; by default unpool-demo.")] = None,
    minutes: Annotated[float, Parameter(help="Minutes of training.")] = 1.5,
    net: Annotated[str, Parameter(name="--net", help="Name of the network.")] = "unet",
    json_: JsonOption = False,
) -> int:
    """Make pictures, then check, train, test and predict on them; it takes a few minutes.

    Example: unpool demo
    """
    from unpool.commands.demo import demo as command

    result = run_command(command(out, minutes=minutes, net=net), silent=json_)
    if json_:
        print_result(result.to_json())
    return 0
