"""The stages of a study, from made results: who goes on, which seeds are added, and that the order does not matter."""

from collections.abc import Callable, Mapping
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unpool.study.plan import StudyPlan
from unpool.study.records import Study, StudyData, StudyTask, TaskResult, VariantFacts
from unpool.study.stages import Position, position, shares_for, trainings
from unpool.study.variants import Variant, variants_of

PICTURES = 12
PIXELS = 10_000

Score = Callable[[StudyTask], float]


def study(variants: int, **plan: object) -> Study:
    """A study of a baseline and some variants, each of which takes a minute for a full training."""
    planned = StudyPlan.model_validate({
        "variant": [{"name": f"v{k}", "set": {"width": 4 + k}} for k in range(variants)], "minutes": 1e4, **plan,
    })  # fmt: skip
    made = variants_of(planned)
    names = tuple(f"p{k}" for k in range(PICTURES))
    return Study(
        id="0" * 12, created="2026-01-01", plan=planned, variants=made, total_steps=1000, minutes=None,
        data=StudyData(name="d", folder="/d", fingerprint="f", train=("a",), val=names, test=names, origin="made"),
        facts=tuple(
            VariantFacts(
                variant=k, steps=10, step_seconds=1, epoch_seconds=10, parameters=1, memory=1, multiply_adds=1
            )
            for k in range(len(made))
        ),
        shares=shares_for(variants, halving=planned.halving, epochs=100),
    )  # fmt: skip


def result(task: StudyTask, score: float) -> TaskResult:
    """A result whose pictures have nearly this accuracy of two equal classes, with a little noise of its own."""
    random = np.random.default_rng(abs(hash((task.variant, task.seed, task.kind))) % 2**32)
    half = PIXELS // 2
    hits = np.clip(np.round(half * (score + 0.01 * random.standard_normal((PICTURES, 2)))), 0, half).astype(int)
    wrong = half - hits
    predicted = hits + wrong[:, ::-1]
    counts = np.stack([hits, np.full_like(hits, half), predicted], axis=1)
    names = tuple(f"p{k}" for k in range(PICTURES))
    full = task.share == 1
    return task.result(
        score=score, seconds=60 * task.share, epochs=round(100 * task.share), best_epoch=1,
        pictures=names if full else (), groups=names if full else (),
        counts=tuple(tuple(map(tuple, picture.tolist())) for picture in counts) if full else (),
    )  # fmt: skip


def done(
    begun: Study, score: Score, order: Random | None = None, fails: Callable[[StudyTask], bool] = lambda _: False
) -> tuple[Position, dict[str, TaskResult]]:
    """Do all tasks of a study, in any order that its stages allow."""
    results: dict[str, TaskResult] = {}
    while (where := position(begun, results)).stage is not None:
        open_ = [task for task in where.stage.tasks if task.key not in results]
        task = order.choice(open_) if order else open_[0]
        failed = fails(task)
        results[task.key] = task.result(error="its loss is nan") if failed else result(task, score(task))
    return where, results


def seconds(results: Mapping[str, TaskResult]) -> float:
    longest: dict[tuple[int, int], float] = {}
    for each in results.values():
        if each.key.split("-")[-2] != "until":
            continue
        longest[each.variant, each.seed] = max(longest.get((each.variant, each.seed), 0), each.seconds)
    return sum(longest.values())


def test_the_better_half_trains_on_and_the_baseline_always() -> None:
    begun = study(8, seeds=2, most_seeds=2)
    assert begun.shares == (0.25, 0.5, 1.0)
    where, results = done(begun, lambda task: 0.5 + 0.02 * task.variant)
    assert where.finalists == (7, 8)
    assert sorted(where.ended) == [1, 2, 3, 4, 5, 6]
    assert "after 25 % of the training" in where.ended[1]
    assert "place 8 of 8" in where.ended[1]
    assert "after 50 % of the training" in where.ended[5]
    assert where.seeds == {0: (0, 1), 7: (0, 1), 8: (0, 1)}
    tests = sorted(key for key in results if key.endswith("test"))
    assert len(tests) == 6
    assert where.ensemble == 8
    assert "08-ensemble" in results
    assert all(key.split("-")[0] in ("00", "07", "08") for key in tests)


def test_a_variant_that_was_not_validated_in_its_part_is_not_given_up_for_a_score_of_nothing() -> None:
    begun = study(8, seeds=1, most_seeds=1)
    unknown = (1, 8)
    results: dict[str, TaskResult] = {}
    while (where := position(begun, results)).stage is not None:
        task = next(task for task in where.stage.tasks if task.key not in results)
        known = result(task, 0.5 + 0.02 * task.variant)
        early = task.kind == "train" and task.variant in unknown and task.share == begun.shares[0]
        results[task.key] = known.model_copy(update={"score": None}) if early else known
    assert where.finalists == (6, 7)
    for number in unknown:
        assert "without a score, because no validation fell into that part" in where.ended[number]
    assert "place 5 of 8" in where.ended[3]


