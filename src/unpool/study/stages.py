"""The stages of a study: which trainings and tests come next, from the results so far.

``stages`` is a pure function of the study and its results. So every process that works on a study finds the same next
tasks, and a study that was killed goes on where it was.

1. Successive halving (Jamieson and Talwalkar, AISTATS 2016): all variants train for a part of the training with the
   first seed; the half with the higher validation scores trains on, from its own state; until a few are left, the
   finalists. The baseline always trains on.
2. The finalists and the baseline are trained with further seeds, the same for all: the same crops in the same order.
3. Beyond the seeds that each finalist gets, a finalist gets one more as long as its verdict needs it and the budget
   allows it: ``unpool.study.verdicts.wants_seed``, which looks at validation pictures only.
4. The test pictures are looked at for the first time, once, with all models that were trained to their end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean

from unpool.study.proposals import BATCHES
from unpool.study.records import Results, Study, StudyTask, TaskResult, VariantFacts
from unpool.study.variants import Variant
from unpool.study.verdicts import wants_seed
from unpool.wording import count_text

FINALISTS = 3
"""The most variants, apart from the baseline, that are left after the halvings."""

RESERVED = 0.1
"""Share of the minutes that is kept for tests, and for trainings that take longer than forecast."""


@dataclass(frozen=True)
class StudyStage:
    """Tasks that can be done at the same time, by any number of processes.

    Attributes
    ----------
    title: what the stage does, in words.
    """

    title: str
    tasks: tuple[StudyTask, ...]


@dataclass
class Position:
    """Where a study stands.

    Attributes
    ----------
    stage: the stage with tasks to do; None where the study is finished.
    variants: the baseline and all variants so far, by their numbers.
    facts: what a rehearsal showed about those that can be trained, by their numbers.
    ended: why a variant was not trained or tested further, by its number.
    finalists: numbers of the variants that were left after the halvings, without the baseline.
    seeds: seeds of the finalists, by the variant's number, in the order in which they were added.
    stopped_adding: why no more seeds were added.
    ensemble: number of the variant whose models are joined to one; None where none has several seeds.
    """

    stage: StudyStage | None = None
    variants: dict[int, Variant] = field(default_factory=dict)
    facts: dict[int, VariantFacts] = field(default_factory=dict)
    ended: dict[int, str] = field(default_factory=dict)
    finalists: tuple[int, ...] = ()
    seeds: dict[int, tuple[int, ...]] = field(default_factory=dict)
    stopped_adding: str = ""
    ensemble: int | None = None

    @property
    def tried(self) -> int:
        """The number of variants that were tried, without the baseline and without those that are not possible."""
        return sum(1 for variant in self.variants.values() if variant.number and not variant.refused)


def position(study: Study, results: Results) -> Position:
    """Return where a study stands, with the first stage that has tasks to do."""
    found = Position()
    for stage in _stages(study, results, found):
        if any(task.key not in results for task in stage.tasks):
            found.stage = stage
            break
    return found


def shares_for(variants: int, *, halving: bool, epochs: int | None) -> tuple[float, ...]:
    """Return the parts of the training after which half of the variants are given up; the last is 1.

    Parameters
    ----------
    variants: their number, without the baseline.
    epochs: of a full training; no part is shorter than two epochs. None: no such bound.
    """
    shares = [1.0]
    while halving and variants > FINALISTS and (epochs is None or shares[0] / 2 * epochs >= 2):
        shares.insert(0, shares[0] / 2)
        variants = math.ceil(variants / 2)
    return tuple(shares)


def trainings(study_shares: Sequence[float], variants: int, seeds: int) -> float:
    """Return the number of full trainings that a study takes, with parts of trainings counted as parts.

    Parameters
    ----------
    variants: number of variants without the baseline.
    """
    total, before = 0.0, 0.0
    for share in study_shares:
        total += (variants + 1) * (share - before)
        before = share
        if share < 1:
            variants = math.ceil(variants / 2)
    return total + (seeds - 1) * (variants + 1)


def training_seconds(results: Iterable[TaskResult]) -> dict[tuple[int, int], float]:
    """Return the time of each training so far, by variant and seed, from the results of its parts."""
    seconds: dict[tuple[int, int], float] = {}
    for each in results:
        seconds[each.variant, each.seed] = max(seconds.get((each.variant, each.seed), 0.0), each.seconds)
    return seconds


def _stages(study: Study, results: Results, found: Position) -> Iterator[StudyStage]:
    """Yield one stage after the other and note in ``found`` what comes of it.

    A stage follows only when all tasks of those before are in ``results``.
    """
    plan, first = study.plan, study.plan.first_seed
    done: list[StudyTask] = []

    def trained(variants: Sequence[int], seed: int, share: float) -> tuple[StudyTask, ...]:
        tasks = tuple(StudyTask(kind="train", variant=number, seed=seed, share=share) for number in variants)
        done.extend(tasks)
        return tasks

    racing = _possible(study.variants, study.facts, found)
    for batch in range(BATCHES if plan.search else 0):
        yield StudyStage("choosing settings to try", (proposal := StudyTask(kind="propose", variant=batch),))
        racing += _possible(results[proposal.key].proposed, results[proposal.key].facts, found)
        share = study.shares[0]
        yield StudyStage(f"{count_text(len(racing), 'variant')}, {_part(share)}", trained(racing, first, share))
        racing = _without_failed(racing, first, share, results, found)
    for place, share in enumerate(study.shares):
        others = count_text(len(racing) - 1, "variant")
        yield StudyStage(f"the baseline and {others}, {_part(share)}", trained(racing, first, share))
        racing = _without_failed(racing, first, share, results, found)
        if place + 1 < len(study.shares):
            racing = _better_half(racing, first, share, results, found)
    found.finalists = tuple(number for number in racing if number)
    tried = found.tried
    found.seeds = dict.fromkeys(racing, (first,))
    for count in range(1, plan.seeds_at_most):
        present = [number for number in racing if len(found.seeds[number]) == count]
        wanting = [number for number in present if number]
        if count >= plan.seeds:
            wanting = [number for number in wanting if wants_seed(results, number, found.seeds[number], tried)]
            found.stopped_adding = "" if wanting else "the verdicts need no more seeds"
        round_ = [0, *wanting]
        if not wanting or (count >= plan.seeds and not _affordable(study, results, done, round_, first, found)):
            break
        seed = first + count
        title = f"seed {seed} for the baseline and {count_text(len(wanting), 'variant')}"
        yield StudyStage(title, trained(round_, seed, 1.0))
        for number in round_:
            if error := results[StudyTask(kind="train", variant=number, seed=seed).key].error:
                found.ended[number] = f"failed with seed {seed}: {error}"  # to judge its other seeds alone is unfair
                del found.seeds[number]
                racing.remove(number)
            else:
                found.seeds[number] = (*found.seeds[number], seed)
        found.finalists = tuple(number for number in racing if number)
    tests = [
        StudyTask(kind="test", variant=number, seed=seed) for number in found.seeds for seed in found.seeds[number]
    ]
    found.ensemble = _highest(results, found)
    if found.ensemble is not None:
        tests.append(StudyTask(kind="ensemble", variant=found.ensemble))
    yield StudyStage("testing, once, on pictures that neither trained nor chose", tuple(tests))


def _possible(variants: Iterable[Variant], facts: Iterable[VariantFacts], found: Position) -> list[int]:
    """Note variants and what is known of them, and return the numbers of those that can be trained."""
    known = {variant.number: variant for variant in variants}
    found.variants |= known
    found.facts |= {each.variant: each for each in facts}
    found.ended |= {number: f"not possible: {each.refused}" for number, each in known.items() if each.refused}
    return [number for number, each in known.items() if not each.refused]


def _highest(results: Results, found: Position) -> int | None:
    """Return the variant with several seeds that has the highest mean score on the validation pictures."""

    def score(number: int) -> float:
        scores = [results[StudyTask(kind="train", variant=number, seed=seed).key].score for seed in found.seeds[number]]
        return mean(each or 0.0 for each in scores)

    return max((number for number in found.seeds if len(found.seeds[number]) > 1), key=score, default=None)


def _part(share: float) -> str:
    return "trained to the end" if share == 1 else f"trained for {share * 100:g} % of the training"


def _without_failed(racing: Sequence[int], seed: int, share: float, results: Results, found: Position) -> list[int]:
    """Return the variants whose trainings did not fail, and note the others."""
    for number in racing:
        if error := results[StudyTask(kind="train", variant=number, seed=seed, share=share).key].error:
            found.ended[number] = f"failed: {error}"
    return [number for number in racing if number not in found.ended]


def _better_half(racing: Sequence[int], seed: int, share: float, results: Results, found: Position) -> list[int]:
    """Return the baseline and the half of the variants with the higher validation scores; note the others.

    A variant that was not validated in its part of the training ranks after those that were.
    """

    def known(number: int) -> float | None:
        return results[StudyTask(kind="train", variant=number, seed=seed, share=share).key].score

    def score(number: int) -> float:
        return known(number) or 0.0

    ranked = sorted((number for number in racing if number), key=lambda number: (-score(number), number))
    kept = ranked if len(ranked) <= FINALISTS else ranked[: math.ceil(len(ranked) / 2)]
    for place, number in enumerate(ranked[len(kept) :], start=len(kept) + 1):
        if known(number) is None:
            found.ended[number] = (
                f"given up after {share * 100:g} % of the training without a score, because no validation fell into "
                "that part; give the study more minutes, or fewer variants"
            )
            continue
        found.ended[number] = (
            f"given up after {share * 100:g} % of the training: validation mean IoU {score(number):.3f}, place {place} "
            f"of {len(ranked)}; the last that went on had {score(kept[-1]):.3f}"
        )
    return [0, *sorted(kept)]


def _affordable(
    study: Study, results: Results, done: Sequence[StudyTask], variants: Sequence[int], seed: int, found: Position
) -> bool:
    """Return whether one more training of each of some variants fits into the minutes; note where it does not."""
    seconds = training_seconds(results[task.key] for task in done)
    spent, needed = sum(seconds.values()), sum(seconds[number, seed] for number in variants)
    if spent + needed <= 60 * study.plan.minutes * (1 - RESERVED / 2):
        return True
    found.stopped_adding = (
        f"the budget is used: {spent / 60:.0f} of {study.plan.minutes:g} minutes, and one more seed would take "
        f"{needed / 60:.1f} minutes"
    )
    return False
