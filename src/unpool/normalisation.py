"""Normalisation: the mean and the standard deviation by which pictures are shifted and scaled for a network.

``unpool.data`` computes it and the segmenter keeps it, so it stands below both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.wording import count_text


@dataclass(frozen=True)
class ChannelConstants:
    """Mean and standard deviation of each channel, in the units of the stored pixels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


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
    """

    channels: int
    constants: Mapping[str, ChannelConstants]

    def apply(self, image: NDArray[Any], source: str) -> NDArray[np.float32]:
        """Normalise a picture.

        Parameters
        ----------
        image: (rows, columns, channels) in its stored pixel type.
        source: the file's name, for messages.

        Returns
        -------
        float32 (rows, columns, channels): ``(image - mean) / std``.

        Raises
        ------
        DataError: there are no constants for the number of channels or the pixel type.
        """
        image = self.match_channels(image, source)
        kind = str(image.dtype)
        if kind not in self.constants:
            raise DataError(
                f"{source}: pixels of type {kind}",
                f"{' or '.join(sorted(self.constants))}, as in the training pictures",
                "save the picture with the type and scale of the training pictures, or train on pictures of this type",
            )
        constants = self.constants[kind]
        mean = np.asarray(constants.mean, dtype=np.float32)
        std = np.asarray(constants.std, dtype=np.float32)
        return (image.astype(np.float32) - mean) / std

    def undo(self, pixels: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
        """Return normalised pixels (rows, columns, channels) in the units of a pixel type, unrounded."""
        constants = self.constants[kind]
        return pixels * np.asarray(constants.std, np.float32) + np.asarray(constants.mean, np.float32)

    def of_types(self, kinds: Iterable[str]) -> Normalisation:
        """Return the normalisation for these pixel types only. Raises KeyError for a type without constants."""
        return Normalisation(self.channels, {kind: self.constants[kind] for kind in kinds})

    def change_to(self, other: Normalisation) -> NormalisationChange | None:
        """Return how a picture that is normalised by these constants becomes the same picture normalised by others.

        Parameters
        ----------
        other: has constants for at least these channels and pixel types.

        Returns
        -------
        None where each pixel type needs a change of its own, which a network that gets no pixel type cannot make.
        """
        changes = []
        for kind, own in self.constants.items():
            wanted = other.constants[kind]
            scale = tuple(a / b for a, b in zip(own.std, wanted.std, strict=True))
            shift = tuple((a - b) / std for a, b, std in zip(own.mean, wanted.mean, wanted.std, strict=True))
            changes.append(NormalisationChange(scale, shift))
        first, *others = changes
        return first if all(np.allclose(first, each, rtol=1e-5, atol=1e-5) for each in others) else None

    def match_channels(self, image: NDArray[Any], source: str) -> NDArray[Any]:
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
            f"{source}: {count_text(channels, 'channel')}",
            f"{self.channels}, as in the training pictures",
            "convert the picture to that number of channels, or train on pictures like this one",
        )

    def to_card(self) -> dict[str, Any]:
        """Return the constants as JSON data, which ``Normalisation.from_card`` reads."""
        return {
            "channels": self.channels,
            "constants": {
                kind: {"mean": list(c.mean), "std": list(c.std)} for kind, c in sorted(self.constants.items())
            },
        }

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Normalisation:
        """Read JSON data of ``Normalisation.to_card``. Raises KeyError, TypeError or ValueError for other data."""
        constants = {
            str(kind): ChannelConstants(tuple(map(float, c["mean"])), tuple(map(float, c["std"])))
            for kind, c in card["constants"].items()
        }
        channels = int(card["channels"])
        if not constants or any(len(c.mean) != channels or len(c.std) != channels for c in constants.values()):
            raise ValueError("normalisation constants do not fit the channel count")
        numbers = [(m, s) for c in constants.values() for m, s in zip(c.mean, c.std, strict=True)]
        if any(not math.isfinite(mean) or not 0 < std < math.inf for mean, std in numbers):
            raise ValueError("normalisation constants are not finite, or a deviation is not positive")
        return cls(channels, constants)
