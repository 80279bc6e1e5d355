"""The options of a test, as the command line, a program and the record of a test name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unpool.commands.test.picture_choice import Which
from unpool.machine.device import Precision
from unpool.orientation import OrientationSet
from unpool.prediction.averaging import Averaging


@dataclass(frozen=True)
class TestOptions:
    """The options of a test that change its result. A test with the same options can be compared with it.

    Attributes
    ----------
    which: split to test. ``auto`` is the test split, else the validation split, else all pictures. On the folder that
        the model was trained on, the splits are those of the training; elsewhere they are the folder's own.
    device, precision: machine that predicts.
    measures: names of ``unpool.metrics.named.MEASURES``; None for ``usual_measures``.
    conventions: whether to add the mean IoU and Dice by other implementations' rules.
    tta, samples: predictions that are averaged for each picture, see ``unpool.prediction.averaging``.
    """

    __test__ = False  # pytest takes a class of this name for a test

    which: Which = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    measures: Sequence[str] | None = None
    conventions: bool = False
    tta: OrientationSet = "none"
    samples: int = 0

    @property
    def averaging(self) -> Averaging:
        """The predictions that are averaged for each picture."""
        return Averaging(self.tta, self.samples)

    def to_json(self) -> dict[str, Any]:
        """Return the options as the record of a test keeps them."""
        return {**asdict(self), "measures": None if self.measures is None else list(self.measures)}


USUAL_OPTIONS = TestOptions()
"""The options of a test without options on the command line."""
