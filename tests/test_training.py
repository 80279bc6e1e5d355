"""The loop: it learns, it is deterministic, and an interruption changes nothing."""

import copy
import dataclasses
import io
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from unpool.data.samples import Sample
from unpool.errors import DataError, RunError
from unpool.losses.loss import Loss, LossValue
from unpool.prediction.evaluation import evaluate_each, summarise
from unpool.prediction.predictor import Predictor
from unpool.processes import ALONE
from unpool.segmenter import Segmenter
from unpool.training.batch_statistics import recompute
from unpool.training.loop import fit, training
from unpool.training.objective import objective
from unpool.training.records import Budget, EpochRecord, EpochSums, StepRecord, TrainingState
from unpool.training.setup import TrainingSetup
from unpool.training.step import train_step
from unpool.training.validation import validated_every

DATA, HELD_OUT = tiny.samples(5), tiny.samples(2, seed=9)
every_net = pytest.mark.parametrize("net", list(tiny.STRUCTURES))


def start(net: str = "unet", **changes: Any) -> tuple[Segmenter, TrainingSetup]:
    model = tiny.segmenter(net)
    return model, tiny.setup(model, DATA, HELD_OUT, **changes)


@every_net
def test_the_loss_falls_and_the_records_are_as_documented(net: str) -> None:
    model, setup = start(net)
    state = TrainingState()
    records = list(fit(model, setup, state))
    assert [r.epoch for r in records] == [1, 2, 3]
    assert [r.steps for r in records] == [6, 12, 18]
    assert [r.progress for r in records] == pytest.approx([1 / 3, 2 / 3, 1])
    losses = [r.train_loss for r in records]
    assert losses[-1] < losses[0]
    for record in records:
        assert record.train_loss == pytest.approx(record.terms["cross_entropy"] + record.terms["dice"])
        assert set(record.class_iou) == set(record.class_recall) == {"background", "cell"}
        assert sum(record.predicted_shares.values()) == pytest.approx(1)
        assert 0 <= record.mean_iou <= 1
        assert record.val_loss > 0
        assert record.skipped == 0
    assert [r.seconds for r in records] == sorted(r.seconds for r in records)
    assert state.history == [record.to_json() for record in records]
    assert state.best_score == max(r.mean_iou for r in records)
    assert [r.epoch for r in records if r.best][-1] == state.best_epoch
    evaluation = summarise(model, evaluate_each(Predictor(model, tiny.CPU), HELD_OUT))
    assert records[-1].mean_iou == evaluation.scores.mean_iou
    assert records[-1].val_loss == evaluation.loss
    found = evaluation.scores.classes[1]
    assert records[-1].class_recall["cell"] == found.recall
    assert records[-1].predicted_shares["cell"] == found.predicted_pixels / evaluation.scores.pixels


def test_the_loop_does_not_import_the_survey_of_folders() -> None:
    """A training on arrays needs neither folders nor settings."""
    words = "import sys, unpool.training.loop; print(*(n for n in sys.modules if n.startswith('unpool.')))"
    listing = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout
    rooms = {name.split(".")[1] for name in listing.split()}
    assert "training" in rooms
    assert not rooms & {"dataset", "config", "commands", "cli", "ledger", "report"}


def test_the_learning_rate_follows_the_cycle() -> None:
    model, setup = start()
    rates = []
    for record in training(model, setup, TrainingState()):
        if isinstance(record, StepRecord):
            rates.append(setup.optimiser.param_groups[0]["lr"])
    assert len(rates) == 18
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == rates[2]
    assert rates[2:] == sorted(rates[2:], reverse=True)


@every_net
def test_two_trainings_are_equal_bit_for_bit(net: str) -> None:
    one, other = start(net), start(net)
    list(fit(*one))
    list(fit(*other))
    assert tiny.same_weights(one[0].network, other[0].network)


