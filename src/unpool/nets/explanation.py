"""What a network is made of, read off the module itself while an empty picture passes through it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from unpool.nets.encoder_decoder import EncoderDecoder
from unpool.nets.fcn import FCN

Network = EncoderDecoder | FCN
Side = Literal["encoder", "bottom", "decoder", "head"]
Kind = Literal["convolution", "pooling", "unpooling", "up-convolution", "interpolation", "add", "concatenate"]

NUMBER_BYTES = 4
"""Bytes of a float32 value."""


@dataclass(frozen=True)
class LayerFacts:
    """One layer of a network.

    Attributes
    ----------
    name: where it is in the module; ``paper_name`` is what the paper or its release calls it.
    side, stage: where it stands; stages count from 1 at the picture downwards, the bottom is the one below.
    rows, columns, channels: of its output.
    kernel: side of its window, 0 where it has none.
    after: what follows it: norm, ReLU, dropout.
    parameters: its own and its norm's.
    receptive_field: pixels of the picture that one of its output pixels sees, along one side.
    multiply_adds: of one picture.
    bytes_output: of its output in float32.
    bytes_kept: what training keeps of it for the backward pass, in float32.
    """

    name: str
    paper_name: str
    side: Side
    stage: int
    kind: Kind
    rows: int
    columns: int
    channels: int
    kernel: int
    after: tuple[str, ...]
    parameters: int
    receptive_field: int
    multiply_adds: int
    bytes_output: int
    bytes_kept: int


@dataclass(frozen=True)
class SkipFacts:
    """What crosses from one encoder stage to its decoder stage, and is stored until then.

    ``crop`` is the pixels cut from each side of it; ``stored_bytes`` what it takes for one picture.
    """

    stage: int
    what: Literal["positions", "maps"]
    channels: int
    rows: int
    columns: int
    crop: tuple[int, int]
    stored_bytes: int


@dataclass(frozen=True)
class Explanation:
    """A network, layer by layer.

    Attributes
    ----------
    size, output: rows and columns of the picture and of the logits.
    parameters: all trainable and fixed weights; ``fixed`` of them are not trained.
    """

    name: str
    in_channels: int
    classes: int
    size: tuple[int, int]
    output: tuple[int, int]
    layers: tuple[LayerFacts, ...]
    skips: tuple[SkipFacts, ...]
    parameters: int
    fixed: int

    @property
    def multiply_adds(self) -> int:
        """Of one picture."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def receptive_field(self) -> int:
        """Pixels of the picture that one logit sees, along one side."""
        return self.layers[-1].receptive_field

    @property
    def training_bytes(self) -> int:
        """What training keeps of one picture for the backward pass, without weights, in float32."""
        return sum(layer.bytes_kept for layer in self.layers) + sum(
            skip.stored_bytes for skip in self.skips if skip.what == "positions"
        )

    @property
    def prediction_bytes(self) -> int:
        """The most that is alive at once in prediction of one picture: a layer's input and output and the skips."""
        stored = sum(skip.stored_bytes for skip in self.skips)
        pairs = zip(self.layers, self.layers[1:], strict=False)
        return stored + max((a.bytes_output + b.bytes_output for a, b in pairs), default=0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            **asdict(self),
            "multiply_adds": self.multiply_adds,
            "receptive_field": self.receptive_field,
            "training_bytes": self.training_bytes,
            "prediction_bytes": self.prediction_bytes,
        }
