"""Whole studies on a tiny set: fair, resumed bit for bit, judged once, recorded, and shared by processes."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tiny
from conftest import Program
from unpool.checkpoint.models import load_model, weights_digest
from unpool.commands.events import finish
from unpool.commands.study.study import StudyResult, shown_study, study, write_study_record
from unpool.commands.train.train import train
from unpool.errors import DataError, UsageError
from unpool.ledger.folders import find_runs, read_record
from unpool.study.folder import StudyFolder, read_results, read_study
from unpool.study.plan import StudyPlan
from unpool.study.proposals import proposed_settings
from unpool.study.stages import position

SET: dict[str, Any] = {
    "width": 4, "depth": 2, "crop": 32, "batch_size": 2, "data.masks": "values",
    "device": "cpu", "precision": "float32", "compile": "no",
}  # fmt: skip


def plan(**keys: Any) -> StudyPlan:
    given: dict[str, Any] = {"set": SET, "minutes": 100, "epochs": 2, "seeds": 2, "most_seeds": 2}
    return StudyPlan.model_validate({**given, **keys})


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small pictures with masks. Read only."""
    return tiny.write_set(tmp_path_factory.mktemp("data") / "twelve", 12)


SKIPS = {"skip": ["concat", "add", "none"]}
FIVE = {"skip": ["concat", "add", "none"], "up": ["transposed", "nearest"]}