def stop_and_resume(net: str, stop: int, **changes: Any) -> tuple[Segmenter, TrainingState]:
    """Train, stop after ``stop`` records, restore everything in new objects, and continue."""
    model, setup = start(net, **changes)
    state = TrainingState()
    records = training(model, setup, state)
    for _ in range(stop):
        next(records)
    file = io.BytesIO()
    torch.save([model.network.state_dict(), setup.optimiser.state_dict(), state.to_plain()], file)
    records.close()
    file.seek(0)
    weights, moments, plain = torch.load(file, weights_only=True)
    model, setup = start(net, **changes)
    model.network.load_state_dict(weights)
    setup.optimiser.load_state_dict(moments)
    state = TrainingState.from_plain(plain)
    list(fit(model, setup, state))
    return model, state


def without_clock(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "waiting")} for row in history]


@every_net
@pytest.mark.parametrize("stop", [1, 4, 6, 7, 10, 20, 21])
def test_a_resumed_training_is_an_unbroken_one_bit_for_bit(net: str, stop: int) -> None:
    """Records 7, 14 and 21 are epochs; 6 and 20 fall between an epoch's last step and its validation."""
    model, setup = start(net)
    unbroken = TrainingState()
    list(fit(model, setup, unbroken))
    resumed, state = stop_and_resume(net, stop)
    assert tiny.same_weights(model.network, resumed.network)
    assert without_clock(state.history) == without_clock(unbroken.history)
    assert (state.best_epoch, state.best_score) == (unbroken.best_epoch, unbroken.best_score)


def test_a_state_is_plain_data() -> None:
    state = TrainingState(step=3, sums=EpochSums(done=3, loss=1.5))
    assert TrainingState.from_plain(copy.deepcopy(state.to_plain())) == state
    with pytest.raises(ValueError, match="colour = 1: Extra"):
        TrainingState.from_plain({**state.to_plain(), "colour": 1})
    with pytest.raises(ValueError, match="0 rows for 1 epochs"):
        TrainingState.from_plain({**state.to_plain(), "epoch": 1})


def test_progress_by_hand() -> None:
    state = TrainingState(epoch=1, seconds=30, last_validation=6, sums=EpochSums(done=5))
    assert Budget(epochs=4).progress(state, steps=10) == pytest.approx(15 / 40)
    assert Budget(epochs=1).progress(state, steps=10) == 1.0
    assert Budget(minutes=1).progress(state, steps=10) == pytest.approx(36 / 60)
    state.reserved = 12  # of the minute 48 seconds are left, for steps and the last validation
    assert Budget(minutes=1).progress(state, steps=10) == pytest.approx(36 / 48)


def test_pictures_of_a_validation_by_hand() -> None:
    assert validated_every(100, seconds=30, minutes=5) == 1  # a tenth of 300 s
    assert validated_every(100, seconds=31, minutes=5) == 4  # two validations in 6 %, which is 18 s: 9 s are 1 in 3.4
    assert validated_every(100, seconds=600, minutes=5) == 12  # 8 pictures are the fewest
    assert validated_every(5, seconds=600, minutes=5) == 1


def test_a_long_validation_takes_some_pictures_and_the_last_one_all() -> None:
    seen: list[str] = []

    class Watched(list[Sample]):
        def __getitem__(self, index: Any) -> Any:
            seen.append(super().__getitem__(index).name)
            return super().__getitem__(index)

    held_out = tiny.samples(5, seed=7)
    names = [sample.name for sample in held_out]
    model, _ = start()
    state = TrainingState(validated_every=2)
    setup = tiny.setup(model, DATA, Watched(held_out), budget=Budget(epochs=3))
    first, second, last = fit(model, setup, state)
    assert seen == [names[0], names[2], names[4]] * 3 + [names[1], names[3]]
    assert (first.validated, second.validated, last.validated) == (3, 3, 5)
    whole = summarise(model, evaluate_each(Predictor(model, tiny.CPU), held_out))
    assert last.mean_iou == whole.scores.mean_iou
    assert last.val_loss == pytest.approx(whole.loss)
    part = summarise(model, evaluate_each(Predictor(model, tiny.CPU), held_out[::2]))
    compared = [first.mean_iou, second.mean_iou, part.scores.mean_iou]
    assert state.best_score == max(compared)  # epochs are compared by the pictures that all of them predicted
    assert state.best_epoch == compared.index(max(compared)) + 1


