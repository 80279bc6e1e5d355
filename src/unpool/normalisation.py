"""Normalisation: the mean and the standard deviation by which pictures are shifted and scaled for a network.

``unpool.data`` computes it and the segmenter keeps it, so it stands below both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.shapes import Pixels, reading_parts
from unpool.wording import count_text

NormalisedBy = Literal["set", "picture"]
"""The pixels whose mean and deviation are taken: those of all training pictures, or those of each picture itself."""

_FLOORS = {"uint8": 1.0, "uint16": 1.0}
"""The smallest standard deviation: one step of the pixel type, so that constant pictures stay finite."""


@dataclass(frozen=True)
class ChannelConstants:
    """Mean and standard deviation of each channel, in the units of the stored pixels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ChannelMoments:
    """The number of some pixels, their mean, and the sum of their squared deviations, float64 (channels,) each."""

    count: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> Self:
        """Return the moments of pixels (rows, columns, channels)."""
        flat = pixels.reshape(-1, pixels.shape[-1])
        mean: NDArray[np.float64] = flat.mean(axis=0, dtype=np.float64)
        squares: NDArray[np.float64] = flat.var(axis=0, dtype=np.float64) * len(flat)
        return cls(len(flat), mean, squares)

    def __add__(self, other: ChannelMoments) -> ChannelMoments:
        """Return the moments of the pixels of both."""
        # Chan, Golub and LeVeque: this joins two means and two sums of squares without cancellation.
        count, apart = self.count + other.count, other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * self.count * other.count / count
        return ChannelMoments(count, self.mean + apart * other.count / count, squares)

    def constants(self, kind: str) -> ChannelConstants:
        """Return mean and standard deviation; the latter is at least one step of the pixel type ``kind``."""
        std = np.maximum(np.sqrt(self.squares / self.count), smallest_deviation(kind, self.mean))
        return ChannelConstants(tuple(map(float, self.mean)), tuple(map(float, std)))


