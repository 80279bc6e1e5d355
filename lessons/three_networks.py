"""What the lesson "FCN, U-Net, FusionNet" measures and computes: the same pictures, and what each network changed."""

from __future__ import annotations

from lessons.measured import Measurement
from lessons.short_training import Task, cells, compared
from unpool.nets.fcn import FCNStructure
from unpool.nets.named import FUSIONNET, UNET, changed
from unpool.nets.network import NetworkStructure

SMALL: dict[str, NetworkStructure] = {
    "unet": changed(UNET, width=8),
    "fcn-32s": FCNStructure(prediction_stride=32, width=8, norm="batch"),
    "fcn-8s": FCNStructure(prediction_stride=8, width=8, norm="batch"),
    "fusionnet": changed(FUSIONNET, width=8),
}
"""The networks with an eighth of their papers' maps; FCN with batch normalisation, which the others have here too."""

SHOWN = 2
"""The tested picture that the page shows."""


def task() -> Task:
    """Return the training of every network."""
    return Task(trained=cells(24, seed=1), tested=cells(8, seed=2))


def measured() -> Measurement:
    """Train each network three times, and score it."""
    made = compared({name: (structure, task()) for name, structure in SMALL.items()}, SHOWN)
    return Measurement({"seconds": made.seconds, "rows": made.rows}, made.predictions)