class Clock:
    """A clock that moves by 0.01 s at each reading, so that the tests do not depend on the machine."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("unpool.training.loop.time", clock)
    monkeypatch.setattr("unpool.training.validation.time", clock)
    return clock


def test_a_budget_of_minutes_is_kept(clock: Clock) -> None:
    model, setup = start(budget=Budget(minutes=1.5 / 60))
    records = list(fit(model, setup))
    assert 1.45 < records[-1].seconds < 1.6
    assert records[-1].progress == 1.0
    assert records[-1].mean_iou is not None
    assert records[-1].learning_rate < 0.2 * setup.learning_rate


def test_validation_keeps_to_its_share_of_the_minutes(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*given: Any) -> Any:
        clock.now += 0.25
        return evaluate_each(*given)

    monkeypatch.setattr("unpool.training.validation.evaluate_each", slow)
    model, setup = start(budget=Budget(minutes=4 / 60))
    records = list(fit(model, setup))
    validated = [r for r in records if r.mean_iou is not None]
    assert records[0] in validated
    assert records[-1] in validated
    assert len(validated) < len(records)
    assert all(
        r.val_loss is None and r.class_iou == r.predicted_shares == {} and not r.best
        for r in records
        if r not in validated
    )


class Spoiled:
    """A loss that is NaN at some of its calls."""

    division = "pixels"

    def __init__(self, *at: int) -> None:
        self.at, self.calls = at, 0

    def __call__(self, logits: torch.Tensor, *_: Any) -> LossValue:
        self.calls += 1
        good = logits.square().mean()
        return LossValue(good * (math.nan if self.calls - 1 in self.at else 1.0), {"square": good})


def test_steps_without_a_finite_loss_are_left_out_and_counted() -> None:
    model, setup = start(loss=Spoiled(1, 2, 3, 4, 7))
    before = None
    for number, record in enumerate(training(model, setup, TrainingState())):
        if 1 <= number <= 4:
            assert isinstance(record, StepRecord)
            assert math.isnan(record.loss)
            assert before is not None
            assert tiny.same_weights(model.network, before)
        elif number == 5:
            assert not tiny.same_weights(model.network, before)
        elif isinstance(record, EpochRecord):
            assert record.skipped == (4, 1, 0)[record.epoch - 1]
            assert math.isfinite(record.train_loss)
        before = copy.deepcopy(model.network)


def test_five_steps_in_a_row_stop_the_training_and_name_the_pictures() -> None:
    model, setup = start(loss=Spoiled(*range(3, 8)))
    records = training(model, setup, TrainingState())
    with pytest.raises(RunError, match=r"the loss was nan for 5 steps in a row, last on 0\d") as refusal:
        list(records)
    assert "learning rate" in refusal.value.repair
    assert all(torch.isfinite(p).all() for p in model.network.parameters())


def test_a_gradient_that_is_not_finite_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    model, setup = start()
    before = copy.deepcopy(model.network)
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda *_: torch.tensor(math.inf))
    with pytest.raises(RunError, match="5 steps in a row"):
        list(fit(model, setup))
    assert tiny.same_weights(model.network, before)


def test_a_damaged_picture_does_not_damage_the_running_statistics() -> None:
    damaged = dataclasses.replace(DATA[0], image=np.full((48, 56, 1), np.nan, np.float32))
    model = tiny.segmenter()
    constants = {"uint8": model.normalisation.constants["uint8"], "float32": model.normalisation.constants["uint8"]}
    normalisation = dataclasses.replace(model.normalisation, constants=constants)
    batches = tiny.sampler([damaged, *DATA[1:]], model, normalisation=normalisation)
    records = list(fit(model, tiny.setup(model, DATA, HELD_OUT, batches=batches, budget=Budget(epochs=1))))
    assert records[0].skipped > 0
    assert all(torch.isfinite(t).all() for t in model.network.state_dict().values())


def test_pictures_without_a_counted_pixel_do_no_harm() -> None:
    blank = [dataclasses.replace(sample, labels=np.full_like(sample.labels, 255)) for sample in DATA]
    model = tiny.segmenter()
    (record,) = fit(model, tiny.setup(model, blank, blank[:1], budget=Budget(epochs=1)))
    assert record.train_loss == 0
    assert (record.mean_iou, record.val_loss, record.best) == (None, None, False)
    assert all(torch.isfinite(t).all() for t in model.network.state_dict().values())


def test_validation_is_never_in_training_mode_and_training_always_is() -> None:
    model, setup = start(budget=Budget(epochs=2))
    modes: list[tuple[bool, bool]] = []
    model.network.register_forward_hook(lambda network, *_: modes.append((network.training, torch.is_grad_enabled())))
    list(fit(model, setup))
    assert modes == ([(True, True)] * 6 + [(False, False)] * 2) * 2


def test_validation_reads_each_picture_once_as_it_is() -> None:
    seen: list[str] = []

    class Watched(list[Sample]):
        def __getitem__(self, index: Any) -> Any:
            seen.append(super().__getitem__(index).name)
            return super().__getitem__(index)

    model, _ = start()
    list(fit(model, tiny.setup(model, DATA, Watched(HELD_OUT), budget=Budget(epochs=2))))
    assert seen == [sample.name for sample in HELD_OUT] * 2


def test_an_unreadable_picture_stops_the_training_with_its_name() -> None:
    class Broken(list[Sample]):
        def __getitem__(self, index: Any) -> Any:
            raise DataError("dir/03.png: cut short", "a whole file", "copy it again")

    model = tiny.segmenter()
    batches = tiny.sampler(DATA, model, samples=Broken(DATA))
    with pytest.raises(DataError, match=r"dir/03\.png"):
        list(fit(model, tiny.setup(model, DATA, HELD_OUT, batches=batches)))


def test_batch_normalisation_settles_for_the_last_part() -> None:
    model, setup = start(budget=Budget(epochs=2))
    norm = next(module for module in model.network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    before, progress, moved = norm.running_mean.clone(), 0.0, []
    for record in training(model, setup, TrainingState()):
        if isinstance(record, StepRecord):
            moved.append((progress < 0.7, not torch.equal(norm.running_mean, before)))
            before, progress = norm.running_mean.clone(), record.progress
    assert all(expected == found for expected, found in moved)
    assert {expected for expected, _ in moved} == {True, False}


def gradients(parts: int, loss: Loss, **structure: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss of one batch of five crops and the weights after a step of plain SGD, computed in parts."""
    model = tiny.segmenter(**structure)
    setup = tiny.setup(model, DATA, HELD_OUT, loss=loss, clip=0.0, optimiser=torch.optim.SGD(
        model.network.parameters(), lr=1.0
    ), batches=tiny.sampler(DATA, model, batch_size=5))  # fmt: skip
    batch = next(setup.batches.epoch(0))
    loss_of = objective(model.network.train(), loss, tiny.CPU, ALONE, compiled=False)
    value, terms = train_step(model.network, batch, setup, loss_of, parts)
    assert value == pytest.approx(terms["cross_entropy"], rel=1e-6)
    return value, model.network.state_dict()


