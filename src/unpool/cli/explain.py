"""``unpool explain``: the layers, sizes and costs of a network, and what the settings mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from unpool.cli.options import JsonOption, SettingsOption, settings_of, whole_number
from unpool.cli.program import app, print_result

explain = App(name="explain")
app.command(explain)

FigureOption = Annotated[Path | None, Parameter(name="--figure", help="SVG file to write the drawing to.")]


@explain.default
def explain_network(
    net: Annotated[str | None, Parameter(help="Name of the network; without it, all are listed.")] = None,
    other: Annotated[str | None, Parameter(help="A second network to compare with the first.")] = None,
    *,
    size: Annotated[
        str | None, Parameter(help="Rows and columns of the picture: 360x480 or 572; by default the paper's.")
    ] = None,
    channels: Annotated[int | None, Parameter(converter=whole_number, help="Channels of the picture.")] = None,
    classes: Annotated[int | None, Parameter(converter=whole_number, help="Number of classes.")] = None,
    set_: SettingsOption = None,
    figure: FigureOption = None,
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
    """Show the layers of a network and their costs, how two networks differ, what padding does, or all settings.

    Example: unpool explain unet-2015 --size 572

    Padding: unpool explain padding --size 7 --kernel 3

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


@explain.command(name="padding")
def explain_padding_command(
    *,
    size: Annotated[int, Parameter(converter=whole_number, help="Pixels of the input along one axis.")] = 7,
    kernel: Annotated[int, Parameter(converter=whole_number, help="Pixels that the kernel multiplies.")] = 3,
    stride: Annotated[int, Parameter(converter=whole_number, help="Pixels from one output to the next.")] = 1,
    dilation: Annotated[int, Parameter(converter=whole_number, help="Pixels from one tap to the next.")] = 1,
    padding: Annotated[
        int | None, Parameter(converter=whole_number, help="Zeros on each side, beside valid, same and full.")
    ] = None,
    output: Annotated[
        int | None, Parameter(converter=whole_number, help="Pixels of the output that you want: which zeros give them?")
    ] = None,
    figure: FigureOption = None,
    json_: JsonOption = False,
) -> int:
    """Show what padding does to the size of a convolution's output, with the sum worked out and drawn.

    Example: unpool explain padding --size 7 --kernel 3 --stride 2

    Which padding gives the size I want: unpool explain padding --size 572 --kernel 3 --output 572
    """
    from unpool.commands.explain_padding import explain_padding
    from unpool.geometry import Window

    window = Window(kernel, stride, dilation=dilation)
    result = explain_padding(size, window, padding=padding, wanted=output, figure=figure)
    print_result(result.data if json_ else result.text)
    return 0
