"""``unpool recipes``: the trainings of papers that come with the package."""

from __future__ import annotations

from unpool.cli.options import JsonOption
from unpool.cli.program import app, print_result


@app.command
def recipes(*, json_: JsonOption = False) -> int:
    """List the trainings of papers that come with the package.

    Example: unpool recipes
    """
    from unpool.config.recipes import paper_recipes, read_recipe

    settings_by_name = {name: read_recipe(name) for name in paper_recipes()}
    if json_:
        print_result(settings_by_name)
        return 0
    lines = []
    for name, settings in settings_by_name.items():
        note = settings["recipe"]
        lines += [f"{name}: {settings['net']}", f"  {note['citation']}"]
        lines += [f"  {label + ':':<10}{note[label]}" for label in ("data", "expected", "time")]
        lines += [f"  departs:  {departure}" for departure in note.get("departures", ())]
    print_result("\n".join([*lines, "", "use:  unpool train DATA --recipe NAME"]))
    return 0