@pytest.mark.parametrize("division", ["pixels", "sum"])
@pytest.mark.parametrize("parts", [2, 3, 5])
def test_a_batch_in_parts_gives_the_whole_batchs_step(parts: int, division: Any) -> None:
    """Where nothing is normalised over the batch and every pixel counts the same."""
    loss = Loss(dice=0.0, division=division)
    (whole, weights), (value, others) = (gradients(n, loss, norm="none") for n in (1, parts))
    if division == "pixels":  # crops beyond an edge count fewer pixels, so a mean of means is only near
        assert value == pytest.approx(whole, rel=0.02)
        return
    assert value == pytest.approx(whole, rel=1e-5)
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-3 * float(value.abs().max()))


REFUSED = (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), MemoryError(),
           torch.OutOfMemoryError("CUDA out of memory."))  # fmt: skip


@pytest.mark.parametrize("error", REFUSED, ids=lambda error: type(error).__name__)
def test_where_memory_runs_out_the_batch_is_halved_and_the_training_continues(error: Exception) -> None:
    model = tiny.segmenter()
    batches = tiny.sampler(DATA, model, batch_size=4)
    setup = tiny.setup(
        model, DATA, HELD_OUT, batches=batches, loss=tiny.short_of_memory(1, error), budget=Budget(epochs=1)
    )
    state = TrainingState()
    steps = [record for record in training(model, setup, state) if isinstance(record, StepRecord)]
    assert [record.parts for record in steps] == [4] * 6
    assert [record.halved for record in steps] == [True] + [False] * 5
    assert state.parts == 4
    given = tiny.segmenter()
    list(
        fit(given, tiny.setup(given, DATA, HELD_OUT, batches=batches, budget=Budget(epochs=1)), TrainingState(parts=4))
    )
    assert tiny.same_weights(model.network, given.network)  # the failed tries left no trace


