"""A rehearsal forecasts the training, and changes nothing."""

import copy
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from unpool.commands.events import Message
from unpool.commands.train.train import train
from unpool.errors import RunError, UsageError
from unpool.losses.loss import LossValue
from unpool.machine.device import Machine, free_memory
from unpool.machine.process_memory import left_in_group
from unpool.processes import ALONE, Processes
from unpool.segmenter import Segmenter
from unpool.training.compilation import worth_compiling
from unpool.training.rehearsal import rehearse
from unpool.training.setup import TrainingSetup

DATA = tiny.samples(4)


def start(**changes: Any) -> tuple[Segmenter, TrainingSetup]:
    model = tiny.segmenter()
    return model, tiny.setup(model, DATA, DATA[:1], batches=tiny.sampler(DATA, model, batch_size=4), **changes)


def test_a_rehearsal_changes_nothing() -> None:
    model, setup = start()
    before = copy.deepcopy([model.network.state_dict(), setup.optimiser.state_dict(), torch.get_rng_state()])
    found = rehearse(model.network, setup, None, None)
    after = [model.network.state_dict(), setup.optimiser.state_dict(), torch.get_rng_state()]
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1] == after[1]
    assert torch.equal(before[2], after[2])
    assert all(parameter.grad is None for parameter in model.network.parameters())
    assert len(found.losses) == 8
    assert found.learns
    assert 0 < found.step_seconds < 5
    assert found.parts == 1


def test_memory_is_measured_by_the_crop_and_the_batch_is_cut_to_fit() -> None:
    model, setup = start()
    whole = rehearse(model.network, setup, None, None)
    one = whole.crop_bytes // 4
    maps = 32 * 32 * 4  # the 32 x 32 maps of a tiny U-Net are 4 a layer, of float32
    assert one > 6 * 4 * maps
    for room, parts in ((5.0, 1), (2.5, 2), (1.2, 4)):
        found = rehearse(model.network, setup, None, int((whole.fixed_bytes + room * one) / 0.8))
        assert (found.parts, found.crop_bytes // one) == (parts, 4 // parts)
    with pytest.raises(RunError, match=r"one crop takes about .* of memory(.|\n)*smaller --set crop"):
        rehearse(model.network, setup, None, int((whole.fixed_bytes + 0.5 * one) / 0.8))
    assert rehearse(model.network, setup, 3, 10 << 30).parts == 3


@pytest.mark.parametrize("limit", [1, 2])
def test_where_the_plan_was_wrong_the_batch_is_cut_again(limit: int) -> None:
    model, setup = start(loss=tiny.short_of_memory(limit, MemoryError()))
    before = copy.deepcopy(model.network.state_dict())
    assert rehearse(model.network, setup, None, None).parts == 4 // limit
    assert all(torch.equal(before[name], value) for name, value in model.network.state_dict().items())


def test_a_single_crop_that_does_not_fit_is_reported_before_the_training() -> None:
    model, setup = start(loss=tiny.short_of_memory(0, RuntimeError("std::bad_alloc")))
    with pytest.raises(RunError, match=r"memory ran out on a single crop \(0\d(.|\n)*smaller --set crop"):
        rehearse(model.network, setup, None, None)


def test_a_first_batch_without_a_finite_loss_is_refused_with_its_pictures() -> None:
    def spoiled(logits: torch.Tensor, *_: Any) -> LossValue:
        value = logits.mean() * math.nan
        return LossValue(value, {"cross_entropy": value})

    spoiled.division = "weights"  # type: ignore[attr-defined]
    model, setup = start(loss=spoiled)
    with pytest.raises(RunError, match=r"the loss of the first batch \(0\d.*\) is not finite"):
        rehearse(model.network, setup, None, None)


def test_free_memory_is_the_least_of_what_is_known() -> None:
    known = free_memory(tiny.CPU, None)
    assert known is None or known > 10**8
    assert free_memory(tiny.CPU, 0.001) == 10**6
    assert free_memory(tiny.CPU, 0.001, sharing=2) == 10**6  # the limit is for each process


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unpool.machine.device.available", lambda: 1200)
    monkeypatch.setattr("unpool.machine.device.left_in_group", lambda: 900)
    assert [free_memory(tiny.CPU, None, sharing) for sharing in (1, 3)] == [900, 300]


def test_files_that_a_control_group_has_read_are_free_memory(tmp_path: Path) -> None:
    assert left_in_group(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("990\n")
    (tmp_path / "memory.stat").write_text("anon 290\nfile 700\ninactive_file 500\nactive_file 200\nslab 7\n")
    assert left_in_group(tmp_path) == 1000 - (990 - 700)
    (tmp_path / "memory.max").write_text("max\n")
    assert left_in_group(tmp_path) is None


def test_compiling_has_to_pay_and_to_be_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    network = tiny.segmenter().network
    assert worth_compiling("auto", 19, network, tiny.CPU, ALONE) == (
        False,
        "worth it only for trainings over 20 minutes",
    )
    reduced = Machine(tiny.CPU.device, reduced=True)
    assert worth_compiling("auto", 60, network, reduced, ALONE) == (True, "worth it for a training of 60 minutes")
    assert worth_compiling("auto", 60, network, tiny.CPU, ALONE) == (False, "the measured convolutions are faster")
    assert worth_compiling("no", 600, network, tiny.CPU, ALONE) == (False, "as requested")
    assert worth_compiling("yes", 1, network, tiny.CPU, ALONE) == (True, "as requested")
    assert worth_compiling("yes", 600, network, tiny.CPU, Processes(0, 2))[0] is False
    segnet = tiny.segmenter("segnet-basic").network
    assert worth_compiling("yes", 600, segnet, tiny.CPU, ALONE) == (False, "unpooling is faster as it is")
    monkeypatch.setattr("unpool.training.compilation.shutil.which", lambda _: None)
    for requested in ("auto", "yes"):
        worth, why = worth_compiling(requested, 600, network, tiny.CPU, ALONE)
        assert not worth
        assert "install g++" in why


def test_the_forecast_comes_before_the_training(cells: Path, tmp_path: Path) -> None:
    texts = [
        event.text for event in train(cells, tiny.settings(epochs=1), tmp_path / "run") if isinstance(event, Message)
    ]
    (forecast,) = (text for text in texts if text.startswith("Rehearsal"))
    assert "one batch" in forecast
    assert "1 epoch in about" in forecast
    assert "a step takes about" in forecast
    assert "compiled       no, as requested" in forecast


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"epochs": 10**9}, r"[\d,]+ epochs, at .* s per step: \d+ days"),
        ({"minutes": 1e5}, r"100000 minutes: 69 days"),
    ],
    ids=["epochs", "minutes"],
)
def test_a_training_of_months_is_taken_for_a_mistake(
    budget: dict[str, float], message: str, cells: Path, tmp_path: Path
) -> None:
    given = tiny.settings(**{"epochs": None, **budget})
    with pytest.raises(UsageError, match=f"{message}(.|\\n)*fewer --epochs"):
        for _ in itertools.islice(train(cells, given, tmp_path / "run"), 100):
            pass
    assert not (tmp_path / "run").exists()


def test_parts_too_small_to_normalise_are_refused_before_the_training(cells: Path, tmp_path: Path) -> None:
    given = tiny.settings(crop=16, parts=2)
    given["structure"] = {"width": 4, "depth": 4}
    with pytest.raises(UsageError, match=r"crops of 16 x 16 pixels, 1 at a time(.|\n)*lower parts"):
        for _ in train(cells, given, tmp_path / "run"):
            pass
