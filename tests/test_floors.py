"""The shape of the house: imports, names, parameters, families of networks."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import unpool

ROOT = Path(unpool.__file__).parent

FLOORS = {
    "errors": 0, "meaning": 0, "shapes": 0, "wording": 0,
    "appearance": 1, "class_table": 1, "generators": 1, "geometry": 1, "machine": 1, "normalisation": 1,
    "orientation": 1, "processes": 1, "read_ahead": 1, "tiling": 1,
    "io": 2,
    "machine_code": 3,
    "convolution": 4,
    "data": 5, "losses": 5, "metrics": 5, "nets": 5, "objects": 5, "optim": 5,
    "segmenter": 6,
    "checkpoint": 7, "config": 7, "dataset": 7, "ledger": 7,
    "prediction": 8, "study": 8,
    "export": 9, "report": 9, "training": 9,
    "commands": 10,
    "cli": 11, "model": 11, "__main__": 11, "__init__": 11,
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
        if FLOORS[room] >= FLOORS[room_of(path)] and not (FLOORS[room_of(path)] == FLOORS[room] == 11)
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


INITS = {"", "nets"}
"""Packages whose ``__init__`` imports: the public face, and the networks as a library."""


def test_a_package_imports_nothing_by_itself() -> None:
    for path in ROOT.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert path.parent.relative_to(ROOT).as_posix().replace(".", "") in INITS or len(body) == 1, path


def test_the_training_loop_does_not_import_the_survey_of_folders() -> None:
    program = "import sys, unpool.training.loop; print([m for m in sys.modules if m.startswith('unpool.dataset')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SAME_MEANING = {
    **dict.fromkeys(("check", "compare", "demo", "ensemble", "explain", "export", "info", "predict", "shapes", "test",
                     "train", "verify"), "a command: its options, what it does, its Python face"),
}  # fmt: skip
"""Public names that are defined more than once, and the one meaning that all of them have."""


def public_names(path: Path) -> set[str]:
    """What a module defines for others."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def test_one_public_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        for name in public_names(path):
            places.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    twice = {name: where for name, where in places.items() if len(where) > 1 and name not in SAME_MEANING}
    assert not twice, "\n".join(f"{name}: {', '.join(where)}" for name, where in sorted(twice.items()))


MOST_PARAMETERS = 6

LONG = {
    "__init__.py train": "the public face: a person's options by name",
    "model.py test": "the public face: a person's options by name",
    "convolution/operation.py convolve": "torch's own signature, which it stands for",
    "convolution/operation.py up_convolve": "torch's own signature, which it stands for",
    "nets/inference/streaming.py _convolution": "torch's own signature, which it stands for",
    "nets/inference/streaming.py _up_convolution": "torch's own signature, which it stands for",
}
"""Functions with more parameters, and why."""


def test_functions_have_few_parameters() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not (where.startswith("cli/") and _is_command(node)):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                names = [each.arg for each in given if each.arg not in ("self", "cls")]
                if len(names) > MOST_PARAMETERS and f"{where} {node.name}" not in LONG:
                    wrong.append(f"{where} {node.name}: {', '.join(names)}")
    assert not wrong, "\n".join(wrong)


def _is_command(node: ast.FunctionDef) -> bool:
    """Whether the command line makes options of a function's parameters, of which it has as many as people need."""
    return any("command" in ast.unparse(each) or "default" in ast.unparse(each) for each in node.decorator_list)


def test_only_networks_know_their_families() -> None:
    family = re.compile(r"isinstance\([^)]*\b(FCNStructure|Structure|FCN|EncoderDecoder)\b")
    for path in sorted(ROOT.rglob("*.py")):
        if room_of(path) != "nets":
            assert not family.search(path.read_text(encoding="utf-8")), path
