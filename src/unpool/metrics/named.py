"""The measures by name: what ``unpool test --measures`` can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from unpool.metrics.boundaries import boundaries
from unpool.metrics.measures import Measure
from unpool.metrics.membranes import membranes
from unpool.metrics.objects import objects

MEASURES: Mapping[str, Callable[[Sequence[str]], Measure]] = {
    "boundaries": boundaries,
    "boundaries-of-truth": lambda names: boundaries(names, "truth"),
    "objects": objects,
    "membranes": membranes,
    "membranes-second": lambda names: membranes(names, membrane=1),
}
"""From the names of the classes, the first of which is the background where there is one, to the measure."""
