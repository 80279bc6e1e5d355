"""What is known of a network's layers, as records; ``unpool.nets.explain.explanation`` reads them off a module."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from unpool.geometry import Sides
from unpool.nets.explain.layer_names import Side
from unpool.shapes import Size

LayerKind = Literal[
    "normalisation", "convolution", "pooling", "unpooling", "up-convolution", "interpolation", "add", "concatenate"
]


@dataclass(frozen=True)
class LayerFacts:
    """One layer of a network.

    Attributes
    ----------
    name: where it is in the module; ``paper_name`` is what the paper or its release calls it.
    side, stage: where it stands; stages count from 1 at the picture downwards, the bottom is the one below.
    across: whether it works on what crosses from encoder to decoder, and not on the path through the bottom.
    rows, columns, channels: of its output.
    kernel: side of its window, 0 where it has none.
    after: what follows it: norm, ReLU, dropout.
    parameters: its own and its norm's; ``trained`` says whether training changes its own.
    receptive_field: pixels of the picture that one of its output pixels sees, along one side.
    multiply_adds: of one picture.
    bytes_output: of its output in float32.
    bytes_kept: what training keeps from it on for the backward pass, and no layer before it kept, in float32; mostly
        its input.
    bytes_held: what prediction holds while it works: its input, its output, and what waits for the decoder.
    """

    name: str
    paper_name: str
    side: Side
    stage: int
    kind: LayerKind
    across: bool
    rows: int
    columns: int
    channels: int
    kernel: int
    after: tuple[str, ...]
    parameters: int
    trained: bool
    receptive_field: int
    multiply_adds: int
    bytes_output: int
    bytes_kept: int
    bytes_held: int

    @property
    def size(self) -> Size:
        """Rows and columns of its output."""
        return self.rows, self.columns


@dataclass(frozen=True)
class SkipFacts:
    """What crosses to one decoder stage.

    Attributes
    ----------
    stage: of the decoder, which has the number of the encoder stage it mirrors.
    what: ``positions`` of the maxima, or feature ``maps``.
    origin: where it leaves the encoder, as a place of dropout is named: ``encoder4``, ``pool4``.
    channels, rows, columns: of it; positions count windows, maps are as the encoder made them, before the crop.
    crop: pixels cut from the maps before and after, of rows and of columns.
    joined: ``add`` or ``concat`` for maps, ``index`` for positions.
    stored_bytes: of one picture, in float32 or at 2 bits a window.
    """

    stage: int
    what: Literal["positions", "maps"]
    origin: str
    channels: int
    rows: int
    columns: int
    crop: tuple[Sides, Sides]
    joined: Literal["index", "add", "concat"]
    stored_bytes: int


@dataclass(frozen=True)
class Explanation:
    """A network, layer by layer.

    Attributes
    ----------
    size, output: rows and columns of the picture and of the logits.
    layers: in the order in which they work.
    parameters: all weights; ``fixed`` of them are not trained; ``kernels`` of them are convolution kernels, the others
        biases and norms.
    """

    name: str
    in_channels: int
    classes: int
    size: Size
    output: Size
    layers: tuple[LayerFacts, ...]
    skips: tuple[SkipFacts, ...]
    parameters: int
    fixed: int
    kernels: int

    @property
    def trainable(self) -> int:
        """Parameters that training changes."""
        return self.parameters - self.fixed

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Every size on the way from the picture through the bottom to the logits, each where it changes."""
        passed = [self.size, *(layer.size for layer in self.layers if not layer.across), self.output]
        return tuple(size for k, size in enumerate(passed) if k == 0 or size != passed[k - 1])

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
        return sum(layer.bytes_kept for layer in self.layers)

    @property
    def prediction_bytes(self) -> int:
        """The most that prediction of one picture holds at once, without weights, in float32."""
        return max(layer.bytes_held for layer in self.layers)

    @property
    def skip_bytes(self) -> int:
        """What is stored for all skips of one picture."""
        return sum(skip.stored_bytes for skip in self.skips)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        totals = ("trainable", "multiply_adds", "receptive_field", "training_bytes", "prediction_bytes", "skip_bytes")
        return {**asdict(self), "sizes": list(self.sizes), **{name: getattr(self, name) for name in totals}}
