"""The ledger: the records that runs leave, and how runs are found, shown and done again."""

import dataclasses
import json
import os
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
from unpool.commands.runs.listing import list_runs, show_run
from unpool.commands.runs.rerun import rerun
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import test as score
from unpool.commands.train import train as training_command
from unpool.commands.train.train import TrainedRun, train
from unpool.config.settings import resolve
from unpool.errors import DataError, ModelFileError, RunError, UsageError
from unpool.ledger.folders import FoundRun, find_runs, read_record, run_named, write_record
from unpool.ledger.record import RECORD_FILE, CodeUsed, DataUsed, Process, Record, digest, file_digest, present_code
from unpool.ledger.selection import RUN_ORDERS, RunFilter, select_runs
from unpool.ledger.text import command_line, runs_text
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
    assert len(text.splitlines()) == 4
    assert f"unreadable: {file}: " in text
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
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text
    assert "a\\x1b[31m\\nbbbbbbbbbbbb…" in text
    assert runs_text(find_runs([])) == "no runs"


def test_the_page_of_a_run(tested: Path, cells: Path, program: Program) -> None:
    shown = program("runs", "show", tested)
    test_id, own = (read_record(folder).id for folder in (tested / "test-cells", tested))
    assert (shown.code, shown.out.splitlines()[0]) == (0, f"{own}: train, finished")
    for words in ("structure.width", "6 train, 2 val", "epochs", "state.pt", f"{test_id}  test", "test-cells/"):
        assert words in shown.out
    page = program("runs", "show", own[:7], "--among", tested.parent, "--json")
    plain = json.loads(page.out)
    assert [each["id"] for each in plain["tests"]] == [test_id]
    assert plain["command"] == f"unpool train {cells.resolve()} --recipe {tested / 'config.toml'}"
    test = json.loads(program("runs", "show", tested / "test-cells", "--json").out)
    assert test["maker"]["id"] == own
    assert "--precision float32 --measures boundaries-of-truth" in test["command"]


def test_the_list_on_the_command_line(tested: Path, program: Program, tmp_path: Path) -> None:
    everything = program("runs", tested.parent)
    assert everything.code == 0
    assert [line.split()[1] for line in everything.out.splitlines()] == ["kind", "test", "train"]
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
