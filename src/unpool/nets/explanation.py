"""What a network is made of, read off the module itself while an empty picture passes through it.

The passage is on torch's meta device, where tensors have a shape and no values: a network of 134 million parameters
costs nothing to explain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unpool.errors import UsageError
from unpool.geometry import (
    BILINEAR,
    BLOCKS,
    Layer,
    Sides,
    Transposed,
    Window,
    centre_crop,
    multiply_adds,
    pooled_size,
    receptive_field,
    stored_bytes,
)
from unpool.nets.blocks import Residual
from unpool.nets.encoder_decoder import EncoderDecoder, EncoderStage, Join, MaxPooling, UpSampling
from unpool.nets.fcn import FCN, TRUNK, FCNStructure
from unpool.nets.naming import Part, Place, Side, paper_name
from unpool.nets.sizes import AnyStructure, output_size

Network = EncoderDecoder | FCN
Kind = Literal[
    "normalisation", "convolution", "pooling", "unpooling", "up-convolution", "interpolation", "add", "concatenate"
]
Size = tuple[int, int]
"""Rows and columns."""

NUMBER_BYTES = 4
"""Bytes of a float32 value."""

POSITION_BITS = 2
"""Bits of a position in a 2x2 window."""

_PICTURES = 2  # that pass at once: batch normalisation of a single value needs a second picture
_REACH = 1024  # how far below a size the next legal one is looked for


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
    kind: Kind
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
    channels, rows, columns: of it; positions count windows, maps are as the encoder made them, before the crop.
    crop: pixels cut from the maps before and after, of rows and of columns.
    joined: ``add`` or ``concat`` for maps, ``index`` for positions.
    stored_bytes: of one picture, in float32 or at 2 bits a window.
    """

    stage: int
    what: Literal["positions", "maps"]
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


def explain(network: Network, size: Size, name: str) -> Explanation:
    """Explain a network for pictures of ``size`` (rows, columns).

    The network is not touched: an empty one of its structure is made and read.

    Raises
    ------
    UsageError: a size the network cannot run on, with the nearest it can.
    """
    require_legal(network.structure, size, name)
    empty = _empty_copy(network)
    reading = _Reading(empty)
    with reading.saving():
        logits = empty(torch.empty(_PICTURES, network.in_channels, *size, device="meta"))
    return Explanation(
        name=name,
        in_channels=network.in_channels,
        classes=network.classes,
        size=size,
        output=_size(logits),
        layers=tuple(reading.layers),
        skips=tuple(sorted(reading.skips, key=lambda skip: (skip.stage, skip.what))),
        parameters=sum(p.numel() for p in empty.parameters()),
        fixed=sum(p.numel() for p in empty.parameters() if not p.requires_grad),
        kernels=sum(p.numel() for p in empty.parameters() if p.ndim == 4),
    )


def nearest_legal(structure: AnyStructure, size: int) -> tuple[int, ...]:
    """The legal sizes nearest to ``size`` pixels along one axis: itself alone, or the one below and the one above."""
    if output_size(structure, size) is not None:
        return (size,)
    below = next((s for s in range(size - 1, max(size - _REACH, 0), -1) if output_size(structure, s)), None)
    above = next((s for s in range(size + 1, size + _REACH) if output_size(structure, s)), None)
    return tuple(s for s in (below, above) if s is not None)


def require_legal(structure: AnyStructure, size: Size, name: str) -> None:
    """Refuse a size that a network cannot run on, naming the nearest that it can. Raises UsageError."""
    if all(side > 0 and output_size(structure, side) for side in size):
        return
    choices = [nearest_legal(structure, max(side, 1)) for side in size]
    if not all(choices):
        raise UsageError(
            f"a picture of {size[0]} x {size[1]} pixels for {name}",
            "a structure with a legal size nearby",
            "use fewer stages, or padding=same",
        )
    words = [" or ".join(map(str, each)) for each in choices]
    nearest = sorted({tuple(each[min(k, len(each) - 1)] for each in choices) for k in (0, 1)})
    raise UsageError(
        f"a picture of {size[0]} x {size[1]} pixels for {name}",
        f"sizes it can run on; the nearest are {words[0]} rows and {words[1]} columns",
        "give " + " or ".join(f"--size {rows}x{columns}" for rows, columns in nearest),
    )


def _empty_copy(network: Network) -> Network:
    with torch.device("meta"):
        empty = type(network)(network.structure, network.in_channels, network.classes)  # type: ignore[arg-type]
    for parameter, original in zip(empty.parameters(), network.parameters(), strict=True):
        parameter.requires_grad_(original.requires_grad)
    return empty.train()


