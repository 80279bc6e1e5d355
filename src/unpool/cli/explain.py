"""``unpool explain``: the layers, sizes and costs of a network, and what the settings mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unpool.cli.options import JsonOption, SettingsOption, settings_of, whole_number
from unpool.cli.program import app, print_result


@app.command
def explain(
    net: Annotated[str | None, Parameter(help="Name of the network; without it, all are listed.")] = None,
    other: Annotated[str | None, Parameter(help="A second network to compare with the first.")] = None,
    *,
    size: Annotated[
        str | None, Parameter(help="Rows and columns of the picture: 360x480 or 572; by default the paper's.")
    ] = None,
    channels: Annotated[int | None, Parameter(converter=whole_number, help="Channels of the picture.")] = None,
    classes: Annotated[int | None, Parameter(converter=whole_number, help="Number of classes.")] = None,
    set_: SettingsOption = None,
    figure: Annotated[Path | None, Parameter(help="SVG file to write the drawing of the network to.")] = None,
    page: Annotated[
        Path | None,
        Parameter(
            help="Markdown file to write the page to, with its drawing in the same folder. Without NET: file for the "
            "list of networks; the pages of all networks are written into its folder."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="List every setting with its meaning, values and default; with names, show these in full.",
        ),
    ] = None,
    json_: JsonOption = False,
) -> int:
    """Show the layers of a network and their costs, how two networks differ, or what the settings mean.

    Example: unpool explain unet-2015 --size 572

    The settings: unpool explain --settings, or unpool explain --settings skip
    """
    from unpool.commands.explain import RequestedPicture, explain_settings
    from unpool.commands.explain import explain as command
    from unpool.errors import UsageError

    if settings is not None:
        others = {
            "a second network": other, "--size": size, "--channels": channels, "--classes": classes, "--set": set_,
            "--figure": figure, "--page": page,
        }  # fmt: skip
        for option, value in others.items():
            if value is not None:
                raise UsageError(f"--settings with {option}", "at most one network", f"leave out {option}")
        explained = explain_settings(net, settings)
        print_result(explained.data if json_ else explained.text)
        return 0
    picture = RequestedPicture(size, channels, classes)
    result = command(net, other, picture, settings=settings_of(None, set_), figure=figure, page=page)
    print_result(result.data if json_ else result.text)
    return 0
