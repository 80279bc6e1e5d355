"""The command line: help without waiting, clean JSON, exit codes, one message a refusal."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny
from conftest import Program, Said
from unpool.commands.train.train import TrainedRun
from unpool.io.read.images import read_image
from unpool.io.write.images import write_image

VERBS = ("check", "train", "test", "compare", "predict", "demo", "explain")


def refused(said: Said, code: int, *words: str) -> None:
    """Exactly one message on standard error, in three parts, and nothing on standard output."""
    assert said.code == code, said
    assert "Traceback" not in said.err + said.out
    assert said.err.startswith("unpool: ")
    assert [line[:12] for line in said.err.splitlines()].count("  expected: ") == 1
    assert said.err.count("\nunpool: ") == 0
    assert said.err.count("  to do:    ") == 1
    for word in words:
        assert word in said.err, said.err


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"]])
def test_help_does_not_wait_for_torch(words: list[str]) -> None:
    program = "import sys; from unpool.cli.main import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


def test_importing_the_package_does_not_import_torch() -> None:
    program = "import sys, unpool; assert 'torch' not in sys.modules; unpool.nets; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(verb: str, program: Program) -> None:
    said = program(verb, "--help")
    assert said.code == 0
    assert f"Example: unpool {verb}" in said.out


@pytest.mark.parametrize(
    "words",
    [
        ["nosuch"],
        ["check"],
        ["check", ".", "--nosuch"],
        ["check", ".", "--masks", "nosuch"],
        ["train", ".", "--epochs", "many"],
        ["test", "model", ".", "--split", "nosuch"],
        ["predict", "model", "picture"],
        ["demo", "--minutes"],
    ],
)
def test_words_that_cannot_be_understood_exit_with_2(words: list[str], program: Program) -> None:
    said = program(*words)
    assert said.code == 2
    assert said.out == ""
    assert said.err.strip()
    assert "Traceback" not in said.err


def test_check_says_what_is_there(cells: Path, program: Program) -> None:
    said = program("check", cells)
    assert (said.code, said.err) == (0, "")
    assert "8" in said.out
    found = json.loads(program("check", cells, "--json").out)
    assert found["pairs"] == 8
    assert [c["values"] for c in found["table"]["classes"]] == [[0], [255]]


def test_check_takes_names_and_seed(cells: Path, program: Program) -> None:
    found = json.loads(program("check", cells, "--classes", "0=ground", "255=thing", "--seed", 3, "--json").out)
    assert [c["name"] for c in found["table"]["classes"]] == ["ground", "thing"]
    assert found["split"]["seed"] == 3


def test_train_test_and_predict_print_json_alone(cells: Path, tmp_path: Path, program: Program) -> None:
    run = tmp_path / "run"
    said = program("train", cells, "--epochs", 1, "--out", run, "--json", *tiny.options("segnet-basic"))
    assert (said.code, said.err) == (0, "")
    trained = json.loads(said.out)
    assert (trained["folder"], trained["finished"], len(trained["history"])) == (str(run), True, 1)
    said = program("test", run, cells, "--out", tmp_path / "test", "--json")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == json.loads((tmp_path / "test" / "scores.json").read_text())
    said = program("predict", run, cells / "images" / "00.png", "--out", tmp_path / "out", "--json")
    assert (said.code, said.err) == (0, "")
    assert [Path(row["mask"]).name for row in json.loads(said.out)["written"]] == ["00.png"]


def test_the_last_line_of_train_is_the_next_command(cells: Path, tmp_path: Path, program: Program) -> None:
    said = program("train", cells, "--epochs", 1, "--out", tmp_path / "run", *tiny.options())
    assert said.code == 0
    assert said.out.splitlines()[-1] == f"next:  unpool test {tmp_path / 'run'} {cells}"
    assert re.search(r"^epoch   1 .* best$", said.out, re.MULTILINE)
    next_command = said.out.splitlines()[-1].split()[2:]
    assert program(*next_command).code == 0


def test_a_recipe_gives_way_to_set_and_set_to_options(cells: Path, tmp_path: Path, program: Program) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[training]\nminutes = 5.0\nseed = 1\nbatch_size = 3\n")
    said = program(
        "train", cells, "--recipe", recipe, *tiny.options(), "--set", "seed=2", "--seed", 3, "--epochs", 1,
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert said.code == 0, said.err
    written = (tmp_path / "run" / "config.toml").read_text()
    assert "seed = 3\n" in written
    assert "batch_size = 2\n" in written
    assert "epochs = 1\n" in written
    assert "minutes" not in written


# Each breaks a copy of the cells; then check, and train, must refuse it with these words.
def _empty(folder: Path) -> None:
    (folder / "images" / "03.png").write_bytes(b"")


def _truncated(folder: Path) -> None:
    path = folder / "images" / "03.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _text(folder: Path) -> None:
    (folder / "images" / "03.png").write_text("this is no picture")


def _broken_mask(folder: Path) -> None:
    path = folder / "masks" / "03.png"
    path.write_bytes(path.read_bytes()[:80])


def _other_size(folder: Path) -> None:
    write_image(folder / "masks" / "03.png", np.zeros((20, 20), np.uint8))


def _smeared(folder: Path) -> None:
    for path in sorted((folder / "masks").iterdir()):
        Image.open(path).convert("L").save(path.with_suffix(".jpg"), quality=50)
        path.unlink()


def _no_masks(folder: Path) -> None:
    shutil.rmtree(folder / "masks")


def _ambiguous(folder: Path) -> None:
    shutil.copytree(folder / "masks", folder / "labels")


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


def _nothing(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


DAMAGE: dict[Callable[[Path], None], tuple[str, ...]] = {
    _empty: ("03", "empty"),
    _truncated: ("03",),
    _text: ("03",),
    _broken_mask: ("masks/03.png",),
    _other_size: ("03", "20 x 20"),
    _smeared: ("JPEG",),
    _no_masks: ("no masks",),
    _ambiguous: ("labels", "masks"),
    _gone: ("there is no such folder",),
    _nothing: ("no picture files",),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__.strip("_"))
def test_broken_folders_are_refused_in_one_message(
    damage: Callable[[Path], None], cells: Path, tmp_path: Path, program: Program
) -> None:
    folder = shutil.copytree(cells, tmp_path / "cells")
    damage(folder)
    said = program("train", folder, "--epochs", 1, "--out", tmp_path / "run", *tiny.options(), "--json")
    refused(said, 3, *DAMAGE[damage])
    assert not (tmp_path / "run").exists()
    assert program("check", folder).code == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--net", "unett"], "did you mean --net unet?"),
        (["--epochs", "1", "--minutes", "1"], "epochs and minutes together"),
        (["--set", "epoch=3"], "did you mean epochs?"),
        (["--set", "crop"], "key=value"),
        (["--set", "crop=5"], "training.crop = 5"),
        (["--set", "kernel=4"], "needs an odd kernel"),
        (["--recipe", "gone.toml"], "gone.toml: No such file"),
        (["--device", "nosuch", "--epochs", "1"], "device 'nosuch'"),
        (["--classes", "x=cell"], "--classes x=cell"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_message(
    words: list[str], message: str, cells: Path, tmp_path: Path, program: Program
) -> None:
    refused(program("train", cells, *words, "--out", tmp_path / "run", "--json"), 2, message)
    assert not (tmp_path / "run").exists()


def test_models_that_cannot_be_read_are_refused_in_one_message(
    cells: Path, run: TrainedRun, tmp_path: Path, program: Program
) -> None:
    broken = tmp_path / "model.safetensors"
    broken.write_bytes(run.model.read_bytes()[:5000])
    for verb in (["test", "{}", cells], ["predict", "{}", cells, "--out", tmp_path / "out"]):
        for model, found in ((broken, "this is not a model file"), (tmp_path / "gone", "no such file")):
            refused(program(verb[0], model, *verb[2:]), 3, found)


def test_predicting_over_existing_masks_is_refused(
    cells: Path, run: TrainedRun, tmp_path: Path, program: Program
) -> None:
    words = ["predict", run.folder, cells / "images" / "00.png", "--out", tmp_path / "out"]
    assert program(*words).code == 0
    refused(program(*words), 2, "exists already")
    assert program(*words, "--overwrite").code == 0


def test_a_run_folder_that_cannot_be_made_is_refused(cells: Path, tmp_path: Path, program: Program) -> None:
    (tmp_path / "file").write_text("")
    said = program("train", cells, "--epochs", 1, "--out", tmp_path / "file" / "run", *tiny.options(), "--json")
    refused(said, 2, f"{tmp_path / 'file'} is a file")


def test_a_full_disk_is_one_message(cells: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from unpool.commands import check as checking

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "run/state.pt")

    monkeypatch.setattr(checking, "survey_steps", full)
    said = program("check", cells)
    refused(said, 1, "run/state.pt: No space left on device")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "| head -1"])
def test_a_closed_stream_does_not_stop_the_work(closed: str, cells: Path, tmp_path: Path) -> None:
    words = shlex.join([sys.executable, "-m", "unpool", "check", str(cells), "--json"])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{words} {closed}"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_standard_output_is_one_message(cells: Path) -> None:
    words = shlex.join([sys.executable, "-m", "unpool", "check", str(cells)])
    done = subprocess.run(["bash", "-c", f"{words} > /dev/full"], capture_output=True, text=True, check=False)
    refused(Said(done.returncode, done.stdout, done.stderr), 1, "standard output: No space left")


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_stream_without_the_letters_shows_escapes(words: list[str], cells: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(cells, tmp_path / "zellen-ä")
    done = subprocess.run(
        [sys.executable, "-m", "unpool", "check", str(folder), *words],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    if words:
        assert json.loads(done.stdout)["root"] == str(folder)
    else:
        assert "zellen-\\xe4" in done.stdout
        assert "  #" in done.stdout


def test_names_cannot_command_the_terminal(cells: Path, tmp_path: Path, program: Program) -> None:
    odd = "a\x1b[2J\r\n\u202eb"
    folder = shutil.copytree(cells, tmp_path / odd)
    (folder / "images" / "03.png").rename(folder / "images" / f"{odd}.png")
    said = [program("check", folder, "--classes", f"0={odd}", "1=b"), program("check", folder), program("explain", odd)]
    said += [program("check", tmp_path / f"{odd}-gone"), program("runs", folder), program(odd), program("check", odd)]
    for each in said:
        assert not re.search("[\x1b\r\u202e]", each.out + each.err)
        assert "a\\x1b[2J" in each.out + each.err or "no runs" in each.out
    assert all(each.err.count("\n") in (0, 3) for each in said), said  # a new line in a name forges no line
    assert json.loads(program("runs", folder, "--json").out)["runs"] == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["check", ""], "an empty word: unpool check ''"),
        (["check", ".", "--recipe="], "an empty word"),
        (["train", ".", "--epochs", "1.5"], "--epochs 1.5"),
        (["train", ".", "--seed", "1.0"], "--seed 1.0"),
        (["check", "."], "no picture files"),
    ],
)
def test_words_are_taken_as_they_are_meant(
    words: list[str], found: str, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(program(*words), 3 if found.startswith("no") else 2, found)


def test_a_tilde_after_an_equals_sign_is_the_home_folder(
    cells: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(cells.parent))
    assert program("check", f"--data=~/{cells.name}").code == 0


def test_what_is_missing_has_one_exit_code(run: TrainedRun, tmp_path: Path, program: Program) -> None:
    gone, out = tmp_path / "gone", tmp_path / "out"
    for words in (
        ["check", gone], ["train", gone], ["test", run.folder, gone], ["predict", run.folder, gone, "--out", out],
        ["predict", gone, gone, "--out", out], ["runs", gone], ["info", gone], ["compare", gone, gone],
        ["export", run.folder, "--to", "torch-export", "--pictures", gone, "--out", out],
    ):  # fmt: skip
        refused(program(*words), 3)


def test_an_interrupt_before_the_training_is_one_line(
    cells: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unpool.commands import check as checking

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "survey_steps", interrupted)
    said = program("check", cells)
    assert (said.code, said.out, said.err) == (130, "", "unpool: interrupted\n")


@pytest.mark.slow
def test_demo_tells_the_whole_story(tmp_path: Path, program: Program) -> None:
    said = program("demo", "--out", tmp_path / "demo", "--minutes", 0.5, "--json")
    assert (said.code, said.err) == (0, "")
    told = json.loads(said.out)
    assert told["tested"]["scores"]["mean_iou"] > 0.5
    assert len(told["predicted"]["written"]) == 6
    overlay = next((tmp_path / "demo" / "predictions" / "overlays").iterdir())
    assert read_image(overlay).shape[2] == 3
    refused(program("demo", "--out", tmp_path / "demo"), 2, "exists and is not empty")
