"""The ledger: the records that runs leave, and how runs are found, shown and done again."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import tiny
from conftest import Program
from runs import start, training, wait_for
from unpool.checkpoint.models import load_model
from unpool.cli.main import load_commands
from unpool.commands.events import Message, finish
from unpool.commands.run_folder import recipe_origin
from unpool.commands.runs.listing import list_runs, note_run, show_run
from unpool.commands.runs.rerun import rerun
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import test as score
from unpool.commands.train import train as training_command
from unpool.commands.train.train import TrainedRun, train
from unpool.config.settings import resolve
from unpool.errors import DataError, ModelFileError, RunError, UsageError
from unpool.ledger.changes import changes_between
from unpool.ledger.folders import FoundRun, FoundRuns, find_runs, read_record, run_named, write_record
from unpool.ledger.lineage import Lineage
from unpool.ledger.record import (
    RECORD_FILE,
    UNKNOWN,
    CodeUsed,
    DataUsed,
    ModelUsed,
    Process,
    Record,
    StudyPlace,
    digest,
    file_digest,
    present_code,
)
from unpool.ledger.run_list import runs_text
from unpool.ledger.selection import RUN_ORDERS, RunFilter, select_runs
from unpool.ledger.text import command_line
from unpool.ledger.variants import variant_table
from unpool.training.records import StepRecord

LATE = datetime(2026, 11, 22, 12, tzinfo=UTC)


def record(identity: str = "0badcafe", **changes: Any) -> Record:
    """Return the record of a finished training, with changes."""
    given: dict[str, Any] = {
        "id": identity,
        "kind": "train",
        "state": "finished",
        "key": "k",
        "created": LATE,
        "updated": LATE,
        "net": "unet",
        "data": DataUsed(name="cells", folder="/cells", fingerprint="f" * 64, pictures={"train": 6, "val": 2}),
        "settings": {"training": {"crop": 64, "minutes": None}, "loss": {"dice": 1.0}},
        "code": CodeUsed(version="0.1.0", digest="c" * 64),
        "software": {},
        "machine": "cpu",
        "process": Process(host="elsewhere", pid=1),
    }
    return Record(**{**given, **changes})


def put(folder: Path, *args: Any, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder, record(*args, **changes))
    return folder


def found_runs(*records: Record) -> list[FoundRun]:
    return [FoundRun(Path(f"runs/{each.id}"), each, each.state) for each in records]


def ids(found: Any) -> list[str]:
    return [run.record.id for run in found]


def messages(command: Any) -> list[str]:
    return [event.text for event in command if isinstance(event, Message)]


@pytest.fixture(scope="module")
def tested(run: TrainedRun, tmp_path_factory: pytest.TempPathFactory, cells: Path) -> Path:
    """Copy a run's folder and test its model in it."""
    folder = tmp_path_factory.mktemp("ledger") / "runs" / "cells-unet"
    shutil.copytree(run.folder, folder)
    options = TestOptions(device="cpu", precision="float32", measures=["boundaries-of-truth"])
    finish(score(folder, cells, options))
    return folder


def test_a_training_leaves_its_record(run: TrainedRun, cells: Path) -> None:
    found = read_record(run.folder)
    assert (found.kind, found.state, found.net, found.seed, found.error) == ("train", "finished", "unet", 0, "")
    assert (found.data.name, found.data.folder) == ("cells", str(cells.resolve()))
    assert found.data.fingerprint == json.loads((run.folder / "split.json").read_text())["fingerprint"]
    assert found.data.pictures == {"train": 6, "val": 2}
    assert resolve(found.settings) == resolve(load_model(run.model).card["story"]["config"])
    assert found.changed == {
        "structure.width": 4, "structure.depth": 2, "training.epochs": 3, "training.batch_size": 2,
        "training.crop": 32, "training.learning_rate": 0.01, "machine.device": "cpu", "machine.precision": "float32",
        "machine.compile": "no",
    }  # fmt: skip
    assert (found.epochs, found.best_epoch, found.mean_iou) == (3, run.best_epoch, run.best_mean_iou)
    assert found.model is not None
    assert (found.model.file, found.model.digest) == (str(run.model.absolute()), file_digest(run.model))
    assert found.code == present_code()
    assert found.process.pid == os.getpid()
    assert found.created <= found.updated
    assert found.seconds > 0
    assert found.peak_bytes is None or 50e6 < found.peak_bytes < 100e9


def test_a_test_leaves_its_record(tested: Path, cells: Path) -> None:
    found = read_record(tested / "test-cells")
    scores = json.loads((tested / "test-cells" / "scores.json").read_text())
    assert (found.kind, found.state, found.seed) == ("test", "finished", None)
    assert found.model is not None
    assert found.model.digest == file_digest(tested / "model.safetensors")
    assert found.data.pictures == {"the val split of the folder the model was trained on": 2}
    assert found.settings == {
        "which": "auto",
        "device": "cpu",
        "precision": "float32",
        "measures": ["boundaries-of-truth"],
        "conventions": False,
        "tta": "none",
        "samples": 0,
    }
    assert found.scores["mean_iou"] == scores["scores"]["mean_iou"]
    assert found.intervals["mean_iou"] == tuple(scores["intervals"]["mean_iou"])