_FOLLOWERS: dict[type[nn.Module], str] = {
    nn.BatchNorm2d: "batch norm",
    nn.GroupNorm: "group norm",
    nn.InstanceNorm2d: "instance norm",
    nn.ReLU: "ReLU",
    nn.Dropout: "dropout",
}

_FCN_PLACES: dict[str, tuple[Side, int]] = {
    **{name: ("encoder", stage) for stage, names in enumerate(TRUNK, 1) for name in names},
    **{name: ("bottom", len(TRUNK) + 1) for name in ("fc6", "fc7", "score_fr")},
    **{name: ("decoder", 4) for name in ("upscore2", "score_pool4")},
    **{name: ("decoder", 3) for name in ("upscore_pool4", "score_pool3")},
    **{name: ("head", 1) for name in ("upscore", "upscore16", "upscore8")},
}


class _Reading:
    """Writes layers down as they work; for one passage of one network on the meta device."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layers: list[LayerFacts] = []
        self.skips: list[SkipFacts] = []
        self.path: list[Layer] = []  # through the bottom, as far as it has come
        self.paths: dict[str, list[Layer]] = {}  # to where maps may leave it: ``encoder1``, ``pool1``
        self.waiting: dict[tuple[str, int], int] = {}  # bytes that wait for their use
        self.counts: Counter[tuple[Side, int]] = Counter()  # convolutions of each stage so far
        self.known = {p.untyped_storage()._cdata: p.untyped_storage() for p in network.parameters()}
        self.unclaimed = 0  # bytes saved for the backward pass since the last layer
        for path, module in network.named_modules():
            self._attach(path, module)

    def _attach(self, path: str, module: nn.Module) -> None:
        watched: dict[type[nn.Module], Callable[..., None]] = {
            nn.Conv2d: self._convolution, nn.ConvTranspose2d: self._convolution, MaxPooling: self._pooling,
            EncoderStage: self._crossing, Join: self._join, Residual: self._residual_end,
            nn.LocalResponseNorm: self._input_norm, **dict.fromkeys(_FOLLOWERS, self._follower),
        }  # fmt: skip
        if isinstance(module, Residual):
            module.inner.register_forward_pre_hook(partial(self._residual_begin, path))
            module.inner.register_forward_hook(partial(self._residual_end, path))
        elif isinstance(module, UpSampling):
            module.register_forward_pre_hook(partial(self._up, path))
        elif type(module) in watched:
            module.register_forward_hook(partial(watched[type(module)], path))

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Count what autograd saves meanwhile."""
        with torch.autograd.graph.saved_tensors_hooks(self._save, lambda tensor: tensor):
            yield

    def _save(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        maps = tensor.ndim == 4 or not tensor.is_floating_point()  # not the few numbers of a norm
        if maps and storage._cdata not in self.known:
            self.known[storage._cdata] = storage  # kept, so that no later one takes its address
            self.unclaimed += storage.nbytes() // _PICTURES
        return tensor.detach()

    def _add(
        self, name: str, place: Place | None, kind: Kind, taken: Tensor, output: tuple[int, Size], *,
        layer: Layer | None = None, across: bool = False, kernel: int = 0, own: nn.Module | None = None, work: int = 0,
    ) -> None:  # fmt: skip
        """Write a layer down; ``output`` is its channels and size."""
        side, stage = (place.side, place.stage) if place else _FCN_PLACES[name]
        path = self.paths[self._leaving(stage)] if across else self.path
        path = [*path, layer] if layer else path
        if not across:
            self.path = path
        channels, size = output
        numbers = list(own.parameters()) if own else []
        made = stored_bytes(channels, size)
        structure = self.network.structure
        self.layers.append(
            LayerFacts(
                name=name,
                paper_name=paper_name(structure, place) if place and isinstance(structure, Structure_) else name,
                side=side,
                stage=stage,
                kind=kind,
                across=across,
                rows=size[0],
                columns=size[1],
                channels=channels,
                kernel=kernel,
                after=(),
                parameters=sum(p.numel() for p in numbers),
                trained=any(p.requires_grad for p in numbers),
                receptive_field=receptive_field(path) if path else 1,
                multiply_adds=work,
                bytes_output=made,
                bytes_kept=self._claim(),
                bytes_held=_bytes(taken) + made + sum(self.waiting.values()),
            )
        )
