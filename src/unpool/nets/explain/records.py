"""Facts about a network's layers, as records; ``unpool.nets.explain.reading`` collects them from a module."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from unpool.geometry import Border
from unpool.shapes import Size

Side = Literal["encoder", "bottom", "decoder", "head"]
LayerPart = Literal[
    "norm", "stem", "convolution", "pooling", "up", "up-convolution", "residual", "squeeze", "join", "classifier"
]
LayerKind = Literal[
    "normalisation", "convolution", "pooling", "unpooling", "up-convolution", "interpolation", "add", "concatenate"
]


@dataclass(frozen=True)
class LayerPlace:
    """The place of a layer in its network.

    Attributes
    ----------
    stage: counts from 1 at the picture downwards.
    part: the role of a convolution at this place.
    origin: where the maps that it works on left the encoder (``pool3``), for a convolution within a skip connection;
        empty on the path through the bottom.
    """

    side: Side
    stage: int
    part: LayerPart = "convolution"
    origin: str = ""


@dataclass(frozen=True)
class LayerFacts:
    """One layer of a network. Bytes are of one picture, for training in float32.

    Attributes
    ----------
    name: module path; ``paper_name`` is the name in the paper or its release.
    side, stage: where the layer stands; stages count from 1 at the picture downwards, the bottom is the last.
    across: whether the layer works on a skip connection, and not on the path through the bottom.
    rows, columns, channels: of its output.
    kernel: side of its window in pixels, 0 where it has none.
    stride: pixels from one window to the next: of its input, or of its output where it makes maps larger.
    after: operations that follow it: normalisation, ReLU, dropout.
    parameters: its own and those of its normalisation; ``trained`` tells whether training changes its own.
    receptive_field: pixels of the picture, along one side, that one of its output pixels depends on.
    multiply_adds: for one picture.
    bytes_output: of its output.
    bytes_kept: stored at this layer for the backward pass of training, without those that earlier layers store.
    bytes_held: memory in prediction while the layer works: its input, its output, and the maps
        that the decoder needs later.
    merges_skip: whether the layer adds or concatenates a skip connection.
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
    stride: int = 1
    merges_skip: bool = False

    @property
    def size(self) -> Size:
        """Rows and columns of the output."""
        return self.rows, self.columns


@dataclass(frozen=True)
class SkipFacts:
    """The skip connection to one decoder stage.

    Attributes
    ----------
    stage: of the decoder; it is the number of the encoder stage that this stage mirrors.
    what: ``positions`` (pooling indices) or ``maps`` (feature maps).
    origin: place where it leaves the encoder, written like a place of dropout: ``encoder4``, ``pool4``.
    channels, rows, columns: of its maps before the crop; of pooling indices, the number of pooling windows.
    crop: pixels cut from the maps, from rows and from columns.
    joined: ``add`` or ``concat`` for maps, ``index`` for pooling indices.
    stored_bytes: for one picture, in float32 or at 2 bits per pooling window.
    """

    stage: int
    what: Literal["positions", "maps"]
    origin: str
    channels: int
    rows: int
    columns: int
    crop: tuple[Border, Border]
    joined: Literal["index", "add", "concat"]
    stored_bytes: int

    @property
    def is_cropped(self) -> bool:
        """Whether pixels are cut from the maps before they are merged."""
        return any(any(border) for border in self.crop)

    @property
    def crop_text(self) -> str:
        """Pixels cut on each side, as text: one number where all four are equal."""
        (top, bottom), (left, right) = self.crop
        if top == bottom == left == right:
            return str(top)
        return f"{top}, {bottom} rows; {left}, {right} columns"


@dataclass(frozen=True)
class Explanation:
    """The facts about a network, layer by layer.

    Attributes
    ----------
    size, output: rows and columns of the picture and of the logits.
    layers: in the order in which they work.
    parameters: number of all weights; ``fixed`` of them are not trained; ``kernels`` of them are in convolution
        kernels, the others are biases and normalisations.
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
        """Number of parameters that training changes."""
        return self.parameters - self.fixed

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Sizes from the picture through the bottom to the logits, each where it changes."""
        passed = [self.size, *(layer.size for layer in self.layers if not layer.across), self.output]
        return tuple(size for k, size in enumerate(passed) if k == 0 or size != passed[k - 1])

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one picture."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def receptive_field(self) -> int:
        """Pixels of the picture, along one side, that one logit depends on."""
        return max(layer.receptive_field for layer in self.layers)

    @property
    def training_bytes(self) -> int:
        """Bytes of one picture that training stores for the backward pass in float32, without weights."""
        return sum(layer.bytes_kept for layer in self.layers)

    @property
    def prediction_bytes(self) -> int:
        """Largest memory in prediction of one picture in one piece, in bytes, in float32, without weights."""
        return max(layer.bytes_held for layer in self.layers)

    @property
    def skip_bytes(self) -> int:
        """Bytes stored for all skip connections of one picture."""
        return sum(skip.stored_bytes for skip in self.skips)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        totals = ("trainable", "multiply_adds", "receptive_field", "training_bytes", "prediction_bytes", "skip_bytes")
        return {**asdict(self), "sizes": list(self.sizes), **{name: getattr(self, name) for name in totals}}