def test_a_run_stopped_failed_and_resumed(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    steps = train(cells, tiny.settings(epochs=2), out)
    while not (out / RECORD_FILE).is_file():
        next(steps)
    first = read_record(out)
    assert (first.state, find_runs([tmp_path]).runs[0].state) == ("running", "running")
    steps.close()
    assert read_record(out).state == "stopped"
    with monkeypatch.context() as patched:
        patched.setattr(training_command, "keep_epoch", _fail)
        with pytest.raises(RunError):
            finish(train(cells, tiny.settings(epochs=2), out, resume=True))
    assert (read_record(out).state, read_record(out).error.splitlines()[0]) == ("failed", "the disk is full")
    assert "failed (the disk is full)" in page_of(out)
    steps = train(cells, tiny.settings(epochs=2), out, resume=True)
    while not isinstance(next(steps), StepRecord):
        pass
    signal.raise_signal(signal.SIGTERM)
    assert finish(steps).stopped_by == signal.SIGTERM
    assert read_record(out).state == "stopped"
    finish(train(cells, tiny.settings(epochs=2), out, resume=True))
    last = read_record(out)
    assert (last.state, last.error, last.epochs) == ("finished", "", 2)
    assert (last.id, last.created) == (first.id, first.created)


def _fail(*_: object) -> None:
    raise RunError("the disk is full", "room", "make some")


def page_of(folder: Path) -> str:
    from unpool.commands.runs.listing import show_run

    return show_run(str(folder)).text


@pytest.mark.skipif(os.name != "posix", reason="there is no kill -9")
def test_a_killed_run_is_interrupted(cells: Path, tmp_path: Path) -> None:
    process = start(training, cells, tiny.settings(epochs=500), tmp_path / "out")
    wait_for(tmp_path / "out" / RECORD_FILE, process)
    assert [run.state for run in find_runs([tmp_path]).runs] == ["running"]
    process.kill()
    process.join()
    assert read_record(tmp_path / "out").state == "running"
    assert [run.state for run in find_runs([tmp_path]).runs] == ["interrupted"]


def test_a_run_elsewhere_is_interrupted_when_it_writes_nothing(tmp_path: Path) -> None:
    put(tmp_path / "run", state="running")
    assert find_runs([tmp_path]).runs[0].state == "running"
    long_ago = time.time() - 7200
    os.utime(tmp_path / "run" / RECORD_FILE, (long_ago, long_ago))
    assert find_runs([tmp_path]).runs[0].state == "interrupted"
    (tmp_path / "run" / "state.pt").write_bytes(b"")
    assert find_runs([tmp_path]).runs[0].state == "running"


def test_runs_are_found_where_they_are(tested: Path, tmp_path: Path) -> None:
    assert [run.folder.name for run in find_runs([tested.parent]).runs] == ["cells-unet", "test-cells"]
    put(tmp_path / "x-stages" / "1-fcn-32s", "00000001")
    put(tmp_path / "x", "00000002")
    put(tmp_path / ".hidden", "00000003")
    (tmp_path / "x" / "circle").symlink_to(tmp_path, target_is_directory=True)
    assert ids(find_runs([tmp_path, tmp_path / "x"]).runs) == ["00000002", "00000001"]
    with pytest.raises(DataError, match=r"nowhere: no such folder(.|\n)*unpool train puts runs"):
        find_runs([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no valid JSON"),
        ("{", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ('{"state": "RUNNING", "pod": 7}', r"no record \(id: Field required"),
        (record().model_dump_json().replace('"version":1', '"version":2'), r"no record \(version"),
        (record().model_dump_json().replace('"seconds":0.0', '"seconds":"long"'), r"no record \(seconds"),
        ("\udcff", "no valid JSON"),
        (None, "no plain file"),
    ],
)
def test_a_file_that_is_no_record_is_listed_as_unreadable(content: str | None, why: str, tmp_path: Path) -> None:
    put(tmp_path / "good")
    file = tmp_path / "bad" / RECORD_FILE
    file.parent.mkdir()
    if content is None:
        file.symlink_to(tmp_path / "nothing") if os.name == "nt" else os.mkfifo(file)
    else:
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
    found = find_runs([tmp_path])
    assert ids(found.runs) == ["0badcafe"]
    text = runs_text(found)
    assert text.splitlines()[0].split()[:2] == ["id", "kind"]
    assert f"\n\nunreadable: {file}: " in text
    with pytest.raises(DataError, match=f"{RECORD_FILE}: {why}"):
        run_named(str(file.parent), [])


def test_a_run_is_named_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    for identity in ("abc00001", "abc00002", "b0000000"):
        put(tmp_path / identity, identity)
    assert run_named("b", [tmp_path]).folder == tmp_path / "b0000000"
    assert run_named("ABC00002", [tmp_path]).folder == tmp_path / "abc00002"
    assert run_named(str(tmp_path / "abc00001"), []).record.id == "abc00001"
    assert run_named(str(tmp_path / "abc00001" / RECORD_FILE), []).record.id == "abc00001"
    with pytest.raises(UsageError, match=r"abc: 2 runs (.|\n)*abc00001 \(.*\), abc00002"):
        run_named("abc", [tmp_path])
    with pytest.raises(UsageError, match=r"f00: no run in (.|\n)*one of abc00001 .*b0000000"):
        run_named("f00", [tmp_path])
    with pytest.raises(DataError, match="no such file"):
        run_named(str(tmp_path), [])


def test_order_and_conditions() -> None:
    scores = [{"mean_iou": 0.4}, {}, {"mean_iou": 0.9}]
    many = found_runs(*(
        record(f"0000000{k}", scores=scores[k], created=LATE + timedelta(hours=k), seconds=10.0 - k, net=f"net{k}",
               peak_bytes=(None, 2, 1)[k], settings={"training": {"crop": 32 * k, "minutes": None}})
        for k in range(3)
    ))  # fmt: skip

    def order(*given: Any, **how: Any) -> str:
        return "".join(run.record.id[-1] for run in select_runs(many, *given, **how))

    everything = RunFilter()
    assert [order(everything, each) for each in RUN_ORDERS] == ["210", "201", "210", "210", "012", "012"]
    assert order(everything, "score", reverse=True) == "021"
    assert order(everything, "memory", reverse=True) == "120"
    assert order(RunFilter(net="net1")) == "1"
    assert order(RunFilter(data="cells", kind="train", state="finished")) == "210"
    assert [order(w) for w in (RunFilter(data="x"), RunFilter(kind="test"), RunFilter(state="stopped"))] == [""] * 3
    assert order(RunFilter(where=("crop=32",))) == "1"
    assert order(RunFilter(where=("training.crop=32", "minutes=null"))) == "1"
    assert order(RunFilter(where=("net=net2",))) == "2"
    with pytest.raises(UsageError, match=r"no run has crops(.|\n)*try crop"):
        order(RunFilter(where=("crops=32",)))
    with pytest.raises(UsageError, match="key=value"):
        order(RunFilter(where=("crop",)))


def test_a_line_of_the_list_is_short_and_printable() -> None:
    odd = record(
        data=DataUsed(name="a\x1b[31m\n" + "b" * 40, folder="/", fingerprint="", pictures={}), peak_bytes=10**9
    )
    text = runs_text(dataclasses.replace(find_runs([]), runs=tuple(found_runs(odd))))
    assert len(rows_of(text)) == 2
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "a\\x1b[31m\\nbbbbbbbbbbbb…" in text
    assert runs_text(find_runs([])) == "no runs"


def test_the_page_of_a_run(tested: Path, cells: Path, program: Program) -> None:
    shown = program("runs", "show", tested)
    test_id, own = (read_record(folder).id for folder in (tested / "test-cells", tested))
    assert (shown.code, shown.out.splitlines()[0]) == (0, f"{own}: train, finished")
    for words in ("structure.width", "6 train, 2 val", "epochs", "state.pt", f"{test_id[:4]}  20", "test-cells/"):
        assert words in shown.out
    page = program("runs", "show", own[:7], "--among", tested.parent, "--json")
    plain = json.loads(page.out)
    assert [each["id"] for each in plain["tests"]] == [test_id]
    assert plain["command"] == f"unpool train {cells.resolve()} --recipe {tested / 'config.toml'}"
    test = json.loads(program("runs", "show", tested / "test-cells", "--json").out)
    assert test["maker"]["id"] == test["trained_by"] == own
    assert "--precision float32 --measures boundaries-of-truth" in test["command"]


def test_the_list_on_the_command_line(tested: Path, program: Program, tmp_path: Path) -> None:
    everything = program("runs", tested.parent)
    assert everything.code == 0
    table = [line.split() for line in everything.out.splitlines() if line[4:6] == "  "]
    assert [line[1] for line in table] == ["kind", "test", "train"]
    tests = program(
        "runs", tested.parent, "--kind", "test", "--where", "measures=boundaries-of-truth", "--sort", "score", "--json"
    )
    assert [run["folder"] for run in json.loads(tests.out)["runs"]] == [str(tested / "test-cells")]
    assert program("runs", tmp_path / "none").code == 3
    assert program("runs", tmp_path).out == "no runs\n"


def test_a_list_does_not_wait_for_torch(tested: Path) -> None:
    code = (
        "import sys; from unpool.cli.main import load_commands; "
        "load_commands()(sys.argv[1:], result_action='return_value'); "
        "heavy = {'torch', 'scipy', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    for words in (["runs", str(tested.parent)], ["runs", "show", str(tested)]):
        subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)


def test_a_repeated_run_is_noted(run: TrainedRun, tested: Path, cells: Path, tmp_path: Path) -> None:
    beside = tested.parent / "other"
    settings = {**tiny.settings(epochs=3, learning_rate=1e-2), "machine": {"device": "cpu", "precision": "float32"}}
    notes = [text for text in messages(train(cells, settings, beside)) if "already" in text]
    assert notes == [
        f"this has been run already: {tested} (validation mean IoU {run.best_mean_iou:.3f}), with the same data, "
        "settings and code; it is run again"
    ]
    assert read_record(beside).result == read_record(tested).result
    assert not [
        text for text in messages(train(cells, tiny.settings(epochs=1), beside.with_name("third"))) if "alr" in text
    ]
    options = TestOptions(device="cpu", precision="float32", measures=["boundaries-of-truth"])
    again = score(tested, cells, options, out=tested / "second")
    assert [text for text in messages(again) if f"run already: {tested / 'test-cells'} (mean IoU 0." in text]
    other = score(tested, cells, TestOptions("all", "cpu", "float32"), out=tested / "all")
    assert not [text for text in messages(other) if "already" in text]


def test_a_rerun_gives_the_same_bits(tested: Path, program: Program, tmp_path: Path) -> None:
    trained = program("runs", "rerun", tested, "--out", tmp_path / "again")
    assert (trained.code, trained.err) == (0, "")
    assert trained.out.splitlines()[-1].startswith(f"the same weights as {read_record(tested).id}, bit for bit: ")
    assert "changed since that run" not in trained.out
    one, other = (load_model(folder / "model.safetensors").segmenter for folder in (tested, tmp_path / "again"))
    assert tiny.same_weights(one.network, other.network)
    test = json.loads(program("runs", "rerun", tested / "test-cells", "--json").out)
    assert (test["same"], test["folder"]) == (True, str(tested / "test-cells-again"))
    assert test["after"]["settings"] == test["before"]["settings"]


def test_a_rerun_names_the_changes(tested: Path, tmp_path: Path) -> None:
    run = run_named(str(tested), [])
    settings = {**run.record.settings, "training": {**run.record.settings["training"], "seed": 5}}
    old = run.record.model_copy(
        update={"settings": settings, "code": CodeUsed(version="0.0.9", digest="0" * 64), "scores": {"mean_iou": 0.25}}
    )
    steps = rerun(dataclasses.replace(run, record=old), tmp_path / "again")
    texts = []
    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            result = stop.value
            break
        texts += [event.text] if isinstance(event, Message) else []
    assert texts[0].startswith("changed since that run: the code (was 0.0.9, 000000000000, is 0.1.0, ")
    assert result.same is False
    points = 100 * (result.after.mean_iou - 0.25)
    assert f"had 0.250 ({points:+.2f} points)" in result.text
    assert dataclasses.replace(result, after=old.model_copy(update={"state": "stopped"})).same is None


def test_a_rerun_refuses_other_data(tested: Path, cells: Path, tmp_path: Path) -> None:
    run = run_named(str(tested), [])
    moved = Path(shutil.copytree(cells, tmp_path / "cells"))
    elsewhere = run.record.model_copy(update={"data": run.record.data.model_copy(update={"folder": str(moved)})})
    (moved / "masks" / "00.png").write_bytes((moved / "masks" / "03.png").read_bytes())
    with pytest.raises(DataError, match=r"its files have changed(.|\n)*put the data back"):
        finish(rerun(dataclasses.replace(run, record=elsewhere), tmp_path / "again"))
    shutil.rmtree(moved)
    with pytest.raises(DataError, match=r"is gone(.|\n)*with the fingerprint"):
        finish(rerun(dataclasses.replace(run, record=elsewhere), tmp_path / "again"))
    assert not (tmp_path / "again").exists()


def test_a_rerun_of_a_test_needs_its_model(tested: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tested, tmp_path / "run"))
    found = read_record(folder / "test-cells")
    assert found.model is not None
    gone = found.model_copy(update={"model": found.model.model_copy(update={"file": "/gone/model.safetensors"})})
    write_record(folder / "test-cells", gone)
    assert finish(rerun(run_named(str(folder / "test-cells"), []))).same  # the folders have moved together
    (folder / "model.safetensors").write_bytes(b"another")
    with pytest.raises(ModelFileError, match="is another model now"):
        finish(rerun(run_named(str(folder / "test-cells"), [])))
    later = found.model_copy(update={"settings": {**found.settings, "later": 1}})
    with pytest.raises(DataError, match=r"does not have \(unknown: later\)(.|\n)*use the version"):
        finish(rerun(FoundRun(tested / "test-cells", later, "finished")))


def test_the_commands_of_a_page_can_be_typed(tested: Path) -> None:
    for folder in (tested, tested / "test-cells"):
        run = run_named(str(folder), [])
        words = shlex.split(command_line(run.folder, run.record))[1:]
        load_commands().parse_args(words, exit_on_error=False, print_error=False)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


def changed(plain: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return plain data with another value; a name like ``data.folder`` leads to a value below."""
    first, _, rest = name.partition(".")
    return {**plain, first: changed(plain[first], rest, value) if rest else value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("created", "9999-12-31T23:59:59-14:00"),
        ("created", "0001-01-01T00:00:00+14:00"),
        ("created", "2026-11-22T12:00:00"),
        ("created", 5),
        ("seconds", -1e10),
        ("seconds", 1e308),
        ("seconds", "5"),
        ("peak_bytes", 10**400),
        ("peak_bytes", -1),
        ("epochs", -5),
        ("epochs", True),
        ("epochs", 3.0),
        ("best_epoch", 5),
        ("scores", {"mean_iou": 1e308}),
        ("scores", {"mean_iou": float("nan")}),
        ("scores", {"mean_iou": "0.5"}),
        ("intervals", {"mean_iou": [0.6, 0.5]}),
        ("intervals", {"mean_iou": [0.6]}),
        ("process.pid", 10**30),
        ("process.pid", -1),
        ("data.pictures", {"train": -1}),
        ("data.name", "\ud800"),
        ("seed", -1),
        ("kind", "test"),
        ("settings", []),
        ("settings", {"training": json.loads("[" * 100 + "]" * 100)}),
        ("settings", {"measures": json.loads("[" * 900 + "]" * 900)}),
        ("colour", "red"),
        ("data.colour", "red"),
        ("id", "0BADCAFE"),
    ],
)
def test_an_odd_record_is_listed_as_unreadable_with_its_path(name: str, value: Any, tmp_path: Path) -> None:
    put(tmp_path / "good")
    file = put(tmp_path / "bad") / RECORD_FILE
    file.write_text(json.dumps(changed(json.loads(file.read_text()), name, value)))
    listed = list_runs([tmp_path])
    assert ids(listed.found.runs) == ["0badcafe"]
    assert f"\nunreadable: {file}: " in listed.text
    json.dumps(listed.to_json())
    with pytest.raises(DataError) as refusal:
        show_run(str(file.parent))
    assert refusal.value.found in listed.text.split("unreadable: ")[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"x": 5},
        {"training": 5},
        {"machine": [1]},
        {"machine": {"device": 5}},
        {"machine": {"precision": "half"}},
        {"structure": [1]},
        {"net": {"a": 1}},
        {"training": {"crop": "1e999"}},
        {"stages": "x"},
    ],
)
def test_a_training_with_odd_settings_is_listed_and_not_repeated(
    settings: dict[str, Any], cells: Path, tmp_path: Path
) -> None:
    data = DataUsed(name="cells", folder=str(cells), fingerprint="f", pictures={})
    folder = put(tmp_path / "run", settings=settings, data=data)
    assert show_run(str(folder)).text
    with pytest.raises(DataError, match=r"the training 0badcafe has settings that this version does not have \(.+\)"):
        finish(rerun(run_named(str(folder), [])))


@pytest.mark.parametrize(
    "settings",
    [
        {"which": "bogus"},
        {"which": ["x"]},
        {"device": 5},
        {"precision": "float8"},
        {"measures": 5},
        {"measures": [{}]},
        {"conventions": "yes, of course"},
        {"tta": "zzz"},
        {"tta": {"a": 1}},
        {"samples": "x"},
        {"model": "/etc/passwd"},
        {"out": "/etc/passwd"},
    ],
)
def test_a_test_with_odd_options_is_listed_and_not_repeated(
    settings: dict[str, Any], tested: Path, tmp_path: Path
) -> None:
    found = read_record(tested / "test-cells")
    write_record(tmp_path, found.model_copy(update={"settings": {**found.settings, **settings}}))
    assert show_run(str(tmp_path)).text
    with pytest.raises(DataError, match=r"has settings that this version does not have \(.+\)"):
        finish(rerun(run_named(str(tmp_path), []), tmp_path / "again"))
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000])
def test_data_and_a_model_whose_names_the_system_refuses_are_gone(name: str, tested: Path, tmp_path: Path) -> None:
    found = read_record(tested / "test-cells")
    assert found.model is not None
    data = found.model_copy(update={"data": found.data.model_copy(update={"folder": name})})
    with pytest.raises(DataError, match="is gone"):
        finish(rerun(FoundRun(tmp_path, data, "finished")))
    model = found.model_copy(update={"model": found.model.model_copy(update={"file": name})})
    with pytest.raises(ModelFileError, match="is gone"):
        finish(rerun(FoundRun(tmp_path / "test", model, "finished")))


def test_control_characters_of_a_record_do_not_reach_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07"
    process = Process(host=evil, pid=1)
    put(tmp_path / "run", software={evil: evil}, process=process, changed={evil: evil}, scores={evil: 0.5}, error=evil)
    assert "\x1b" not in show_run(str(tmp_path / "run")).text + list_runs([tmp_path]).text


@pytest.mark.parametrize("where", ["crop", "=5", "", "="])
def test_a_condition_without_key_or_value_is_refused(where: str) -> None:
    with pytest.raises(UsageError, match="key=value"):
        select_runs(found_runs(record()), RunFilter(where=(where,)))


@pytest.mark.parametrize("value", ["1e999", "nan", "9" * 5000, "[" * 5000, "[" * 99 + "]" * 99, "６４", '"\\ud800"'])
def test_a_condition_with_an_odd_value_meets_no_run(value: str) -> None:
    assert not select_runs(found_runs(record()), RunFilter(where=(f"crop={value}",)))


def training_of(identity: str, hours: int, **changes: Any) -> Record:
    """Return the record of a training with its own model, made some hours late; ``changed`` are settings too."""
    changed = changes.pop("changed", {})
    nested: dict[str, Any] = {
        "net": changes.get("net", "unet"),
        "structure": {"skip": "concat"},
        "training": {"seed": 0, "crop": 256},
    }
    for name, value in changed.items():
        section, _, key = name.partition(".")
        nested[section] = {**nested.get(section, {}), key: value}
    given = {
        "created": LATE + timedelta(hours=hours), "changed": changed, "settings": nested,
        "seed": nested["training"]["seed"], "scores": {"mean_iou": 0.5 + hours / 100},
        "model": ModelUsed(file=f"/runs/{identity}/model.safetensors", digest=identity),
    }  # fmt: skip
    return record(identity, **{**given, **changes})


def scored(training: Record, identity: str, words: str = "all pictures", **changes: Any) -> Record:
    """Return the record of a test of a training's model."""
    data = DataUsed(name=changes.pop("name", "new"), folder="/new", fingerprint="e" * 64, pictures={words: 7})
    given = {
        "kind": "test", "created": training.created + timedelta(minutes=5), "data": data, "settings": {"tta": "none"},
        "scores": {"mean_iou": 0.25}, "intervals": {"mean_iou": (0.2, 0.3)}, "model": training.model,
    }  # fmt: skip
    return record(identity, **{**given, **changes})


def rows_of(text: str) -> dict[str, list[str]]:
    """Return the cells of a list's lines, by their ids."""
    lines = [re.split(r"  +", line) for line in text.splitlines()]
    start = next(k for k, cells in enumerate(lines) if cells[0] == "id")
    end = next((k for k, cells in enumerate(lines) if k > start and cells == [""]), len(lines))
    return {cells[0]: cells[1:] for cells in lines[start:end]}


def listed_text(*records: Record, **how: Any) -> str:
    return runs_text(FoundRuns(tuple(found_runs(*records)), ()), **how)


FOUR = (
    training_of("a0000000", 0, changed={"training.crop": 64}),
    training_of("b0000000", 1, changed={"structure.skip": "add", "training.crop": 64}),
    training_of(
        "c0000000", 2, changed={"training.crop": 64, "structure.skip": "add", "loss.dice": 0.5}, parent="a0000000"
    ),
    training_of("d0000000", 3, changed={"training.seed": 1, "training.crop": 64, "machine.device": "cpu"}),
)


def test_the_list_shows_what_was_changed_and_from_which_run() -> None:
    text = listed_text(*FOUR)
    assert text.splitlines()[:3] == [
        "all runs: kind train, net unet, state finished", "all trainings: data cells, crop=64", "",
    ]  # fmt: skip
    rows = {identity: cells[1:3] for identity, cells in rows_of(text).items()}
    assert rows["id"] == ["changes", "from"]
    assert rows["a000"] == ["0.500", "0:00"]  # nothing is changed, and nothing is earlier
    assert rows["b000"] == ["skip=add", "~a000"]
    assert rows["c000"] == ["skip=add dice=0.5", "a000"]  # recorded, though b000 is nearer
    assert rows["d000"] == ["seed=1", "~a000"]
    assert "~: not recorded" in text
    assert "~" not in listed_text(FOUR[0], FOUR[2])


def test_validation_and_test_scores_have_columns_of_their_own() -> None:
    first, second = FOUR[:2]
    tests = (
        scored(first, "e0000000"),
        scored(first, "e1000000", "the val split of the folder the model was trained on", scores={"mean_iou": 0.75}),
        scored(second, "e2000000", "all pictures of the folder the model was trained on", scores={"mean_iou": 0.9}),
    )
    listing = listed_text(first, second, *tests, wide=True)
    rows = rows_of(listing)
    head = ["kind", "created", "changes", "from", "val mIoU", "test mIoU", "tested on", "time", "memory", "folder"]
    assert rows["id"] == head
    at = {name: next(line for line in listing.splitlines() if line.startswith("id")).index(name) for name in head}

    def cell(identity: str, column: str) -> str:
        line = next(line for line in listing.splitlines() if line.startswith(identity))
        return re.split("  ", line[at[column] :])[0]

    assert [cell("a000", name) for name in ("val mIoU", "test mIoU")] == ["0.500", "0.250 [0.200, 0.300]"]
    assert [cell("b000", name) for name in ("val mIoU", "test mIoU")] == ["0.510", ""]  # its test has seen pictures
    assert [cell("e000", name) for name in ("val mIoU", "test mIoU", "from")] == ["", "0.250 [0.200, 0.300]", "a000"]
    assert cell("e100", "val mIoU").startswith("0.750 [")
    assert cell("e100", "test mIoU") == ""
    assert cell("e200", "test mIoU") == "0.900 [0.200, 0.300] seen"
    assert cell("e200", "changes") == "skip=add"
    assert "seen: the model was trained on pictures of this test." in listing


@pytest.mark.parametrize("count", [1, 4, 20])
def test_a_list_fits_on_a_page(count: int) -> None:
    def many(width: int) -> list[Record]:
        made = [
            training_of(
                f"{k:04}0000", k, net=f"net-{k % 3}", data=DataUsed(name="d" * 30, folder="/", fingerprint=str(k % 2),
                pictures={}), changed={f"loss.setting_{j}": k * j for j in range(width)})
            for k in range(count)
        ]  # fmt: skip
        return [*made, *(scored(each, f"{k:04}ffff", name=f"new-{k}") for k, each in enumerate(made))]

    for width in (0, 1, 12):
        for text in (listed_text(*many(width)), listed_text(*many(width)[:count])):
            assert max(map(len, text.splitlines())) <= 100
            assert len(rows_of(text)) == len(set(rows_of(text)))
    wide = listed_text(*many(12), wide=True)
    assert "setting_11=" in wide
    assert "--wide" not in wide


def test_a_study_is_selected_with_its_tests_and_named() -> None:
    place = StudyPlace(folder="/studies/skips", variant="no skips", note="are they needed?")
    inside = training_of("a0000000", 0, study=place)
    runs = found_runs(inside, FOUR[1], scored(inside, "e0000000"), scored(FOUR[1], "e1000000"))
    chosen = select_runs(runs, RunFilter(study="skips"))
    assert sorted(ids(chosen)) == ["a0000000", "e0000000"]
    assert select_runs(runs, RunFilter(study="other")) == ()
    assert "study skips, variant no skips" in runs_text(FoundRuns(chosen, ()))
    everything = runs_text(FoundRuns(tuple(runs), ()), wide=True)
    assert "all runs: study" not in everything
    assert {"study", "variant"} <= set(rows_of(everything)["id"])


def test_a_record_with_parent_and_study_is_read_back(tmp_path: Path) -> None:
    study = StudyPlace(folder="/studies/skips", variant="no skips", note="are they needed?")
    put(tmp_path / "parent", "0000000a", changed={}, settings={"net": "unet", "loss": {"dice": 1.0}})
    folder = put(
        tmp_path / "run", "0000000b", parent="0000000a", study=study, changed={"loss.dice": 0.5},
        settings={"net": "unet", "loss": {"dice": 0.5}},
    )  # fmt: skip
    assert read_record(folder).study == study
    page = re.sub("  +", "  ", show_run("0000000b", [tmp_path]).text)
    assert f"  changed from  0000000a, {tmp_path / 'parent'}\n  changes  dice=0.5 (was 1)\n" in page
    assert "  study  /studies/skips\n  variant  no skips\n  tried because  are they needed?\n" in page
    plain = json.loads((folder / RECORD_FILE).read_text())
    del plain["parent"], plain["study"]
    (folder / RECORD_FILE).write_text(json.dumps(plain))
    assert read_record(folder).parent is None
    assert "not recorded; the nearest earlier training" not in show_run("0000000b", [tmp_path]).text  # of one moment


def test_notes_are_kept_and_never_replaced(tmp_path: Path, program: Program) -> None:
    folder = put(tmp_path / "run")
    first = program("runs", "note", "0bad", "masks \x1b[31m corrected", "--among", tmp_path)
    assert (first.code, first.err) == (0, "")
    write_record(folder, record(scores={"mean_iou": 0.5}))  # as a training that runs does
    assert program("runs", "note", str(folder), "again", "--json").code == 0
    with (folder / "notes.jsonl").open("a") as file:
        file.write('{"text": 5}\n[]\n{"time": "9999-12-31T23:59:59-14:00", "text": "late"}\n')
    found = run_named("0bad", [tmp_path])
    assert [note.text for note in found.notes.entries] == ["masks \x1b[31m corrected", "again"]
    for text in (list_runs([tmp_path]).text, show_run("0bad", [tmp_path]).text):
        assert "masks \\x1b[31m corrected" in text
        assert f"{folder / 'notes.jsonl'}: line 3: no note" in text
        assert text.count("no note") == 3
    plain = json.loads(program("runs", tmp_path, "--json").out)["runs"][0]
    assert [note["text"] for note in plain["notes"]] == ["masks \x1b[31m corrected", "again"]
    assert len(plain["odd_notes"]) == 3
    for text in ("", "  \n", "x" * 10_001):
        with pytest.raises(UsageError, match=r"a note (without a text|of 10,001 letters)"):
            note_run("0bad", text, [tmp_path])
    assert len((folder / "notes.jsonl").read_text().splitlines()) == 5


def test_changes_against_scores_are_means_over_seeds() -> None:
    add = {"structure.skip": "add", "training.crop": 64}
    seeds = [
        training_of(f"a{k}000000", k, changed={**add, "training.seed": k}, scores={"mean_iou": value})
        for k, value in enumerate((0.7, 0.6, 0.8))
    ]
    again = training_of("a9000000", 9, changed={**add, "training.seed": 2}, scores={"mean_iou": 0.5})
    other = training_of("b0000000", 1, changed={"training.crop": 64}, scores={"mean_iou": 0.65}, net="a|b")
    stopped = training_of("b1000000", 1, state="stopped")
    tests = [
        scored(seeds[0], "e0000000", scores={"mean_iou": 0.3}),
        scored(seeds[1], "e1000000", scores={"mean_iou": 0.5}),
    ]
    elsewhere = scored(other, "e2000000", name="other")
    table = variant_table((), Lineage(()))
    assert table.text == "no finished training with a score"
    runs = found_runs(*seeds, again, other, stopped, *tests, elsewhere)
    table = variant_table(runs, Lineage(runs))
    assert [each.val for each in table.variants] == [
        (pytest.approx(0.65), None, 1), (pytest.approx(0.6), pytest.approx(0.1), 3),
    ]  # fmt: skip
    assert table.settings == ("net", "structure.skip")
    lines = [[cell.strip() for cell in re.split(r" \| |^\| | \|$", line)[1:-1]] for line in table.text.splitlines()[:4]]
    assert lines[0] == ["net", "skip", "seeds", "val mIoU", "test mIoU", "runs"]
    assert lines[2:] == [
        ["a\\|b", "concat", "1", "0.650", "–", "b000"],
        ["unet", "add", "3", "0.600 ± 0.100", "0.400 ± 0.141 (of 2)", "a000 a100 a900"],
    ]
    assert "test: new." in table.text
    assert "The same in all: crop=64." in table.text
    assert "Left out: 1 training not finished or without a score." in table.text
    json.dumps(table.to_json())


def test_trainings_with_other_validation_pictures_are_noted() -> None:
    def drawn(identity: str, seed: int) -> Record:
        data = FOUR[0].data.model_copy(update={"choice": f"val drawn at random with seed {seed}"})
        return training_of(identity, seed, data=data, changed={"training.seed": seed})

    for seeds, noted in (((0, 1), True), ((0, 0), False)):
        runs = found_runs(*(drawn(f"{k}0000000", seed) for k, seed in enumerate(seeds)))
        assert ("--set split_seed=0" in variant_table(runs, Lineage(runs)).text) == noted


def test_changes_of_two_networks_are_those_from_their_defaults() -> None:
    one = training_of("a0000000", 0, changed={"structure.skip": "add"})
    one.settings["structure"]["width"] = 64  # the default of its network
    other = training_of("b0000000", 1, net="segnet", changed={"loss.dice": 0.5})
    other = other.model_copy(
        update={"settings": {**other.settings, "net": "segnet", "structure": {"skip": "indices", "width": 8}}}
    )
    assert [each.name for each in changes_between(one, other)] == ["net", "structure.skip", "loss.dice"]
    newer = one.model_copy(update={"settings": {**one.settings, "later": {"default": 1, "set": 2}}})
    assert changes_between(one, newer) == []
    newer = newer.model_copy(update={"changed": {**one.changed, "later.set": 2}})
    assert changes_between(one, newer) == [("later.set", None, 2)]


def test_a_training_from_the_settings_of_a_run_names_it(
    tested: Path, cells: Path, tmp_path: Path, program: Program
) -> None:
    parent = read_record(tested).id
    words = ["train", cells, "--recipe", tested / "config.toml", "--epochs", 1, "--out", tmp_path / "child"]
    assert program(*words).code == 0
    child = read_record(tmp_path / "child")
    assert (child.parent, child.study) == (parent, None)
    own = ["train", cells, "--recipe", tmp_path / "child" / "config.toml", "--epochs", 2, "--out", tmp_path / "child"]
    assert program(*own, "--resume").code == 0
    assert read_record(tmp_path / "child").parent == parent
    again = finish(rerun(run_named(str(tmp_path / "child"), []), tmp_path / "again"))
    assert again.after.parent == child.id
    shutil.copy(tested / "config.toml", tmp_path / "config.toml")
    assert recipe_origin(tmp_path / "config.toml") == recipe_origin(None) == recipe_origin(Path("unet")) == UNKNOWN
    assert recipe_origin(tested / "test-cells" / "config.toml") == UNKNOWN  # the record of a test


def test_a_run_that_continues_with_its_own_settings_is_not_its_own_parent(cells: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    finish(train(cells, tiny.settings(epochs=1), out))
    finish(train(cells, tiny.settings(epochs=2), out, resume=True, origin=recipe_origin(out / "config.toml")))
    assert read_record(out).parent is None
