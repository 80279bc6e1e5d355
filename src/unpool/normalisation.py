"""Normalisation constants: what every picture is shifted and scaled by before a network sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError


@dataclass(frozen=True)
class ChannelConstants:
    """Mean and standard deviation of each channel, in the units of the stored pixels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Normalisation:
    """Constants of the training split, one set for each pixel type found there.

    Attributes
    ----------
    channels: image channels the network takes.
    constants: pixel type (``uint8``, ``uint16``, ``float32``) to its constants; a set that mixes 8- and 16-bit
        pictures has both.
    """

    channels: int
    constants: Mapping[str, ChannelConstants]

    def apply(self, image: NDArray[Any], source: str) -> NDArray[np.float32]:
        """Normalise a picture.

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in.
        source: the file's name, for messages.

        Returns
        -------
        float32 (rows, columns, channels): ``(image - mean) / std``.

        Raises
        ------
        DataError: the channel count or pixel type is not one the constants were made for.
        """
        image = self.match_channels(image, source)
        kind = str(image.dtype)
        if kind not in self.constants:
            raise DataError(
                f"{source}: pixels of type {kind}",
                f"{' or '.join(sorted(self.constants))}, as in the training pictures",
                "convert the picture with the same scaling as the training pictures, or train on pictures of this type",
            )
        found = self.constants[kind]
        mean = np.asarray(found.mean, dtype=np.float32)
        std = np.asarray(found.std, dtype=np.float32)
        return (image.astype(np.float32) - mean) / std

    def match_channels(self, image: NDArray[Any], source: str) -> NDArray[Any]:
        """Bring a picture to the network's channels where that loses nothing, and refuse it otherwise.

        A grey picture is repeated for a three-channel network; an RGB picture whose channels are equal gives its
        one channel to a grey network.
        """
        found = image.shape[2]
        if found == self.channels:
            return image
        if found == 1 and self.channels == 3:
            return np.repeat(image, 3, axis=2)
        if found == 3 and self.channels == 1 and (image == image[..., :1]).all():
            return image[..., :1]
        raise DataError(
            f"{source}: {found} channels",
            f"{self.channels}, as in the training pictures",
            "convert the picture to the training pictures' channels, or train on pictures like this one",
        )

    def to_card(self) -> dict[str, Any]:
        """The constants as plain JSON data; ``from_card`` reads them back."""
        return {
            "channels": self.channels,
            "constants": {
                kind: {"mean": list(c.mean), "std": list(c.std)} for kind, c in sorted(self.constants.items())
            },
        }

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Normalisation:
        """Read constants written by ``to_card``. Raises KeyError, TypeError or ValueError on foreign data."""
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
