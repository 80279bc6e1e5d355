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
