"""``runs``: the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from unpool.cli.options import JsonOption, drive
from unpool.cli.program import STOPPED, app

runs = App(name="runs")
app.command(runs)

RunName = Annotated[str, Parameter(help="A run's id, the beginning of one, or a run's folder.")]
Places = Annotated[
    list[Path] | None,
    Parameter(name="--among", consume_multiple=True, negative="", help="Folders to look in; by default runs."),
]


@runs.default
def runs_list(
    folders: Annotated[list[Path] | None, Parameter(negative="", help="Where to look; by default in runs.")] = None,
    *,
    net: Annotated[str | None, Parameter(help="Only runs of this network.")] = None,
    data: Annotated[str | None, Parameter(help="Only runs on a folder of this name.")] = None,
    kind: Annotated[Literal["train", "test"] | None, Parameter(help="Only trainings, or only tests.")] = None,
    state: Annotated[
        Literal["running", "finished", "stopped", "failed", "interrupted"] | None,
        Parameter(help="Only runs that stand so; interrupted ones were killed."),
    ] = None,
    where: Annotated[
        list[str] | None,
        Parameter(
            name="--where", negative="", help="Only runs in whose run.json this is so, as key=value; may be repeated."
        ),
    ] = None,
    sort: Annotated[
        Literal["created", "score", "seconds", "memory", "net", "data"],
        Parameter(help="What to sort by: the newest, the best, the shortest or the smallest first."),
    ] = "created",
    reverse: Annotated[bool, Parameter(negative="", help="Sort the other way round.")] = False,
    json_: JsonOption = False,
) -> int:
    """List what was trained and tested.

    Example: unpool runs --kind test --sort score --where crop=256
    """
    from unpool.commands.runs.listing import list_runs
    from unpool.ledger.selection import RunFilter

    wanted = RunFilter(net=net, data=data, kind=kind, state=state, where=tuple(where or ()))
    listed = list_runs(folders or (), wanted, sort, reverse=reverse)
    print(json.dumps(listed.to_json(), indent=2, ensure_ascii=False) if json_ else listed.text)
    return 0


@runs.command(name="show")
def runs_show(run: RunName, *, among: Places = None, json_: JsonOption = False) -> int:
    """Show everything about one run, its tests and the command that does it again.

    Example: unpool runs show 3f2a
    """
    from unpool.commands.runs.listing import show_run

    shown = show_run(run, among or ())
    print(json.dumps(shown.to_json(), indent=2, ensure_ascii=False) if json_ else shown.text)
    return 0


@runs.command(name="rerun")
def runs_rerun(
    run: RunName,
    *,
    among: Places = None,
    out: Annotated[Path | None, Parameter(help="The new folder; by default FOLDER-again beside the old.")] = None,
    json_: JsonOption = False,
) -> int:
    """Train or test again with the same data, settings and seed, and say whether the same came out.

    Example: unpool runs rerun 3f2a
    """
    from unpool.commands.runs.listing import show_run
    from unpool.commands.runs.rerun import rerun

    again = drive(rerun(show_run(run, among or ()).run, out), quiet=json_)
    print(json.dumps(again.to_json(), indent=2, ensure_ascii=False) if json_ else again.text)
    return 0 if again.stopped_by is None else STOPPED + again.stopped_by
