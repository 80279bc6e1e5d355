"""A trained model in a person's own program."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unpool.checkpoint.card import Card
from unpool.checkpoint.models import load_model
from unpool.class_table import Labels
from unpool.commands.events import finish
from unpool.commands.run_folder import model_file
from unpool.commands.test.choice import Which
from unpool.commands.test.options import TestOptions
from unpool.commands.test.result import TestResult
from unpool.commands.test.test import test
from unpool.errors import DataError
from unpool.io.read.images import plain_pixels, read_image
from unpool.machine.device import Machine, Precision, choose_machine
from unpool.nets.named import Network
from unpool.orientation import OrientationSet
from unpool.prediction.averaging import Averaging
from unpool.prediction.predictor import answer, ready
from unpool.prediction.result import Prediction
from unpool.segmenter import Segmenter

Image: TypeAlias = NDArray[Any] | str | Path
"""A picture as an array or a file."""


@dataclass(frozen=True)
class Model:
    """A trained model: predicts arrays and files, tests itself on folders.

    Attributes
    ----------
    path: the file it was read from.
    card: everything the file says about itself, as plain JSON data.
    """

    path: Path
    segmenter: Segmenter
    card: Card
    machine: Machine

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the class ids."""
        return self.segmenter.classes.names

    @property
    def network(self) -> Network:
        """The network as it was trained, a plain ``nn.Module``: a copy, so that changing it changes no prediction."""
        return deepcopy(self.segmenter.network)

    def predict(self, image: Image, *, tta: OrientationSet = "none", samples: int = 0) -> Labels:
        """Class ids of every pixel: uint8 (rows, columns).

        Parameters
        ----------
        image: a file, or an array (rows, columns) or (rows, columns, channels), RGB order, in the pixel type of
            the training pictures.
        tta: average over the picture mirrored left to right (``mirror``) or every way (``flips``), turned
            (``rotations``) or all of it (``d4``).
        samples: average over so many samples of dropout.

        Raises
        ------
        DataError: the picture cannot be read, or does not fit the model.
        UsageError: dropout is to be sampled and there is none.
        """
        return self._answer(image, tta, samples).prediction

    def probabilities(self, image: Image, *, tta: OrientationSet = "none", samples: int = 0) -> NDArray[np.float32]:
        """The probability of every class: float32 (K, rows, columns). Parameters and errors as in ``predict``."""
        found = self._answer(image, tta, samples, whole=True).probabilities
        assert found is not None
        return found

    def uncertainty(self, image: Image, *, tta: OrientationSet = "none", samples: int = 0) -> NDArray[np.float32]:
        """How unsure the prediction is: float32 (maps, rows, columns). Parameters and errors as in ``predict``.

        With samples the variance of each class's probability over the answers, without them 1 - confidence, one map.
        """
        return self._answer(image, tta, samples, uncertainty=True).uncertainty

    def mask(self, image: Image, *, tta: OrientationSet = "none", samples: int = 0) -> NDArray[Any]:
        """The prediction in the training masks' own values or colours. Parameters and errors as in ``predict``."""
        return self.segmenter.classes.decode(self.predict(image, tta=tta, samples=samples))

    def _answer(
        self, image: Image, tta: OrientationSet, samples: int, *, uncertainty: bool = False, whole: bool = False
    ) -> Prediction:
        pixels, source = _pixels(image)
        averaging = Averaging(tta, samples)
        return answer(
            self._ready, pixels, source, self.machine, averaging=averaging, uncertainty=uncertainty, whole=whole
        )

    @cached_property
    def _ready(self) -> Segmenter:
        return ready(self.segmenter, self.machine)

    def test(
        self,
        folder: str | Path,
        *,
        which: Which = "auto",
        out: str | Path | None = None,
        measures: Sequence[str] | None = None,
        conventions: bool = False,
        tta: OrientationSet = "none",
        samples: int = 0,
    ) -> TestResult:
        """Score the model on a folder, as ``unpool test`` does.

        Parameters
        ----------
        which, measures, conventions, tta, samples: as ``unpool.commands.test.options.TestOptions`` takes them.
        """
        target = Path(out) if out is not None else None
        device = str(self.machine.device)
        precision: Precision = "bfloat16" if self.machine.reduced else "float32"
        options = TestOptions(which, device, precision, measures, conventions, tta, samples)
        return finish(test(self.path, Path(folder), options, out=target))


def load(path: str | Path, device: str = "auto") -> Model:
    """Read a model file, or the one in a run folder.

    Raises
    ------
    ModelFileError: the file is missing, truncated, foreign, or of a later version.
    """
    file = model_file(Path(path))
    segmenter, card = load_model(file)
    machine = choose_machine(device)
    machine.place(segmenter.network)
    return Model(file, segmenter, card, machine)


def _pixels(image: Image) -> tuple[NDArray[Any], str]:
    if isinstance(image, str | Path):
        return read_image(Path(image)), str(image)
    pixels = plain_pixels(np.asarray(image), "the array")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise DataError(
            f"an array of shape {np.shape(image)}",
            "(rows, columns) or (rows, columns, channels), none of them 0",
            "give one picture; for a batch, call predict for each",
        )
    return pixels, "the array"
