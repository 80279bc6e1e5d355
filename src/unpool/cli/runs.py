"""``unpool runs`` and its commands ``table``, ``note``, ``show`` and ``rerun``: the ledger of trainings and tests."""

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
    Parameter(
        name="--among", consume_multiple=True, negative="", help="Folders to search; by default runs and studies."
    ),
]


FoldersArgument = Annotated[
    list[Path] | None, Parameter(negative="", help="Folders to search; by default runs and studies.")
]
NetOption = Annotated[str | None, Parameter(help="Only runs of this network.")]
DataNameOption = Annotated[str | None, Parameter(help="Only runs on a folder of this name.")]
StudyOption = Annotated[
    str | None, Parameter(help="Only trainings of the study in a folder of this name, and their tests.")
]
WhereOption = Annotated[
    list[str] | None,
    Parameter(name="--where", negative="", help="Only runs whose run.json has this value, as key=value; repeatable."),
]


@runs.default
def runs_list(
    folders: FoldersArgument = None,
    *,
    net: NetOption = None,
    data: DataNameOption = None,
    study: StudyOption = None,
    kind: Annotated[Literal["train", "test"] | None, Parameter(help="Only trainings, or only tests.")] = None,
    state: Annotated[
        Literal["running", "finished", "stopped", "failed", "interrupted"] | None,
        Parameter(help="Only runs in this state; interrupted means killed before the end."),
    ] = None,
    where: WhereOption = None,
    sort: Annotated[
        Literal["created", "score", "seconds", "memory", "net", "data"],
        Parameter(help="Order: the newest, best, shortest or smallest run first, or names by the alphabet."),
    ] = "created",
    reverse: Annotated[bool, Parameter(negative="", help="Reverse the order.")] = False,
    wide: Annotated[bool, Parameter(negative="", help="Show all columns, also where they do not fit.")] = False,
    json_: JsonOption = False,
) -> int:
    """List trainings and tests: what was changed, from which run, and the scores.

    Example: unpool runs --kind test --sort score --where crop=256
    """
    from unpool.commands.runs.listing import list_runs
    from unpool.ledger.selection import RunFilter

    wanted = RunFilter(net=net, data=data, study=study, kind=kind, state=state, where=tuple(where or ()))
    listing = list_runs(folders or (), wanted, sort, reverse=reverse, wide=wide)
    print_result(listing.to_json() if json_ else listing.text)
    return 0


@runs.command(name="table")
def runs_table(
    folders: FoldersArgument = None,
    *,
    net: NetOption = None,
    data: DataNameOption = None,
    study: StudyOption = None,
    where: WhereOption = None,
    json_: JsonOption = False,
) -> int:
    """Show changes against scores as a table in Markdown, with means over seeds.

    Example: unpool runs table --data photos
    """
    from unpool.commands.runs.listing import table_runs
    from unpool.ledger.selection import RunFilter

    table = table_runs(folders or (), RunFilter(net=net, data=data, study=study, where=tuple(where or ())))
    print_result(table.to_json() if json_ else table.text)
    return 0


@runs.command(name="note")
def runs_note(
    run: RunArgument,
    text: Annotated[str, Parameter(help="The note.")],
    *,
    among: AmongOption = None,
    json_: JsonOption = False,
) -> int:
    """Keep a note on a run, in notes.jsonl in its folder; the list shows it.

    Example: unpool runs note 3f2a "trained before the masks were corrected"
    """
    from unpool.commands.runs.listing import note_run

    noted = note_run(run, text, among or ())
    print_result(noted.to_json() if json_ else f"noted on {noted.record.id}: {noted.folder}")
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
