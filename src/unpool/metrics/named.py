"""The measures by name, as ``unpool test --measures`` takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from unpool.metrics.boundaries import boundaries
from unpool.metrics.calibration import calibration
from unpool.metrics.measures import Measure
from unpool.metrics.membranes import membranes
from unpool.metrics.objects import objects, separated_objects
from unpool.metrics.uncertainty import uncertainty

MEASURES: Mapping[str, Callable[[Sequence[str]], Measure]] = {
    "boundaries": boundaries,
    "boundaries-of-truth": lambda names: boundaries(names, "truth"),
    "objects": objects,
    "separated-objects": separated_objects,
    "membranes": membranes,
    "membranes-second": lambda names: membranes(names, membrane=1),
    "calibration": lambda _: calibration(),
    "uncertainty": lambda _: uncertainty(),
}
"""Functions that make a measure from the class names, in the order of their ids (id 0 may be the background)."""

SAMPLED_MEASURES: Mapping[str, Callable[[Sequence[str]], Measure]] = {
    "uncertainty": lambda _: uncertainty(sampled=True)
}
"""Measures that replace those of the same name in ``MEASURES`` when dropout is sampled."""


def measure_of(name: str, rule: str, classes: Sequence[str]) -> Measure | None:
    """Return the measure with this name and rule, as ``scores.json`` has them; None if this version has no such rule.

    Raises
    ------
    UsageError: the measure cannot be made for these classes.
    """
    candidates = (known[name](classes) for known in (MEASURES, SAMPLED_MEASURES) if name in known)
    return next((measure for measure in candidates if measure.rule == rule), None)