def test_a_single_crop_that_does_not_fit_ends_the_training_with_what_to_do() -> None:
    model, setup = start(loss=tiny.short_of_memory(0, MemoryError()))
    with pytest.raises(RunError, match=r"memory ran out on a single crop \(0\d"):
        list(fit(model, setup))


def test_another_error_is_not_taken_for_a_lack_of_memory() -> None:
    model, setup = start(loss=tiny.short_of_memory(0, RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(fit(model, setup))


def test_recomputed_statistics_are_the_mean_over_the_batches() -> None:
    model, setup = start()
    norms = [module for module in model.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    seen: list[torch.Tensor] = []
    handle = norms[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    batches = list(setup.batches.epoch(0))
    weights = copy.deepcopy(dict(model.network.named_parameters()))
    recompute(model.network, batches, tiny.CPU)
    handle.remove()
    means = torch.stack([maps.mean((0, 2, 3)) for maps in seen])
    variances = torch.stack([maps.transpose(0, 1).flatten(1).var(1) for maps in seen])
    torch.testing.assert_close(norms[0].running_mean, means.mean(0))
    torch.testing.assert_close(norms[0].running_var, variances.mean(0))
    assert len(seen) == len(batches) == 6
    assert not any(module.training for module in model.network.modules())
    assert all(norm.momentum == 0.1 for norm in norms)
    assert all(torch.equal(weights[name], value) for name, value in model.network.named_parameters())


def test_validation_comes_as_often_as_asked_and_at_the_end() -> None:
    model, setup = start(validate_every=3, budget=Budget(epochs=7))
    assert [r.epoch for r in fit(model, setup) if r.mean_iou is not None] == [3, 6, 7]


@pytest.mark.parametrize("best", ["mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "loss"])
def test_the_best_epoch_is_the_best_by_the_score_that_was_chosen(best: Any) -> None:
    model, setup = start(best=best, budget=Budget(epochs=5))
    records = list(fit(model, setup))
    found = [-r.val_loss if best == "loss" else getattr(r, best) for r in records]
    assert [r.best for r in records] == [value > max(found[:i], default=-math.inf) for i, value in enumerate(found)]


@pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")
@every_net
def test_a_compiled_training_learns_what_the_plain_one_does(net: str) -> None:
    """Traced and differentiated as it would be compiled; the code that a compiler makes of it is torch's affair."""
    import torch._dynamo

    torch._dynamo.reset()
    plain, traced = start(net, budget=Budget(epochs=1)), start(net, budget=Budget(epochs=1))
    with pytest.MonkeyPatch.context() as patch:
        compile_ = torch.compile
        patch.setattr(torch, "compile", lambda function, **given: compile_(function, backend="aot_eager", **given))
        (one,) = fit(*plain)
        (other,) = fit(*traced, TrainingState(compiled=True))
    assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)
    assert other.val_loss == pytest.approx(one.val_loss, rel=1e-2)
