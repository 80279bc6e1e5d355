"""The measures by name: what ``unpool test --measures`` can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from unpool.metrics.boundaries import boundaries
from unpool.metrics.calibration import calibration
from unpool.metrics.measures import Measure
from unpool.metrics.membranes import membranes
from unpool.metrics.objects import objects
from unpool.metrics.uncertainty import uncertainty

MEASURES: Mapping[str, Callable[[Sequence[str]], Measure]] = {
    "boundaries": boundaries,
    "boundaries-of-truth": lambda names: boundaries(names, "truth"),
    "objects": objects,
    "membranes": membranes,
    "membranes-second": lambda names: membranes(names, membrane=1),
    "calibration": lambda _: calibration(),
    "uncertainty": lambda _: uncertainty(),
}
"""From the names of the classes, the first of which is the background where there is one, to the measure."""

SAMPLED: Mapping[str, Callable[[Sequence[str]], Measure]] = {"uncertainty": lambda _: uncertainty(sampled=True)}
"""Those that, where dropout is sampled, stand in the place of the measures of their names."""


def measure_of(name: str, rule: str, classes: Sequence[str]) -> Measure | None:
    """The measure of this name and rule, as ``unpool test`` wrote them; None where this version has no such.

    Raises
    ------
    UsageError: the classes are not those of the measure.
    """
    made = (known[name](classes) for known in (MEASURES, SAMPLED) if name in known)
    return next((measure for measure in made if measure.rule == rule), None)