def test_without_halving_every_variant_is_judged() -> None:
    begun = study(8, seeds=1, most_seeds=1, halving=False)
    where, results = done(begun, lambda task: 0.7)
    assert where.finalists == tuple(range(1, 9))
    assert len(results) == 9 + 9


def test_seeds_are_added_only_where_the_verdict_needs_them() -> None:
    scores = {0: 0.700, 1: 0.900, 2: 0.701}
    begun = study(2, seeds=3, most_seeds=6)
    where, _ = done(begun, lambda task: scores[task.variant] + 0.003 * ((7 * task.seed + task.variant) % 3 - 1))
    assert len(where.seeds[1]) == 3  # clearly better: no more seeds
    assert len(where.seeds[0]) == max(map(len, where.seeds.values()))
    assert where.stopped_adding == "the verdicts need no more seeds" or len(where.seeds[2]) == 6


def test_the_budget_ends_the_adding_of_seeds() -> None:
    begun = study(2, seeds=2, most_seeds=9, minutes=10)
    where, results = done(begun, lambda task: 0.7 + 0.004 * ((5 * task.variant + 3 * task.seed) % 7))
    assert len(where.seeds[0]) < 4
    assert seconds(results) <= 600


def test_a_failed_variant_leaves_the_race() -> None:
    begun = study(4, seeds=2, most_seeds=2)
    where, _ = done(begun, lambda task: 0.7, fails=lambda task: task.variant == 4)
    assert where.ended[4] == "failed: its loss is nan"
    assert 4 not in where.seeds


def test_a_variant_that_fails_with_one_seed_is_not_judged_by_the_others() -> None:
    begun = study(2, seeds=3, most_seeds=3)
    where, results = done(begun, lambda task: 0.7, fails=lambda task: (task.variant, task.seed) == (1, 1))
    assert where.ended == {1: "failed with seed 1: its loss is nan"}
    assert where.finalists == (2,)
    assert where.seeds == {0: (0, 1, 2), 2: (0, 1, 2)}
    assert not any(each.variant == 1 for key, each in results.items() if key.endswith("test"))


def test_the_seeds_of_the_plan_are_trained_whatever_the_minutes() -> None:
    begun = study(2, seeds=3, most_seeds=6, minutes=2)
    where, _ = done(begun, lambda task: 0.7 + 0.001 * task.seed)
    assert [len(seeds) for seeds in where.seeds.values()] == [3, 3, 3]
    assert where.stopped_adding


def test_a_failed_baseline_is_noted() -> None:
    begun = study(2)
    first = StudyTask(kind="train", variant=0, seed=0)
    assert begun.shares == (1.0,)
    results = {first.key: first.result(error="its loss is nan")}
    for number in (1, 2):
        task = StudyTask(kind="train", variant=number, seed=0)
        results[task.key] = result(task, 0.5)
    assert position(begun, results).ended[0] == "failed: its loss is nan"


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10**6), variants=st.integers(1, 9))
def test_the_order_of_the_tasks_changes_nothing(seed: int, variants: int) -> None:
    begun = study(variants, seeds=2, most_seeds=4, minutes=40)
    spread = [Random(k).uniform(-0.1, 0.1) for k in range(variants + 1)]

    def score(task: StudyTask) -> float:
        return 0.7 + spread[task.variant] + 0.002 * ((3 * task.seed + task.variant) % 5 - 2)

    where, results = done(begun, score)
    again, others = done(begun, score, Random(seed))
    assert results == others
    assert (where.seeds, where.ended, where.finalists) == (again.seeds, again.ended, again.finalists)


@pytest.mark.parametrize(("variants", "shares"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3), (12, 3), (30, 5)])
def test_halvings_leave_at_most_three_variants(variants: int, shares: int) -> None:
    found = shares_for(variants, halving=True, epochs=None)
    assert len(found) == shares
    left = variants
    for _ in found[1:]:
        left = -(-left // 2)
    assert 1 <= left <= 3
    assert shares_for(variants, halving=False, epochs=None) == (1.0,)


def test_no_part_of_a_training_is_shorter_than_two_epochs() -> None:
    assert shares_for(30, halving=True, epochs=9) == (0.25, 0.5, 1.0)
    assert shares_for(30, halving=True, epochs=3) == (1.0,)


def test_trainings_are_counted_as_they_are_done() -> None:
    begun = study(8, seeds=3, most_seeds=3)
    _, results = done(begun, lambda task: 0.7 + 0.01 * task.variant)
    assert seconds(results) / 60 == pytest.approx(trainings(begun.shares, 8, 3))


def test_refused_variants_are_never_trained() -> None:
    begun = study(3)
    refused = begun.variants[2].model_copy(update={"refused": "no such thing"})
    begun = begun.model_copy(update={"variants": (*begun.variants[:2], refused, begun.variants[3])})
    where, results = done(begun, lambda task: 0.7)
    assert where.ended[2] == "not possible: no such thing"
    assert not any(each.variant == 2 for each in results.values())
    assert where.tried == 2
    assert isinstance(where.variants[2], Variant)
