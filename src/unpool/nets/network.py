"""The two parts of every network: its structure, a value that defines it, and its module.

A family of networks (encoder-decoders, FCN) subclasses both classes and stands in ``unpool.nets.families``.
The rest of the package asks these two classes only, and never which family it has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from unpool.errors import UsageError
from unpool.geometry import Border
from unpool.nets.explain.records import LayerPart, LayerPlace

SEARCH_LIMIT = 4096
"""Pixels above and below a size within which a legal size is searched."""


class InputSize(NamedTuple):
    """A legal input size along one axis, and the pixels that its output lacks on each side.

    ``margin`` is negative where the output is larger than the input.
    """

    size: int
    margin: int


class SizeRule(NamedTuple):
    """The legal input sizes along one axis: ``smallest``, ``smallest + step``, ``smallest + 2 * step`` and so on.

    The output of each is ``lost`` pixels smaller. An exported graph computes them when it runs.
    """

    smallest: int
    step: int
    lost: int

    def input_for(self, wanted: int) -> int:
        """Return the smallest legal input whose output has ``wanted`` pixels or more.

        ``wanted`` may be a symbol of a graph that is being exported.
        """
        missing: int = torch.sym_max(wanted + self.lost - self.smallest, 0)  # type: ignore[no-untyped-call]
        return self.smallest + (missing + self.step - 1) // self.step * self.step


class NetworkStructure(BaseModel, ABC):
    """A frozen value that defines a network. Channels and classes are not part of it: they come from the data.

    All sizes are pixels along one axis.

    Attributes
    ----------
    kind: name of the family, a key of ``unpool.nets.families.FAMILIES``.
    norm: normalisation after each convolution: ``none``, ``batch``, ``group`` or ``instance``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    if TYPE_CHECKING:  # each family declares these fields itself, so that its stored form keeps its own order
        kind: str
        norm: str

    @property
    @abstractmethod
    def stride(self) -> int:
        """Pixels of the picture between neighbouring pixels of the smallest feature maps."""

    @property
    @abstractmethod
    def detail(self) -> int:
        """Pixels of the picture between neighbours of the finest maps or pooling indices that reach the logits."""

    @property
    @abstractmethod
    def halo(self) -> Border | None:
        """Input pixels that an aligned block of output reads before its first and after its last pixel.

        Output pixel i and input pixel i lie at the same place of the picture, whatever the padding. None: tiles of
        this network cannot be exact.
        """

    @property
    @abstractmethod
    def skip_origins(self) -> dict[int, str]:
        """Decoder stages that keep feature maps of the encoder, with the place where these leave the encoder.

        A place is ``encoder2`` (after the convolutions of stage 2) or ``pool2`` (after its pooling); ``pool0`` is the
        input of stage 1: the picture, or the maps of a stem.
        """

    @abstractmethod
    def output_size(self, size: int) -> int | None:
        """Return the output size for an input of ``size`` pixels, or None where the network cannot run."""

    @property
    def looks_at_everything(self) -> bool:
        """Whether each output pixel depends on the whole input, because a normalisation takes its mean.

        ``halo`` is then what the convolutions alone read.
        """
        return self.norm in ("group", "instance")

    @property
    def unpools(self) -> bool:
        """Whether the decoder uses pooling indices."""
        return False

    def legal_size(self, size: int) -> int:
        """Return the smallest legal input size at or above ``size``.

        Raises
        ------
        UsageError: there is none within ``SEARCH_LIMIT`` pixels.
        """
        return self._smallest_input(max(size, 1), 1)

    def input_for(self, wanted: int) -> InputSize:
        """Return the smallest legal input of at least ``wanted`` pixels whose output has as many.

        Raises
        ------
        UsageError: there is none within ``SEARCH_LIMIT`` pixels.
        """
        size = self._smallest_input(wanted, wanted)
        return InputSize(size, (size - (self.output_size(size) or 0)) // 2)

    def nearest_legal_sizes(self, size: int) -> tuple[int, ...]:
        """Return ``size`` alone where it is legal, otherwise the nearest legal size below and the nearest above."""
        if self.output_size(size) is not None:
            return (size,)
        below = range(size - 1, max(size - SEARCH_LIMIT, 0), -1)
        nearest = [next((each for each in below if self.output_size(each)), None)]
        nearest += [next((each for each in range(size + 1, size + SEARCH_LIMIT) if self.output_size(each)), None)]
        return tuple(each for each in nearest if each is not None)

    def size_rule(self) -> SizeRule | None:
        """Return the rule that ``input_for`` follows, or None where it follows no rule of this form."""
        smallest, _ = self.input_for(1)
        output = self.output_size(smallest)
        assert output is not None
        rule = SizeRule(smallest, self.legal_size(smallest + 1) - smallest, smallest - output)
        tried = range(1, output + 3 * self.stride)
        return rule if all(rule.input_for(wanted) == self.input_for(wanted).size for wanted in tried) else None

    def _smallest_input(self, start: int, wanted: int) -> int:
        for size in range(start, start + SEARCH_LIMIT):
            output = self.output_size(size)
            if output is not None and output >= wanted:
                return size
        raise UsageError(
            f"no input from {start} to {start + SEARCH_LIMIT} pixels that gives an output of {wanted} pixels or more",
            "a structure that keeps most of the picture",
            "give --set padding=same, or a lower depth",
        )


class Network(nn.Module, ABC):
    """A network for semantic segmentation.

    Input float (N, in_channels, H, W); output logits (N, classes, H', W') with the sizes that ``structure`` gives.

    Parameters
    ----------
    structure: the value that defines the network.
    in_channels: channels of the picture.
    classes: number of classes, the channels of the output.
    """

    def __init__(self, structure: NetworkStructure, in_channels: int, classes: int) -> None:
        super().__init__()
        self.structure = structure
        self.in_channels = in_channels
        self.classes = classes

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of a batch. Raises UsageError for a batch that the network cannot take."""

    @abstractmethod
    def place_of(self, path: str) -> LayerPlace:
        """Return where the layer with this module path stands in the network."""

    @abstractmethod
    def paper_name(self, path: str, part: LayerPart, index: int = 0) -> str:
        """Return the name that the paper or its release gives to a layer.

        Parameters
        ----------
        path: of the module.
        index: number of a convolution within its stage, from 1.
        """

    def batch_norms(self) -> dict[str, str]:
        """Return the module path of each batch normalisation, with that of the convolution that it follows.

        This default serves networks whose batch normalisations follow their convolutions in an ``nn.Sequential``.
        """
        return {
            f"{path}.{number}": f"{path}.{number - 1}"
            for path, module in self.named_modules()
            if isinstance(module, nn.Sequential)
            for number, layer in enumerate(module)
            if isinstance(layer, nn.BatchNorm2d)
        }

    def require_input(self, image: Tensor) -> None:
        """Raise UsageError for a batch of another shape, other channels or a size that is not legal."""
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise UsageError(
                f"a network input of shape {tuple(image.shape)}",
                f"(N, {self.in_channels}, rows, columns)",
                "give a batch of pictures with the channels the network was made for",
            )
        if torch.compiler.is_exporting():
            return  # sizes are symbols there, and the graph before the network makes them legal
        rows, columns = int(image.shape[2]), int(image.shape[3])
        nearest = (self.structure.legal_size(rows), self.structure.legal_size(columns))
        if nearest != (rows, columns):
            raise UsageError(
                f"a picture of {rows} x {columns} pixels",
                "a size that every layer of this network can take",
                f"pad the picture to {nearest[0]} x {nearest[1]}",
            )
