"""A trained model in a person's own program: ``unpool.load`` and what it returns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unpool.appearance.comparison import notes_on
from unpool.appearance.picture import appearance_of
from unpool.checkpoint.card import Card
from unpool.checkpoint.models import load_model
from unpool.class_table import Labels
from unpool.commands.events import finish
from unpool.commands.run_folder import model_file
from unpool.commands.test.options import TestOptions
from unpool.commands.test.picture_choice import Which
from unpool.commands.test.result import TestResult
from unpool.commands.test.test import test
from unpool.errors import DataError
from unpool.io.read.images import load_picture, plain_pixels
from unpool.machine.device import Machine, Precision, choose_machine
from unpool.nets.network import Network
from unpool.orientation import OrientationSet
from unpool.prediction.averaging import Averaging
from unpool.prediction.evaluation import separated_prediction
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import CLASS_IDS, INSIDE, PROBABILITIES, UNCERTAINTY, Kept, Prediction
from unpool.segmenter import Segmenter

Image: TypeAlias = NDArray[Any] | str | Path
"""A picture: an array or a file."""


@dataclass(frozen=True)
class Model:
    """A trained model: it predicts arrays and files, and tests itself on folders.

    Attributes
    ----------
    path: the model file.
    card: the description in the model file, as plain JSON data.
    predictor: the model on this machine.
    """

    path: Path
    card: Card
    predictor: Predictor

    @property
    def segmenter(self) -> Segmenter:
        """The network as it was trained, its normalisation and its class table."""
        return self.predictor.segmenter

    @property
    def machine(self) -> Machine:
        """The machine that the model runs on."""
        return self.predictor.machine

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the class ids."""
        return self.segmenter.classes.names

    @property
    def network(self) -> Network:
        """The network as it was trained, a plain ``nn.Module``: a copy, so that changing it changes no prediction."""
        return deepcopy(self.segmenter.network)

    def predict(self, image: Image, *, tta: OrientationSet = "none", samples: int = 0) -> Labels:
        """Return the class id of every pixel: uint8 (rows, columns).

        Parameters
        ----------
        image: a file, or an array (rows, columns) or (rows, columns, channels), RGB order, in the pixel type of
            the training pictures.
        tta: the orientations to average over: the picture and its mirror images left to right (``mirror``) or in every
            direction (``flips``), rotated by quarters (``rotations``), or all eight (``d4``).
        samples: dropout samples to average over; 0 predicts without dropout.

        Raises
        ------
        DataError: the picture cannot be read, or does not fit the model.
        UsageError: dropout is to be sampled and the network has none.

        Warns
        -----
        UserWarning: the picture differs from the training pictures: in grey or in colour, far above or below their
            values, or with a value that seems to mean missing data.
        """
        return self._predicted(image, tta, samples, CLASS_IDS).prediction

    def objects(self, image: Image, *, tta: OrientationSet = "none", samples: int = 0) -> NDArray[np.int32]:
        """Return the number of every pixel's object: int32 (rows, columns), from 1; 0 for background.

        Objects that touch are separated as ``unpool predict --objects`` does. Parameters and errors are those of
        ``Model.predict``.
        """
        objects = separated_prediction(self._predicted(image, tta, samples, INSIDE), self.segmenter.borders)
        assert objects is not None
        return objects

    def probabilities(self, image: Image, *, tta: OrientationSet = "none", samples: int = 0) -> NDArray[np.float32]:
        """Return the probability of every class: float32 (K, rows, columns).

        Parameters and errors are those of ``Model.predict``.
        """
        probabilities = self._predicted(image, tta, samples, PROBABILITIES).probabilities
        assert probabilities is not None
        return probabilities

    def uncertainty(self, image: Image, *, tta: OrientationSet = "none", samples: int = 0) -> NDArray[np.float32]:
        """Return the uncertainty of the prediction: float32 (maps, rows, columns).

        With samples it is the variance of each class's probability, K maps; without them 1 - confidence, one map.
        Parameters and errors are those of ``Model.predict``.
        """
        return self._predicted(image, tta, samples, UNCERTAINTY).uncertainty

    def mask(self, image: Image, *, tta: OrientationSet = "none", samples: int = 0) -> NDArray[Any]:
        """Return the prediction in the values or colours of the training masks.

        Parameters and errors are those of ``Model.predict``.
        """
        return self.segmenter.classes.decode(self.predict(image, tta=tta, samples=samples))

    def _predicted(self, image: Image, tta: OrientationSet, samples: int, keep: Kept) -> Prediction:
        pixels, source, missing = _pixels(image)
        for note in notes_on({source: appearance_of(pixels, missing)}, self.segmenter.seen):
            warnings.warn(note, stacklevel=3)
        return self.predictor.with_averaging(Averaging(tta, samples)).predict(pixels, source, keep)

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
    """Read a model file, or the model file in a run folder.

    Parameters
    ----------
    device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; ``auto`` takes a GPU where there is one.

    Raises
    ------
    ModelFileError: the file is missing, damaged, not written by unpool, or of a later version.
    UsageError: the device does not exist here.
    """
    file = model_file(Path(path))
    segmenter, card = load_model(file)
    machine = choose_machine(device)
    machine.place(segmenter.network)
    return Model(file, card, Predictor(segmenter, machine))


def _pixels(image: Image) -> tuple[NDArray[Any], str, float | None]:
    """Return a picture's pixels, its name in messages, and the value that it declares as missing data."""
    if isinstance(image, str | Path):
        picture = load_picture(Path(image))
        return picture.pixels, str(image), picture.info.missing
    pixels = plain_pixels(np.asarray(image), "the array")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise DataError(
            f"an array of shape {np.shape(image)}",
            "(rows, columns) or (rows, columns, channels), with no side of length 0",
            "give one picture; for a batch, call predict once for each picture",
        )
    return pixels, "the array", None
