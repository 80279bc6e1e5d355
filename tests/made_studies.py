"""Made studies with planted truth: pixel counts of models whose errors vary with seeds, pictures and both."""

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
) -> NDArray[np.float64]:
    """Error rates (studies, models, seeds, pictures); the first model's are ``better`` times lower in logarithm.

    All models find the same pictures hard, and each has its own seeds and its own taste in pictures.
    """
    studies, models, seeds, pictures = shape
    effects = (
        mixture.seed * random.standard_normal((studies, models, seeds, 1))
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
    seed: int, shape: tuple[int, int, int], mixture: Mixture, rate: float = 0.1, better: float = 0.0
) -> list[SeedDifference]:
    """Differences of made studies (studies, seeds, pictures) of two models."""
    random = np.random.default_rng(seed)
    studies, seeds, pictures = shape
    names, found = [str(k) for k in range(pictures)], []
    for start in range(0, studies, 250):
        size = (min(250, studies - start), 2, seeds, pictures)
        counts = made_counts(random, made_rates(random, size, mixture, rate, better))
        found += [difference_of(variant, baseline, names) for variant, baseline in counts]
    return found


def hillis_p(difference: SeedDifference) -> float:
    """The p-value with one quantile for the whole error and the degrees of freedom of Hillis (2007)."""
    assert difference.error_of_seeds is not None
    if not difference.error:
        return float(difference.value == 0)
    freedom = (len(difference.per_seed) - 1) * (difference.error / max(difference.error_of_seeds, 1e-9)) ** 4
    p = 2 * special.stdtr(freedom, -abs(difference.value) / difference.error)
    return min(float(p) * difference.comparisons, 1.0)


def shares(found: list[SeedDifference], truth: float = 0.0) -> dict[str, float]:
    """How often differences are shown as better or worse, as Hillis' analysis would, and intervals hold the truth."""
    assert all(each.interval is not None for each in found)
    return {
        "better": float(np.mean([each.shown and each.value > 0 for each in found])),
        "worse": float(np.mean([each.shown and each.value < 0 for each in found])),
        "hillis": float(np.mean([hillis_p(each) <= ALPHA for each in found])),
        "held": float(np.mean([each.interval[0] <= truth <= each.interval[1] for each in found if each.interval])),
    }
