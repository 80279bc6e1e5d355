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
    for name, settings in settings_by_name.items():
        note = settings["recipe"]
        print(f"{name}: {settings['net']}\n  {note['citation']}")
        for label in ("data", "expected", "time"):
            print(f"  {label + ':':<10}{note[label]}")
        for departure in note.get("departures", ()):
            print(f"  departs:  {departure}")
    print("\nuse:  unpool train DATA --recipe NAME")
    return 0
