"""Ensembles: several trained networks as one, whose probabilities are the mean of its members' probabilities.

The members see the same picture, in a size that all of them take: where a member alone would take a smaller one, it
now sees more mirrored pixels beyond the edge. Each has its own normalisation, so a factor and a summand for each
channel bring the ensemble's input to the member's. Members that disagree give a mean of low confidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Literal, Self

import torch
from pydantic import Field, SerializeAsAny, model_validator
from torch import Tensor, nn

from unpool.geometry import Border
from unpool.nets.explain.records import LayerPart, LayerPlace
from unpool.nets.network import SEARCH_LIMIT, Network, NetworkStructure

MOST_MEMBERS = 64


class EnsembleStructure(NetworkStructure):
    """The structure of an ensemble.

    Attributes
    ----------
    members: structures of other families, at least two.
    norm: each member has its own.
    """

    kind: Literal["ensemble"] = "ensemble"
    members: tuple[SerializeAsAny[NetworkStructure], ...] = Field(min_length=2, max_length=MOST_MEMBERS)
    norm: Literal["of each member"] = "of each member"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if any(isinstance(member, EnsembleStructure) for member in self.members):
            raise ValueError("an ensemble in an ensemble; give the members of the inner one")
        if not any(self.output_size(size) for size in range(1, SEARCH_LIMIT)):
            raise ValueError(
                "no size of a picture gives the outputs of all members the same size; "
                "networks that keep the size of the picture; join networks of one padding"
            )
        return self

    @property
    def stride(self) -> int:
        """Pixels after which the smallest feature maps of all members begin together."""
        return math.lcm(*(member.stride for member in self.members))

    @property
    def detail(self) -> int:
        """Pixels of the picture between neighbours of the finest maps of any member."""
        return min(member.detail for member in self.members)

    @property
    def halo(self) -> Border | None:
        """Input pixels that an aligned block of output reads, in any member, before its first and after its last pixel.

        A block that is aligned to the ensemble's stride is aligned to each member's.
        """
        halos = [member.halo for member in self.members]
        known = [halo for halo in halos if halo is not None]
        if len(known) < len(halos):
            return None
        return Border(max(halo.before for halo in known), max(halo.after for halo in known))

    @property
    def skip_origins(self) -> dict[int, str]:
        """Nothing: an ensemble has no decoder of its own."""
        return {}

    @property
    def looks_at_everything(self) -> bool:
        """Whether each output pixel depends on the whole input in any member."""
        return any(member.looks_at_everything for member in self.members)

    @property
    def unpools(self) -> bool:
        """Whether the decoder of any member uses pooling indices."""
        return any(member.unpools for member in self.members)

    def output_size(self, size: int) -> int | None:
        """Return the output size of all members, or None where one cannot run or their outputs differ.

        Outputs of one size lie at the same place of the picture; others would lie at places that depend on the size.
        """
        first, *others = self.members
        output = first.output_size(size)
        return output if all(member.output_size(size) == output for member in others) else None


class Ensemble(Network):
    """Several networks as one; its logits are the logarithms of the mean of their probabilities, in float32.

    Parameters
    ----------
    members: networks of the structures, with the same channels and classes.

    Attributes
    ----------
    scale, shift: float32 (members, channels, 1, 1); a member gets the input times its ``scale`` plus its ``shift``.
    """

    structure: EnsembleStructure
    scale: Tensor
    shift: Tensor

    def __init__(self, structure: EnsembleStructure, members: Sequence[Network]) -> None:
        super().__init__(structure, members[0].in_channels, members[0].classes)
        self.members = nn.ModuleList(members)
        shape = (len(members), self.in_channels, 1, 1)
        self.register_buffer("scale", torch.ones(shape))
        self.register_buffer("shift", torch.zeros(shape))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of a batch. Raises UsageError for a batch that not every member can take."""
        self.require_input(image)
        each = (  # a generator, so that the maps of one member are freed before the next one runs
            torch.log_softmax(member(image * scale + shift), dim=1, dtype=torch.float32)
            for member, scale, shift in zip(self.members, self.scale, self.shift, strict=True)
        )
        return reduce(torch.logaddexp, each) + -math.log(len(self.members))

    def place_of(self, path: str) -> LayerPlace:
        """Return where the layer with this module path stands in its member."""
        member, inner = self._member(path)
        return member.place_of(inner)

    def paper_name(self, path: str, part: LayerPart, index: int = 0) -> str:
        """Return the name that the paper of its member gives to a layer."""
        member, inner = self._member(path)
        return member.paper_name(inner, part, index)

    def batch_norms(self) -> dict[str, str]:
        """Return the module path of each batch normalisation, with that of the convolution that it follows."""
        return {
            f"members.{number}.{norm}": f"members.{number}.{convolution}"
            for number, member in enumerate(self.networks)
            for norm, convolution in member.batch_norms().items()
        }

    @property
    def networks(self) -> list[Network]:
        """The members."""
        return [member for member in self.members if isinstance(member, Network)]

    def _member(self, path: str) -> tuple[Network, str]:
        _, number, inner = path.split(".", 2)
        return self.networks[int(number)], inner
