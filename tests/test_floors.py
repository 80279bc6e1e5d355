"""Imports run down the floors only; inside functions too."""

import ast
from pathlib import Path

import unpool

ROOT = Path(unpool.__file__).parent

FLOORS = {
    "errors": 0, "shapes": 0,
    "class_table": 1, "geometry": 1, "machine": 1, "normalisation": 1, "orientation": 1, "processes": 1, "tiling": 1,
    "wording": 1,
    "io": 2,
    "data": 3, "losses": 3, "metrics": 3, "nets": 3, "optim": 3,
    "segmenter": 4,
    "checkpoint": 5, "config": 5, "dataset": 5, "ledger": 5,
    "prediction": 6,
    "export": 7, "report": 7, "training": 7,
    "commands": 8,
    "cli": 9, "model": 9, "__main__": 9, "__init__": 9,
}  # fmt: skip


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms of this package that a file imports, anywhere in it; type-checking imports count as well."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("unpool.")}
    return rooms


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in ROOT.rglob("*.py")}
    assert rooms == set(FLOORS)


def test_imports_run_down_the_floors() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} (floor {FLOORS[room_of(path)]}) imports {room} (floor {FLOORS[room]})"
        for path in sorted(ROOT.rglob("*.py"))
        for room in imported_rooms(path) - {room_of(path)}
        if FLOORS[room] >= FLOORS[room_of(path)] and not (FLOORS[room_of(path)] == FLOORS[room] == 9)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_relative_imports() -> None:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def test_arithmetic_and_reading_do_not_know_torch() -> None:
    arithmetic = {room for room, floor in FLOORS.items() if floor < 2} - {"machine", "processes"}
    for room in (*(f"{room}.py" for room in arithmetic), "io", "metrics"):
        target = ROOT / room
        for path in [target] if target.is_file() else target.rglob("*.py"):
            assert "import torch" not in path.read_text(encoding="utf-8"), path


def test_only_the_command_line_prints() -> None:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            printing = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            assert not printing or room_of(path) == "cli", path


def test_no_drawer_for_leftovers() -> None:
    for path in ROOT.rglob("*"):
        assert path.stem not in {"utils", "util", "misc", "helpers", "common", "base", "core", "manager"}, path
