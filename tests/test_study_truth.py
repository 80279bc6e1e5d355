"""Studies whose truth is planted: how often their verdicts are right. Minutes each, so they are marked slow."""

from pathlib import Path

import numpy as np
import pytest

import tiny
from test_study_stages import PICTURES, PIXELS, study
from unpool.commands.events import finish
from unpool.commands.study.study import study as run_study
from unpool.io.write.images import write_image
from unpool.study.plan import StudyPlan
from unpool.study.records import Study, StudyTask, TaskResult
from unpool.study.stages import position
from unpool.study.verdicts import verdict_on

REPEATS = 20
SEED_POINTS, TASTE_POINTS, REST_POINTS, HARDNESS_POINTS = 1.0, 0.7, 1.0, 5.0
"""Deviations in points of accuracy: of a training's seed, of a variant's taste in pictures, the rest, of pictures."""

pytestmark = pytest.mark.slow


def planted(begun: Study, effects: list[float], random: np.random.Generator) -> dict[str, TaskResult]:
    """Do a study whose variants have these effects in points of accuracy; validation and test have other pictures."""
    variants, seeds = len(effects), 12
    of_seed = SEED_POINTS * random.standard_normal((variants, seeds))
    hard = {kind: HARDNESS_POINTS * random.standard_normal(PICTURES) for kind in ("train", "test")}
    taste = {kind: TASTE_POINTS * random.standard_normal((variants, PICTURES)) for kind in ("train", "test")}
    rest = {kind: REST_POINTS * random.standard_normal((variants, seeds, PICTURES)) for kind in ("train", "test")}
    results: dict[str, TaskResult] = {}
    while (where := position(begun, results)).stage is not None:
        for task in where.stage.tasks:
            kind = "train" if task.kind == "train" else "test"
            points = (
                80 + effects[task.variant] + of_seed[task.variant, task.seed]
                + hard[kind] + taste[kind][task.variant] + rest[kind][task.variant, task.seed]
            )  # fmt: skip
            results[task.key] = counted(task, np.clip(points / 100, 0.3, 0.999))
    return results


def counted(task: StudyTask, accuracy: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> TaskResult:
    half = PIXELS // 2
    hits = np.round(half * accuracy).astype(int)
    one = np.stack([hits, np.full_like(hits, half), np.full_like(hits, half)], axis=1)
    counts = np.stack([one, one], axis=-1)  # two classes, as often mistaken for each other
    iou = float(hits.sum() / (2 * half * PICTURES - hits.sum()))
    names = tuple(f"p{k}" for k in range(PICTURES))
    return task.result(
        score=iou, validation=iou, seconds=60 * task.share, epochs=1, best_epoch=1, pictures=names, groups=names,
        counts=tuple(tuple(map(tuple, picture.tolist())) for picture in counts),
    )  # fmt: skip


def iou_of(points: float) -> float:
    return points / (200 - points)


def test_equal_variants_are_seldom_called_better() -> None:
    random, false, worse = np.random.default_rng(1), 0, 0
    for _ in range(100):
        begun = study(6, seeds=3, most_seeds=6)
        results = planted(begun, [0.0] * 7, random)
        where = position(begun, results)
        found = [verdict_on(results, k, where.seeds[k], "test", where.tried) for k in where.finalists]
        shown = [each.difference.value for each in found if each and each.difference.shown]
        false += any(value > 0 for value in shown)
        worse += any(value < 0 for value in shown)
    print(f"100 studies of 6 equal variants: {false} with a false 'better', {worse} with a false 'worse'")  # noqa: T201 - shown with -s
    assert false <= 5


def test_a_better_variant_is_found_and_its_interval_holds_the_truth() -> None:
    random, found_better, held, judged = np.random.default_rng(2), 0, 0, 0
    true = iou_of(86) - iou_of(80)
    for _ in range(100):
        begun = study(6, seeds=3, most_seeds=6)
        results = planted(begun, [0.0, 0, 0, 6, 0, 0, 0], random)
        where = position(begun, results)
        if 3 not in where.finalists:
            continue
        verdict = verdict_on(results, 3, where.seeds[3], "test", where.tried)
        assert verdict is not None
        assert verdict.difference.interval is not None
        judged += 1
        found_better += verdict.difference.shown and verdict.difference.value > 0
        held += verdict.difference.interval.low <= true <= verdict.difference.interval.high
    print(f"6 points planted: a finalist in {judged} of 100, better in {found_better}, interval holds in {held}")  # noqa: T201 - shown with -s
    assert judged >= 98
    assert found_better >= 60
    assert held >= 0.93 * judged


def fine_lines(folder: Path, count: int, seed: int) -> Path:
    """Pictures whose mask is each bright pixel: lines one pixel wide, which a network without skips cannot place."""
    random = np.random.default_rng(seed)
    for number in range(count):
        mask = np.zeros((48, 48), dtype=bool)
        mask[random.integers(0, 48, 12)] = True
        mask[:, random.integers(0, 48, 6)] = True
        image = np.where(mask, 180, 90) + random.normal(0, 20, mask.shape)
        write_image(folder / "images" / f"{number:02}.png", np.clip(image, 0, 255).astype(np.uint8))
        write_image(folder / "masks" / f"{number:02}.png", mask.astype(np.uint8) * 255)
    return folder


SET = {
    "width": 4, "depth": 3, "crop": 48, "batch_size": 4, "learning_rate": 1e-2,
    "device": "cpu", "precision": "float32", "compile": "no",
}  # fmt: skip


def verdicts(
    folder: Path, out: Path, settings: dict[str, object], variant: dict[str, object], seed: int
) -> bool | None:
    """Whether a tiny study calls its variant better (True), worse (False), or neither (None)."""
    plan = StudyPlan.model_validate({
        "set": {**SET, **settings}, "variant": [{"name": "v", "set": variant}], "epochs": 3, "minutes": 1000,
        "seeds": 3, "most_seeds": 3, "first_seed": 100 * seed, "split_seed": seed, "test_share": 0.4,
    })  # fmt: skip
    result = finish(run_study(folder, plan, out))
    where = position(result.study, result.results)
    verdict = verdict_on(result.results, 1, where.seeds[1], "test", 1)
    assert verdict is not None
    return verdict.difference.value > 0 if verdict.difference.shown else None


def test_real_studies_of_a_variant_that_is_better(tmp_path: Path) -> None:
    found = [
        verdicts(fine_lines(tmp_path / f"d{k}", 20, k), tmp_path / f"s{k}", {"skip": "none"}, {"skip": "concat"}, k)
        for k in range(REPEATS)
    ]
    print(f"better by its structure: {found.count(True)} of {REPEATS} better, {found.count(False)} worse")  # noqa: T201 - shown with -s
    assert found.count(True) >= 18
    assert False not in found


def test_real_studies_of_a_variant_that_is_equal(tmp_path: Path) -> None:
    """The order of a concatenation changes which weights are drawn first, and nothing else."""
    found = [
        verdicts(tiny.write_set(tmp_path / f"d{k}", 20, k), tmp_path / f"s{k}", {}, {"concat_order": "up"}, k)
        for k in range(REPEATS)
    ]
    print(f"equal by its structure: {found.count(True)} of {REPEATS} better, {found.count(False)} worse")  # noqa: T201 - shown with -s
    assert found.count(True) <= 2
