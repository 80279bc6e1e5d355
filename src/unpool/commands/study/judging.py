"""The judgement of a study: the verdict on each variant from the test pictures, and the rules of all verdicts."""

from __future__ import annotations

from unpool.study.records import Results, Study
from unpool.study.stages import Position
from unpool.study.verdicts import Verdict, verdict_on
from unpool.wording import count_text


def verdicts(results: Results, where: Position) -> dict[int, Verdict]:
    """Return the verdict on each variant that was tested, by its number; none before all tests are done."""
    if where.stage is not None:
        return {}
    found = {each: verdict_on(results, each, where.seeds[each], "test", where.tried) for each in where.finalists}
    return {number: verdict for number, verdict in found.items() if verdict is not None}


def rules(study: Study, where: Position) -> list[str]:
    """Return how intervals and verdicts are made, one sentence each."""
    return [
        f"The test part ({count_text(len(study.data.test), 'picture')}) neither trained nor chose anything; it was "
        "looked at once, at the end.",
        "Variants were given up, and seeds added, by the scores of the validation pictures alone.",
        "A difference is the mean over the seeds of the variant's mean IoU minus the baseline's with the same seed, on "
        "the same pictures. Its interval holds the chances of the seeds and of the pictures together (pseudo-values as "
        "in Dorfman, Berbaum and Metz 1992, with a quantile of its own for each part).",
        f"Intervals and p-values are corrected for all {count_text(where.tried, 'variant')} that were tried, also for "
        "those that were given up (Bonferroni).",
        "A variant that was given up has no verdict: it might have recovered.",
    ]
