"""What the lesson "Encoder and decoder" measures: one encoder, and four ways to join a decoder to it."""

from __future__ import annotations

from lessons.measured import Measurement
from lessons.short_training import Task, cells, compared
from unpool.nets.named import UNET, changed
from unpool.nets.structure import Structure

ENCODER = changed(UNET, width=8, bottom=False)
"""Four stages of 8 to 64 maps, each with a pooling; the fourth pooling is the bottom."""

JOINED: dict[str, Structure] = {
    "concatenation": ENCODER,
    "sum": changed(ENCODER, skip="add"),
    "indices": changed(ENCODER, skip="index", up="unpool"),
    "nothing": changed(ENCODER, skip="none"),
}
"""The decoders, by what the encoder sends to them."""

SHOWN = 2
"""The tested picture that the page shows."""


def task() -> Task:
    """Return the training of every decoder."""
    return Task(trained=cells(24, seed=1), tested=cells(8, seed=2))


def measure() -> Measurement:
    """Train each decoder three times, and score it."""
    made = compared({name: (structure, task()) for name, structure in JOINED.items()}, SHOWN)
    return Measurement({"seconds": made.seconds, "rows": made.rows}, made.predictions)