@pytest.fixture(scope="module")
def halved(twelve: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """A study of five variants with a halving. Read only."""
    out = tmp_path_factory.mktemp("studies") / "halved"
    return finish(study(twelve, plan(vary=FIVE, epochs=4), out))


def test_variants_share_pictures_seeds_and_steps(halved: StudyResult) -> None:
    runs = find_runs([halved.folder.runs]).runs
    trainings = [run.record for run in runs if run.record.kind == "train"]
    assert {record.data.fingerprint for record in trainings} == {halved.study.data.fingerprint}
    splits = {(run.folder / "split.json").read_text() for run in runs if (run.folder / "split.json").is_file()}
    assert len(splits) == 1
    assert len(halved.study.data.test) == 3
    assert {record.seed for record in trainings} == {0, 1}
    assert {record.epochs for record in trainings if record.state == "finished"} == {4}
    named = {record.study.variant for record in trainings if record.study}
    assert named == {"baseline", "skip=add", "skip=none", "up=nearest", "skip=add up=nearest", "skip=none up=nearest"}
    baseline = next(r for r in trainings if r.study and r.study.variant == "baseline" and r.seed == 0)
    parents = {record.parent for record in trainings if record.study and record.study.variant != "baseline"}
    assert baseline.id in parents
    assert baseline.parent is None


def test_half_are_given_up_and_the_rest_is_judged_once(halved: StudyResult) -> None:
    where = position(halved.study, halved.results)
    assert halved.study.shares == (0.5, 1.0)
    assert len(where.finalists) == 3
    assert len(where.ended) == 2
    for number in where.ended:
        run = halved.folder.runs / where.variants[number].slug / "seed-0"
        assert read_record(run).epochs == 2
        assert not list(run.glob("test-*"))
    tests = [result for key, result in halved.results.items() if key.endswith("test")]
    assert len(tests) == 8
    assert where.ensemble in (0, *where.finalists)
    assert halved.results[f"{where.ensemble:02}-ensemble"].pictures == tests[0].pictures
    assert load_model(halved.folder.ensemble)
    assert {result.pictures for result in tests} == {tuple(sorted(halved.study.data.test))}
    last_training = max(
        run.record.updated for run in find_runs([halved.folder.runs]).runs if run.record.kind == "train"
    )
    first_test = min(run.record.created for run in find_runs([halved.folder.runs]).runs if run.record.kind == "test")
    assert first_test >= last_training


def test_a_training_in_parts_is_the_training_in_one_piece(halved: StudyResult, twelve: Path, tmp_path: Path) -> None:
    where = position(halved.study, halved.results)
    number = where.finalists[0]
    variant, facts = where.variants[number], where.facts[number]
    whole = finish(train(twelve, halved.study.settings_of(variant, facts, 0), tmp_path / "whole"))
    run = halved.folder.runs / variant.slug / "seed-0"
    assert weights_digest(whole.model) == weights_digest(run / "model.safetensors")
    assert [row["mean_iou"] for row in whole.history] == [
        row[2] for row in halved.results[f"{number:02}-seed-0-until-1"].course
    ]


def test_the_record_has_every_variant_and_its_costs(halved: StudyResult) -> None:
    page = halved.folder.page.read_text(encoding="utf-8")
    csv = halved.folder.csv.read_text(encoding="utf-8")
    markdown = halved.folder.markdown.read_text(encoding="utf-8")
    for variant in halved.study.variants:
        for text in (page, csv, markdown, halved.text):
            assert variant.name in text
    assert "given up after 50 % of the training" in page
    assert "points" in halved.text
    assert page.count("data:image/") == 2 * (2 + 6)


def test_the_same_command_finds_a_finished_study(halved: StudyResult, twelve: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in halved.folder.results.iterdir()}
    again = finish(study(twelve, plan(vary=FIVE, epochs=4), halved.folder.path))
    assert again.results == halved.results
    assert {path: path.stat().st_mtime_ns for path in halved.folder.results.iterdir()} == before


def test_the_command_on_the_page_continues_the_study(halved: StudyResult, twelve: Path, program: Program) -> None:
    assert f"unpool study {twelve} --out {halved.folder.path} --resume" in halved.folder.page.read_text(
        encoding="utf-8"
    )
    assert program("study", twelve, "--out", halved.folder.path, "--resume").code == 0
    said = program("study", twelve)
    assert said.code == 2
    assert "--vary" in said.err


def test_another_plan_or_other_data_are_refused(halved: StudyResult, twelve: Path, cells: Path) -> None:
    with pytest.raises(UsageError, match="another plan"):
        finish(study(twelve, plan(vary=SKIPS, epochs=4), halved.folder.path))
    with pytest.raises(DataError, match="has changed"):
        finish(study(cells, plan(vary=FIVE, epochs=4), halved.folder.path))


def test_the_budget_is_fixed_once_the_test_pictures_were_looked_at(halved: StudyResult, twelve: Path) -> None:
    with pytest.raises(UsageError, match="looked at"):
        finish(study(twelve, plan(vary=FIVE, epochs=4, most_seeds=5), halved.folder.path))


def test_a_part_that_was_trained_is_not_trained_further(halved: StudyResult, twelve: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    shutil.copytree(halved.folder.path, out)
    (out / "claims.log").unlink()
    key = f"{next(iter(position(halved.study, halved.results).ended)):02}-seed-0-until-0.5"
    (out / "results" / f"{key}.json").unlink()  # as if killed between the last epoch and the result
    again = finish(study(twelve, plan(vary=FIVE, epochs=4), out))
    before, after = halved.results[key], again.results[key]
    assert (after.epochs, after.score, after.course) == (before.epochs, before.score, before.course)


def test_a_folder_with_other_files_is_refused(twelve: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"no study\.json"):
        finish(study(twelve, plan(vary=SKIPS), tmp_path))


def test_show_and_report(halved: StudyResult, program: Program) -> None:
    said = program("study", "show", halved.folder.path)
    assert (said.code, said.out.strip()) == (0, halved.text.strip())
    shown = json.loads(program("study", "show", halved.folder.path, "--json").out)
    assert shown["finished"]
    page = halved.folder.page.read_bytes()
    halved.folder.page.unlink()
    assert program("study", "report", halved.folder.path).code == 0
    assert halved.folder.page.read_bytes() == page
    assert program("study", "show", halved.folder.path / "runs").code == 3


def test_a_study_that_is_left_at_any_moment_ends_as_one_that_is_not(twelve: Path, tmp_path: Path) -> None:
    whole = finish(study(twelve, plan(vary=SKIPS), tmp_path / "whole"))
    for stop in (3, 11, 26):
        command = study(twelve, plan(vary=SKIPS), tmp_path / "left")
        for _ in itertools.islice(command, stop):
            pass
        command.close()
    left = finish(study(twelve, plan(vary=SKIPS), tmp_path / "left"))
    assert {key: (each.score, each.counts) for key, each in left.results.items()} == {
        key: (each.score, each.counts) for key, each in whole.results.items()
    }


def test_a_variant_whose_training_fails_stays_in_the_record(twelve: Path, tmp_path: Path) -> None:
    wild = {"name": "wild", "set": {"learning_rate": 10.0, "optimiser": "sgd", "clip": 0, "norm": "none"}}
    result = finish(study(twelve, plan(variant=[wild, {"name": "sum", "set": {"skip": "add"}}]), tmp_path / "s"))
    where = position(result.study, result.results)
    if 1 in where.ended:  # it diverges on every machine that we know, but need not
        assert "failed" in where.ended[1]
    assert "wild" in result.text
    assert where.stage is None


def test_combinations_that_no_network_can_have_are_named(twelve: Path, tmp_path: Path) -> None:
    result = finish(
        study(twelve, plan(vary={"skip": ["concat", "none"], "up": ["transposed", "unpool"]}), tmp_path / "s")
    )
    refused = [variant for variant in result.study.variants if variant.refused]
    assert refused
    assert all(variant.refused in result.folder.page.read_text() or variant.name in result.text for variant in refused)


def test_too_few_minutes_are_refused_with_the_minutes_it_takes(twelve: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--minutes"):
        finish(study(twelve, plan(vary=SKIPS, epochs=None, minutes=0.0001), tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_equal_seconds_give_every_training_the_same_time(twelve: Path, tmp_path: Path) -> None:
    given = plan(vary={"skip": ["concat", "none"]}, epochs=None, minutes=0.25, equal="seconds", seeds=1, most_seeds=1)
    result = finish(study(twelve, given, tmp_path / "s"))
    assert result.study.minutes == pytest.approx(0.25 * 0.9 / 2)
    seconds = [each.seconds for key, each in result.results.items() if key.endswith("until-1")]
    assert all(0.5 * 60 * result.study.minutes <= each <= 2 * 60 * result.study.minutes for each in seconds)
    assert "no verdict from one seed" in result.text


def test_a_search_proposes_in_batches_and_remembers(twelve: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    ranges = {"skip": ["none", "add", "concat"], "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
    given = plan(search={"attempts": 3, "ranges": ranges}, seeds=1, most_seeds=1, epochs=1)
    result = finish(study(twelve, given, tmp_path / "s"))
    where = position(result.study, result.results)
    assert [variant.number for variant in where.variants.values()] == [0, 1, 2, 3]
    for batch in range(3):
        variant = where.variants[batch + 1]
        assert variant.given.keys() == ranges.keys()
        assert 1e-4 <= variant.given["learning_rate"] <= 1e-2
        before = [where.variants[number] for number in range(1, batch + 1)]
        tried = [(each.given, result.results[f"{each.number:02}-seed-0-until-1"].score) for each in before]
        assert [planned.set for planned in proposed_settings(given, tried, batch)] == [variant.given]


def test_without_optuna_one_process_does_a_study(twelve: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unpool.commands.study.study.find_spec", lambda _: None)
    given = plan(vary={"skip": ["concat", "none"]}, epochs=1, seeds=1, most_seeds=1)
    result = finish(study(twelve, given, tmp_path / "s"))
    assert position(result.study, result.results).stage is None
    assert not (tmp_path / "s" / "claims.log").exists()


def test_a_damaged_result_is_named(halved: StudyResult, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "copy")
    folder.results.mkdir(parents=True)
    folder.study.write_bytes(halved.folder.study.read_bytes())
    assert read_study(folder).id == halved.study.id
    (folder.results / "00-seed-0-until-1.json").write_text('{"key": "00-seed-0-until-1"}')
    with pytest.raises(DataError, match="00-seed-0-until-1"):
        read_results(folder)
    with pytest.raises(DataError):
        shown_study(folder.path)


def test_a_page_of_a_study_that_has_only_begun(halved: StudyResult, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "copy")
    folder.path.mkdir()
    folder.study.write_bytes(halved.folder.study.read_bytes())
    begun = shown_study(folder.path)
    write_study_record(folder, begun.contents)
    assert "not finished" in begun.text
    assert folder.page.is_file()


def words(data: Path, out: Path) -> list[str]:
    sets = itertools.chain.from_iterable(("--set", f"{key}={value}") for key, value in SET.items())
    return [
        sys.executable, "-m", "unpool", "study", str(data), "--vary", "skip=none,add,concat", "--epochs", "6",
        "--seeds", "2", "--most-seeds", "2", *sets, "--out", str(out),
    ]  # fmt: skip


def start(data: Path, out: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words(data, out), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
def test_two_processes_share_a_study_and_one_is_killed(twelve: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    out = tmp_path / "shared"
    first = start(twelve, out)
    until((out / "study.json").is_file, first)
    second = start(twelve, out)
    runs = out / "runs"
    until(lambda: len(list(runs.glob("*/*/state.pt"))) >= 2, first, second)
    first.send_signal(signal.SIGKILL)
    text, _ = second.communicate(timeout=240)
    first.communicate(timeout=60)
    assert second.returncode == 0, text
    result = shown_study(out)
    where = position(result.study, result.results)
    assert where.stage is None
    assert len(result.results) == 6 + 6 + 1
    for run in find_runs([runs]).runs:
        if run.record.kind == "train":
            assert (run.record.state, run.record.epochs) == ("finished", 6)
            assert load_model(run.folder / "model.safetensors")
    tests = [run for run in find_runs([runs]).runs if run.record.kind == "test"]
    assert len(tests) == 6


def until(happened: Any, *processes: "subprocess.Popen[str]") -> None:
    """Wait until something has happened while processes run."""
    for _ in range(1200):
        if happened():
            return
        for process in processes:
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
        time.sleep(0.1)
    raise AssertionError("nothing happened for 2 minutes")
