"""The steps of docs/extending.md for a new command and for a new export format."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch

import tiny
import unpool.cli
import unpool.commands
from conftest import Program
from unpool.checkpoint.models import save_model
from unpool.cli import main as program_main
from unpool.cli.export import export as export_command
from unpool.cli.program import app
from unpool.commands.events import finish
from unpool.commands.export import WRITERS, ExportFormat, ExportRequest, FormatWriter, export
from unpool.errors import RunError
from unpool.export.equality import (
    ExportDifference,
    RuntimeOutput,
    export_difference,
    pattern_pictures,
    require_equal,
    softmax,
)
from unpool.export.graph import ExportModule

WORK = '''
"""``count``: the number of files in a folder."""

from unpool.commands.events import Message


def count(folder):
    """Count the files of a folder, and yield a message for each."""
    files = sorted(folder.iterdir())
    for file in files:
        yield Message(file.name)
    return len(files)
'''
OPTIONS = '''
"""``unpool count``: the number of files in a folder."""

from unpool.cli.options import DataOption, JsonOption
from unpool.cli.program import app, print_result, run_command


@app.command
def count(data: DataOption, *, json_: JsonOption = False) -> int:
    """Count the files of a folder.

    Example: unpool count photos
    """
    from unpool.commands.count import count as command

    number = run_command(command(data), silent=json_)
    print_result({"files": number} if json_ else f"{number} files")
    return 0
'''


@pytest.fixture
def _count_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command ``unpool count``, added as docs/extending.md says: two files and one name."""
    for package, text in ((unpool.commands, WORK), (unpool.cli, OPTIONS)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "count.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    monkeypatch.setattr(program_main, "COMMANDS", ("check", "count"))
    yield
    del app["count"]
    for package in (unpool.commands, unpool.cli):
        sys.modules.pop(f"{package.__name__}.count")
        delattr(package, "count")


@pytest.mark.usefixtures("_count_command")
def test_a_command_is_two_files_and_one_name(cells: Path, program: Program) -> None:
    shown = program("count", cells)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == "images\nmasks\n2 files\n"
    assert json.loads(program("count", cells, "--json").out) == {"files": 2}
    assert "Example: unpool count photos" in program("count", "--help").out
    words = program("--help").out
    assert words.index("check ") < words.index("count ") < words.index("Display this message")


def test_every_command_is_a_file_of_its_name() -> None:
    folder = Path(str(unpool.cli.__file__)).parent
    files = {path.stem for path in folder.glob("*.py")} - {
        "__init__",
        "console",
        "main",
        "options",
        "program",
        "refusals",
        "screen",
    }
    assert files == set(program_main.COMMANDS)
    assert {name for name in program_main.load_commands() if not name.startswith("-")} == files


def test_every_format_of_export_has_a_writer_and_an_option() -> None:
    (option, *_) = get_args(get_type_hints(export_command, include_extras=True)["to"])
    assert set(get_args(option)) == set(get_args(ExportFormat)) == set(WRITERS)


@pytest.mark.parametrize("error", [0.0, 0.01])
def test_an_export_format_is_one_row(error: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(request: ExportRequest, draft: Path) -> ExportDifference:
        module = ExportModule(request.segmenter, request.pixels, "probabilities")
        torch.save(module.state_dict(), draft)

        def run(batch: Any) -> RuntimeOutput:
            module.load_state_dict(torch.load(draft, weights_only=True))
            with torch.inference_mode():
                logits = module.logits(torch.from_numpy(batch)).numpy()
            return RuntimeOutput(softmax(logits) + np.float32(error), logits.argmax(axis=1).astype(np.uint8))

        pictures = list(pattern_pictures(request.segmenter, request.pixels, smallest=True))
        difference = export_difference(request.segmenter, run, pictures)
        require_equal(difference, request.options.precision)
        return difference

    monkeypatch.setitem(WRITERS, "state", FormatWriter(".pt", write))
    save_model(tmp_path / "model.safetensors", tiny.segmenter(), {})
    steps = export(tmp_path, "state")  # type: ignore[arg-type]
    if error:
        with pytest.raises(RunError, match="does not compute what the model computes"):
            finish(steps)
        assert not (tmp_path / "model.pt").exists()
    else:
        assert finish(steps).path == tmp_path / "model.pt"
        assert (tmp_path / "model.pt").is_file()
