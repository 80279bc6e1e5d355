"""``unpool compare``: which of several tested models is better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unpool.cli.options import JsonOption
from unpool.cli.program import app, print_result


@app.command
def compare(
    tests: Annotated[
        list[Path], Parameter(negative="", help="Two or more folders that unpool test wrote, or their scores.json.")
    ],
    *,
    json_: JsonOption = False,
) -> int:
    """Say whether one model is better than others, from tests on the same pictures.

    Example: unpool compare runs/photos-unet/test-photos runs/photos-segnet/test-photos

    The first test is called A, the second B, and so on. With more than two tests, the
    best is compared with each of the others.
    """
    from unpool.commands.compare import compare as command

    comparison = command(tests)
    print_result(comparison.to_json() if json_ else comparison.text)
    return 0
