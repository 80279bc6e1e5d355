"""``unpool runs``, ``runs show`` and ``runs rerun``: the ledger of trainings and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from unpool.cli.options import JsonOption
from unpool.cli.program import STOPPED, app, print_result, run_command

runs = App(name="runs")
app.command(runs)

RunArgument = Annotated[str, Parameter(help="Id of a run, its first characters, or the folder of the run.")]
AmongOption = Annotated[
    list[Path] | None,
    Parameter(name="--among", consume_multiple=True, negative="", help="Folders to search; by default runs."),
]


@runs.default
def runs_list(
    folders: Annotated[list[Path] | None, Parameter(negative="", help="Folders to search; by default runs.")] = None,
    *,
    net: Annotated[str | None, Parameter(help="Only runs of this network.")] = None,
    data: Annotated[str | None, Parameter(help="Only runs on a folder of this name.")] = None,
    kind: Annotated[Literal["train", "test"] | None, Parameter(help="Only trainings, or only tests.")] = None,
    state: Annotated[
        Literal["running", "finished", "stopped", "failed", "interrupted"] | None,
        Parameter(help="Only runs in this state; interrupted means killed before the end."),
    ] = None,
    where: Annotated[
        list[str] | None,
        Parameter(
            name="--where", negative="", help="Only runs whose run.json has this value, as key=value; repeatable."
        ),
    ] = None,
    sort: Annotated[
        Literal["created", "score", "seconds", "memory", "net", "data"],
        Parameter(help="Order: the newest, best, shortest or smallest run first, or names by the alphabet."),
    ] = "created",
    reverse: Annotated[bool, Parameter(negative="", help="Reverse the order.")] = False,
    json_: JsonOption = False,
) -> int:
    """List trainings and tests.

    Example: unpool runs --kind test --sort score --where crop=256
    """
    from unpool.commands.runs.listing import list_runs
    from unpool.ledger.selection import RunFilter

    wanted = RunFilter(net=net, data=data, kind=kind, state=state, where=tuple(where or ()))
    listing = list_runs(folders or (), wanted, sort, reverse=reverse)
    print_result(listing.to_json() if json_ else listing.text)
    return 0


@runs.command(name="show")
def runs_show(run: RunArgument, *, among: AmongOption = None, json_: JsonOption = False) -> int:
    """Show one run: its settings, data, scores and tests, and the command that repeats it.

    Example: unpool runs show 3f2a
    """
    from unpool.commands.runs.listing import show_run

    page = show_run(run, among or ())
    print_result(page.to_json() if json_ else page.text)
    return 0


@runs.command(name="rerun")
def runs_rerun(
    run: RunArgument,
    *,
    among: AmongOption = None,
    out: Annotated[Path | None, Parameter(help="New folder; by default FOLDER-again next to the old one.")] = None,
    json_: JsonOption = False,
) -> int:
    """Train or test again with the same data, settings and seed, and say whether the result is the same.

    Example: unpool runs rerun 3f2a
    """
    from unpool.commands.runs.listing import show_run
    from unpool.commands.runs.rerun import rerun

    again = run_command(rerun(show_run(run, among or ()).run, out), silent=json_)
    print_result(again.to_json() if json_ else again.text)
    return 0 if again.stopped_by is None else STOPPED + again.stopped_by