def smallest_deviation(kind: str, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest standard deviation of each channel by which pixels of a type are divided."""
    return np.full_like(mean, _FLOORS[kind]) if kind in _FLOORS else np.maximum(np.abs(mean) * 1e-6, 1e-12)


class NormalisationChange(NamedTuple):
    """A factor and then a summand for each channel of a normalised picture."""

    scale: tuple[float, ...]
    shift: tuple[float, ...]


@dataclass(frozen=True)
class Normalisation:
    """Constants of the training pictures, one set for each of their pixel types.

    Attributes
    ----------
    channels: image channels of the network.
    constants: the constants of each pixel type: ``uint8``, ``uint16`` or ``float32``.
    by: what pictures are normalised by: these constants (``set``), or each by its own (``picture``). The latter
        needs ``of_picture`` first, because a window of a picture has other constants than the picture.
    """

    channels: int
    constants: Mapping[str, ChannelConstants]
    by: NormalisedBy = "set"

    def of_picture(self, image: Pixels, name: str) -> Normalisation:
        """Return the normalisation of a picture and of its windows, which is by ``set``.

        Where each picture is normalised by its own constants, it is read once, a part at a time.

        Parameters
        ----------
        image: (rows, columns, channels) in its stored pixel type, as a whole.
        name: the file's name, for messages.

        Raises
        ------
        DataError: there are no constants for the number of channels.
        """
        if self.by == "set":
            return self
        own: list[ChannelMoments] = []
        kind = ""
        for region in reading_parts(image):
            pixels = self.match_channels(image[region], name)
            kind = str(pixels.dtype.newbyteorder("="))
            own.append(ChannelMoments.of(pixels))
        known = kind in self.constants  # other types are refused by apply
        constants = {kind: reduce(ChannelMoments.__add__, own).constants(kind)} if known else self.constants
        return Normalisation(self.channels, constants)

    def apply(self, image: NDArray[Any], name: str) -> NDArray[np.float32]:
        """Normalise a picture or a window of it.

        Parameters
        ----------
        image: (rows, columns, channels) in its stored pixel type.
        name: the file's name, for messages.

        Returns
        -------
        float32 (rows, columns, channels): ``(image - mean) / std``.

        Raises
        ------
        DataError: there are no constants for the number of channels or the pixel type.
        """
        assert self.by == "set", "of_picture comes first: a window has other constants than its picture"
        image = self.match_channels(image, name)
        kind = str(image.dtype)
        if kind not in self.constants:
            raise DataError(
                f"{name}: pixels of type {kind}",
                f"{' or '.join(sorted(self.constants))}, as in the training pictures",
                "save the picture with the type and scale of the training pictures, or train on pictures of this type",
            )
        constants = self.constants[kind]
        mean = np.asarray(constants.mean, dtype=np.float32)
        std = np.asarray(constants.std, dtype=np.float32)
        return (image.astype(np.float32) - mean) / std

    def undo(self, pixels: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
        """Return normalised pixels (rows, columns, channels) in the units of a pixel type, unrounded."""
        assert self.by == "set", "of_picture comes first: each picture has other constants"
        constants = self.constants[kind]
        return pixels * np.asarray(constants.std, np.float32) + np.asarray(constants.mean, np.float32)

    def of_types(self, kinds: Iterable[str]) -> Normalisation:
        """Return the normalisation for these pixel types only. Raises KeyError for a type without constants."""
        return Normalisation(self.channels, {kind: self.constants[kind] for kind in kinds}, self.by)

    def change_to(self, other: Normalisation) -> NormalisationChange | None:
        """Return how a picture that is normalised by these constants becomes the same picture normalised by others.

        Parameters
        ----------
        other: has constants for at least these channels and pixel types, and the same ``by``.

        Returns
        -------
        None where each pixel type needs a change of its own, which a network that gets no pixel type cannot make.
        """
        assert self.by == other.by, "no change that all pictures share"
        if self.by == "picture":
            return NormalisationChange((1.0,) * self.channels, (0.0,) * self.channels)
        changes = []
        for kind, own in self.constants.items():
            wanted = other.constants[kind]
            scale = tuple(a / b for a, b in zip(own.std, wanted.std, strict=True))
            shift = tuple((a - b) / std for a, b, std in zip(own.mean, wanted.mean, wanted.std, strict=True))
            changes.append(NormalisationChange(scale, shift))
        first, *others = changes
        return first if all(np.allclose(first, each, rtol=1e-5, atol=1e-5) for each in others) else None

    def match_channels(self, image: NDArray[Any], name: str) -> NDArray[Any]:
        """Convert a picture to the network's number of channels where that loses nothing.

        A grey picture is repeated for a network of three channels. An RGB picture with equal channels is reduced to
        one for a network of one channel.

        Raises
        ------
        DataError: the conversion would lose something.
        """
        channels = image.shape[2]
        if channels == self.channels:
            return image
        if channels == 1 and self.channels == 3:
            return np.repeat(image, 3, axis=2)
        if channels == 3 and self.channels == 1 and (image == image[..., :1]).all():
            return image[..., :1]
        raise DataError(
            f"{name}: {count_text(channels, 'channel')}",
            f"{self.channels}, as in the training pictures",
            "convert the picture to that number of channels, or train on pictures like this one",
        )

    def to_card(self) -> dict[str, Any]:
        """Return it as JSON data, which ``Normalisation.from_card`` reads."""
        return {
            "channels": self.channels,
            "by": self.by,
            "constants": {
                kind: {"mean": list(c.mean), "std": list(c.std)} for kind, c in sorted(self.constants.items())
            },
        }

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Normalisation:
        """Read JSON data of ``Normalisation.to_card``. Raises KeyError, TypeError or ValueError for other data.

        Data without ``by`` are of models whose pictures were all normalised by the constants.
        """
        constants = {
            str(kind): ChannelConstants(tuple(map(float, c["mean"])), tuple(map(float, c["std"])))
            for kind, c in card["constants"].items()
        }
        channels, by = int(card["channels"]), card.get("by", "set")
        if by not in ("set", "picture"):
            raise ValueError(f"normalisation by {by!r}")
        if not constants or any(len(c.mean) != channels or len(c.std) != channels for c in constants.values()):
            raise ValueError("normalisation constants do not fit the channel count")
        numbers = [(m, s) for c in constants.values() for m, s in zip(c.mean, c.std, strict=True)]
        if any(not math.isfinite(mean) or not 0 < std < math.inf for mean, std in numbers):
            raise ValueError("normalisation constants are not finite, or a deviation is not positive")
        return cls(channels, constants, by)
