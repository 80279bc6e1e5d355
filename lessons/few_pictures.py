"""What the lesson "Augmentation, seen" measures: a network that has three pictures to learn from."""

from __future__ import annotations

from dataclasses import replace

from lessons.measured import Measurement
from lessons.short_training import LITTLE, Task, cells, compared
from unpool.data.augmentation import Augmentation
from unpool.nets.named import UNET, changed

NETWORK = changed(UNET, width=8)
PICTURES = 3

AUGMENTATIONS: dict[str, Augmentation] = {
    "nothing": Augmentation().none(),
    "little": LITTLE,
    "all": Augmentation(),
}
"""Nothing: crops are only cut out. Little: mirrored, with other grey values. All: rotated, scaled, bent, noisy too."""


def task() -> Task:
    """Return the training with each augmentation."""
    return Task(trained=cells(PICTURES, seed=1), tested=cells(8, seed=2), steps=80)


def measure() -> Measurement:
    """Train with each augmentation three times, and score each."""
    made = {name: (NETWORK, replace(task(), augmentation=each)) for name, each in AUGMENTATIONS.items()}
    found = compared(made, 0)
    return Measurement({"seconds": found.seconds, "rows": found.rows}, {})
