"""Made studies with planted truth: pixel counts of models whose errors vary with seeds, pictures and both."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from unpool.metrics.comparison import ALPHA
from unpool.metrics.intervals import PixelCounts
from unpool.metrics.seeds import SeedDifference, difference_of

PIXELS = 4096


class Mixture(NamedTuple):
    """Deviations of the logarithm of a model's error rate: of each seed, each picture, and each seed and picture."""

    seed: float
    picture: float
    residual: float


MIXTURES = {
    "seeds": Mixture(0.3, 0.05, 0.05),
    "pictures": Mixture(0.02, 0.4, 0.05),
    "residual": Mixture(0.01, 0.01, 0.5),
    "seeds and pictures": Mixture(0.15, 0.4, 0.1),
    "pictures and residual": Mixture(0, 0.4, 0.4),
}


def made_rates(
    random: np.random.Generator,
    shape: tuple[int, int, int, int],
    mixture: Mixture,
    rate: float = 0.1,
    better: float = 0.0,
    unstable: Sequence[float] = (),
) -> NDArray[np.float64]:
    """Error rates (studies, models, seeds, pictures); the first model's are ``better`` times lower in logarithm.

    All models find the same pictures hard, and each has its own seeds and its own taste in pictures. ``unstable`` has a
    factor of the deviation of seeds for each model.
    """
    studies, models, seeds, pictures = shape
    effects = (
        mixture.seed
        * np.reshape(unstable or [1.0] * models, (models, 1, 1))
        * random.standard_normal((studies, models, seeds, 1))
        + mixture.picture * random.standard_normal((studies, models, 1, pictures))
        + mixture.residual * random.standard_normal(shape)
        + 0.5 * random.standard_normal((studies, 1, 1, pictures))
    )
    effects[:, 0] -= better
    return np.minimum(rate * np.exp(effects), 0.9)


def made_counts(random: np.random.Generator, rates: NDArray[np.float64]) -> PixelCounts:
    """Counts (studies, models, seeds, pictures, 3, 2) of pictures with 10..50 % cell, by the error rates."""
    studies, _, _, pictures = rates.shape
    cell = np.round(PIXELS * random.uniform(0.1, 0.5, (studies, 1, 1, pictures))) + 0 * rates
    missed, false = np.round(cell * rates), np.round((PIXELS - cell) * rates * 0.3)
    truth = np.stack([PIXELS - cell, cell], -1)
    hit = truth - np.stack([false, missed], -1)
    predicted = hit + np.stack([missed, false], -1)
    return np.stack([hit, truth, predicted], -2).astype(np.int64)


def made_differences(
    seed: int,
    shape: tuple[int, int, int],
    mixture: Mixture,
    rate: float = 0.1,
    better: float = 0.0,
    comparisons: int = 1,
) -> list[SeedDifference]:
    """Differences of made studies (studies, seeds, pictures) of two models."""
    random = np.random.default_rng(seed)
    studies, seeds, pictures = shape
    names, found = [str(k) for k in range(pictures)], []
    for start in range(0, studies, 250):
        size = (min(250, studies - start), 2, seeds, pictures)
        counts = made_counts(random, made_rates(random, size, mixture, rate, better))
        found += [difference_of(variant, baseline, names, comparisons=comparisons) for variant, baseline in counts]
    return found


def family_of_normal_scores(
    random: np.random.Generator, deviations: Sequence[float], seeds: int, correlation: float = 0.0
) -> list[SeedDifference]:
    """Differences of equal variants and a baseline, the last, that only seeds change; deviations of seeds in percent.

    Two equal pictures leave no chance of pictures. ``correlation``, at most 0, is of each variant and the baseline.
    """
    share, variants = abs(correlation), len(deviations) - 1
    signs = np.reshape([1.0] * variants + [-1.0], (-1, 1))
    scores = math.sqrt(1 - share) * random.standard_normal((variants + 1, seeds))
    scores += math.sqrt(share) * signs * random.standard_normal(seeds)
    right = np.round(10**8 * (0.5 + 0.01 * np.reshape(deviations, (-1, 1)) * scores)).astype(np.int64)
    hit = np.stack([right, 0 * right], -1)
    truth = np.stack([0 * right + 10**8, 0 * right], -1)
    counts = np.stack([hit, truth, np.stack([right, 10**8 - right], -1)], -2)[:, :, None].repeat(2, 2)
    return [difference_of(each, counts[-1], ["a", "b"], "global_accuracy", variants) for each in counts[:-1]]


def paired_error_of_seeds(difference: SeedDifference) -> float:
    """The error from seeds by the differences of equal seeds, with S - 1 degrees of freedom."""
    return float(np.std(difference.per_seed, ddof=1)) / math.sqrt(len(difference.per_seed))


def hillis_p(difference: SeedDifference) -> float:
    """The p-value with paired seeds, one quantile for the whole error, and the degrees of freedom of Hillis (2007)."""
    assert difference.error_of_units is not None
    of_seeds = paired_error_of_seeds(difference)
    error = math.hypot(of_seeds, difference.error_of_units)
    if not error:
        return float(difference.value == 0)
    freedom = (len(difference.per_seed) - 1) * (error / max(of_seeds, 1e-9)) ** 4
    return min(2 * float(special.stdtr(freedom, -abs(difference.value) / error)) * difference.comparisons, 1.0)


def paired_shown(difference: SeedDifference) -> bool:
    """Whether the interval with paired seeds, and a quantile for each part, does not contain 0."""
    assert difference.error_of_units is not None
    level, seeds = ALPHA / difference.comparisons / 2, len(difference.per_seed)
    half = math.hypot(
        special.stdtrit(seeds - 1, level) * paired_error_of_seeds(difference),
        special.stdtrit(difference.units - 1, level) * difference.error_of_units,
    )
    return abs(difference.value) > half


def shares(found: list[SeedDifference], truth: float = 0.0) -> dict[str, float]:
    """How often differences are shown as better or worse, or by pairs of seeds, and intervals hold the truth."""
    assert all(each.interval is not None for each in found)
    return {
        "better": float(np.mean([each.shown and each.value > 0 for each in found])),
        "worse": float(np.mean([each.shown and each.value < 0 for each in found])),
        "paired": float(np.mean([paired_shown(each) for each in found])),
        "hillis": float(np.mean([hillis_p(each) <= ALPHA for each in found])),
        "held": float(np.mean([each.interval[0] <= truth <= each.interval[1] for each in found if each.interval])),
    }
