"""What a network is made of, read off the module itself while an empty picture passes through it.

The passage is on torch's meta device, where tensors have a shape and no values: a network of 134 million parameters
costs nothing to explain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from unpool.errors import UsageError
from unpool.geometry import (
    BILINEAR,
    BLOCKS,
    Layer,
    Transposed,
    Window,
    centre_crop,
    multiply_adds,
    pooled_size,
    receptive_field,
    stored_bytes,
)
from unpool.nets.blocks import Residual, ScoreConvolution, UpConvolution
from unpool.nets.encoder_decoder import EncoderDecoder, EncoderStage, MaxPooling, Merge, SkipConnection, UpSampling
from unpool.nets.explain.layer_names import LayerPart, paper_name, place_of
from unpool.nets.explain.records import Explanation, LayerFacts, LayerKind, SkipFacts
from unpool.nets.fcn import FCN, TRUNK, FCNStructure
from unpool.nets.sizes import AnyStructure, output_size
from unpool.shapes import Size

Network = EncoderDecoder | FCN

NUMBER_BYTES = 4
"""Bytes of a float32 value."""

POSITION_BITS = 2
"""Bits of a position in a 2x2 window."""

_PICTURES = 2  # that pass at once: batch normalisation of a single value needs a second picture
_REACH = 1024  # how far from a size the next legal one is looked for


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
    with torch.device("meta"), reading.saving():
        logits = empty(torch.empty(_PICTURES, network.in_channels, *size))
    parameters = list(empty.parameters())
    return Explanation(
        name=name,
        in_channels=network.in_channels,
        classes=network.classes,
        size=size,
        output=_size(logits),
        layers=tuple(reading.layers),
        skips=tuple(sorted(reading.skips, key=lambda skip: (skip.stage, skip.what))),
        parameters=sum(p.numel() for p in parameters),
        fixed=sum(p.numel() for p in parameters if not p.requires_grad),
        kernels=sum(p.numel() for p in parameters if p.ndim == 4),
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
    rows, columns = (nearest_legal(structure, max(side, 1)) for side in size)
    found = f"a picture of {size[0]} x {size[1]} pixels for {name}"
    if not rows or not columns:
        raise UsageError(found, "a structure with a legal size nearby", "use fewer stages, or padding=same")
    nearest = dict.fromkeys([(rows[0], columns[0]), (rows[-1], columns[-1])])
    raise UsageError(
        found,
        f"sizes it can run on; the nearest are {_either(rows)} rows and {_either(columns)} columns",
        "give " + " or ".join(f"--size {r}x{c}" for r, c in nearest),
    )


def _either(sizes: tuple[int, ...]) -> str:
    return " or ".join(map(str, sizes))


def _empty_copy(network: Network) -> Network:
    with torch.device("meta"):
        empty: Network = type(network)(network.structure, network.in_channels, network.classes)  # type: ignore[arg-type]
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

_UNCUT = ((0, 0), (0, 0))

_UP_KINDS: dict[str, tuple[LayerKind, Layer]] = {
    "unpool": ("unpooling", BLOCKS),
    "nearest": ("interpolation", BLOCKS),
    "bilinear": ("interpolation", BILINEAR),
}


class _Reading:
    """Writes layers down as they work; for one passage through one network on the meta device."""

    def __init__(self, network: Network) -> None:
        self.structure = network.structure
        self.classes = network.classes
        self.crops = network.crops if isinstance(network, FCN) else ()
        self.layers: list[LayerFacts] = []
        self.skips: list[SkipFacts] = []
        self.path: list[Layer] = []  # through the bottom, as far as it has come
        self.paths: dict[str, list[Layer]] = {}  # to where maps leave it: ``encoder1``, ``pool1``
        self.waiting: dict[str, int] = {}  # bytes that wait for their use
        self.counts: Counter[tuple[str, int]] = Counter()  # convolutions of each stage so far
        self.pooled: dict[int, tuple[int, Size]] = {}  # FCN's pools: maps and size
        self.known = {_address(p): p.untyped_storage() for p in network.parameters()}
        self.unclaimed = 0  # bytes saved for the backward pass since the last layer
        for path, module in network.named_modules():
            self._watch(path, module)

    def _watch(self, path: str, module: nn.Module) -> None:
        watchers: dict[type[nn.Module], Callable[..., None]] = {
            nn.LocalResponseNorm: self._input_norm,
            nn.Conv2d: self._convolution,
            ScoreConvolution: self._convolution,
            nn.ConvTranspose2d: self._convolution,
            UpConvolution: self._convolution,
            MaxPooling: self._pooling,
            EncoderStage: self._leaving,
            Merge: self._join,
            **dict.fromkeys(_FOLLOWERS, self._follower),
        }
        if isinstance(module, Residual):
            module.inner.register_forward_pre_hook(self._residual_begins)
            module.inner.register_forward_hook(partial(self._residual_ends, path))
        elif isinstance(module, UpSampling):
            module.register_forward_pre_hook(partial(self._up, path))
        elif type(module) in watchers:
            module.register_forward_hook(partial(watchers[type(module)], path))

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Count what autograd saves meanwhile."""
        with torch.autograd.graph.saved_tensors_hooks(self._save, lambda tensor: tensor):
            yield

    def _save(self, tensor: Tensor) -> Tensor:
        few = tensor.ndim < 4 and tensor.is_floating_point()  # a norm's mean and deviation
        if not few and _address(tensor) not in self.known:
            storage = tensor.untyped_storage()
            self.known[_address(tensor)] = storage  # held, so that no later one takes its address
            self.unclaimed += storage.nbytes() // _PICTURES
        return tensor.detach()

    def _add(
        self, path: str, part: LayerPart, kind: LayerKind, taken: Tensor, made: tuple[int, Size], *,
        layer: Layer | None = None, across: str = "", kernel: int = 0,
        own: nn.Module | None = None, work: int = 0, index: int = 0,
    ) -> None:  # fmt: skip
        """Write a layer down; ``made`` is its maps and their size, ``across`` where what it works on left the path."""
        place = place_of(self.structure, path, part, index)
        walked = [*(self.paths[across] if across else self.path), *([layer] if layer else [])]
        if not across:
            self.path = walked
        numbers = list(own.parameters()) if own else []
        channels, size = made
        self.layers.append(
            LayerFacts(
                name=path,
                paper_name=paper_name(self.structure, place, path),
                side=place.side,
                stage=place.stage,
                kind=kind,
                across=bool(across),
                rows=size[0],
                columns=size[1],
                channels=channels,
                kernel=kernel,
                after=(),
                parameters=sum(p.numel() for p in numbers),
                trained=any(p.requires_grad for p in numbers),
                receptive_field=receptive_field(walked) if walked else 1,
                multiply_adds=work,
                bytes_output=stored_bytes(channels, size),
                bytes_kept=self.unclaimed,
                bytes_held=_bytes(taken) + stored_bytes(channels, size) + sum(self.waiting.values()),
            )
        )
        self.unclaimed = 0

    def _follow(self, word: str, parameters: int = 0) -> None:
        last = self.layers[-1]
        self.layers[-1] = replace(
            last,
            after=(*last.after, word),
            parameters=last.parameters + parameters,
            bytes_kept=last.bytes_kept + self.unclaimed,
        )
        self.unclaimed = 0

    def _follower(self, path: str, module: nn.Module, _: Any, __: Tensor) -> None:
        self._follow(_FOLLOWERS[type(module)], sum(p.numel() for p in module.parameters()))
        if isinstance(self.structure, FCNStructure) and path.startswith("norms."):
            self._fcn_activated(path.removeprefix("norms."))

    def _input_norm(self, path: str, _: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        self._add(path, "norm", "normalisation", inputs[0], _shape(output))

    def _convolution(
        self, path: str, module: nn.Conv2d | nn.ConvTranspose2d, inputs: tuple[Tensor], output: Tensor
    ) -> None:
        (taken,) = inputs
        up = isinstance(module, nn.ConvTranspose2d)
        kernel, padding = module.kernel_size[0], int(module.padding[0])
        window = Window(kernel, module.stride[0], padding, padding - module.output_padding[0])
        part = _part(path, up=up)
        index = 0
        if part == "convolution":
            here = place_of(self.structure, path, part)
            self.counts[here.side, here.stage] += 1
            index = self.counts[here.side, here.stage]
        self._add(
            path, part, "up-convolution" if up else "convolution", taken, _shape(output),
            layer=Transposed(window) if up else window, across=self._left_at(path), kernel=kernel, own=module,
            work=multiply_adds(
                module.in_channels, module.out_channels, (kernel, kernel), _size(taken if up else output), module.groups
            ), index=index,
        )  # fmt: skip
        if isinstance(self.structure, FCNStructure):
            self._fcn_convolved(path, output)

    def _left_at(self, path: str) -> str:
        """Where the maps that a 1x1 convolution reduces left the path; empty for a layer on the path."""
        if path.startswith("score_pool"):
            return path.removeprefix("score_")
        if path.endswith("squeeze") and path.startswith("decoder"):
            return self._origin(place_of(self.structure, path, "squeeze").stage)
        return ""

    def _pooling(self, path: str, _: nn.Module, inputs: tuple[Tensor], output: tuple[Tensor, Any]) -> None:
        stage = place_of(self.structure, path, "pooling").stage
        self.paths[f"encoder{stage}"] = self.path
        self._add(path, "pooling", "pooling", inputs[0], _shape(output[0]), layer=Window(2, 2), kernel=2)
        self.paths[f"pool{stage}"] = self.path

    def _leaving(self, path: str, _: nn.Module, __: Any, output: tuple[Tensor, SkipConnection]) -> None:
        stage = place_of(self.structure, path, "pooling").stage
        crossing = output[1]
        if crossing.positions:
            channels, *windows = crossing.positions.windows[1:]
            size = (windows[0], windows[1])
            stored = stored_bytes(channels, size, POSITION_BITS)
            self.waiting[f"positions{stage}"] = stored
            self.skips.append(SkipFacts(stage, "positions", f"pool{stage}", channels, *size, _UNCUT, "index", stored))
        if crossing.maps is not None:
            self.waiting[f"maps{stage}"] = _bytes(crossing.maps)

    def _up(self, path: str, module: UpSampling, inputs: tuple[Tensor, SkipConnection]) -> None:
        if module.up == "transposed":
            return
        taken, crossing = inputs
        kind, layer = _UP_KINDS[module.up]
        rows, columns = _size(taken)
        size = crossing.size if kind == "unpooling" else (2 * rows, 2 * columns)
        self._add(path, "up", kind, taken, (taken.shape[1], size), layer=layer, kernel=2)
        self.waiting.pop(f"positions{self.layers[-1].stage}", None)

    def _join(self, path: str, module: Merge, inputs: tuple[Tensor, SkipConnection], output: Tensor) -> None:
        taken, crossing = inputs
        assert crossing.maps is not None
        self._add(path, "join", "add" if module.skip == "add" else "concatenate", taken, _shape(output))
        channels, (rows, columns) = _shape(crossing.maps)
        channels = channels if isinstance(module.squeeze, nn.Identity) else self.classes
        crop = (centre_crop(rows, output.shape[2]), centre_crop(columns, output.shape[3]))
        stage, stored = self.layers[-1].stage, stored_bytes(channels, (rows, columns))
        origin, joined = self._origin(stage), "add" if module.skip == "add" else "concat"
        self.skips.append(SkipFacts(stage, "maps", origin, channels, rows, columns, crop, joined, stored))  # type: ignore[arg-type]
        self.waiting.pop(f"maps{stage}")

    def _origin(self, stage: int) -> str:
        """Where the maps that cross to a decoder stage leave the path."""
        assert not isinstance(self.structure, FCNStructure)
        return f"pool{stage - 1}" if self.structure.skip_from == "pooled" else f"encoder{stage}"

    def _residual_begins(self, _: nn.Module, inputs: tuple[Tensor]) -> None:
        self.waiting["residual"] = _bytes(inputs[0])

    def _residual_ends(self, path: str, _: nn.Module, __: Any, output: Tensor) -> None:
        self._add(path, "residual", "add", output, _shape(output))
        del self.waiting["residual"]

    def _fcn_convolved(self, path: str, output: Tensor) -> None:
        """FCN's ReLUs, poolings and sums are functions, not modules: they follow from what convolved."""
        assert isinstance(self.structure, FCNStructure)
        if path.startswith(("conv", "fc")):
            self.last = output
            if self.structure.norm == "none":
                self._fcn_activated(path)
        elif path in ("upscore2", "upscore_pool4"):
            self.last = output
        elif path.startswith("score_pool"):
            self._fcn_sum(path.removeprefix("score_"), output)

    def _fcn_activated(self, path: str) -> None:
        self._follow("ReLU")
        for stage, names in enumerate(TRUNK, 1):
            if path == names[-1]:
                channels, (rows, columns) = _shape(self.last)
                size = (pooled_size(rows, "ceil"), pooled_size(columns, "ceil"))
                self._add(f"pool{stage}", "pooling", "pooling", self.last, (channels, size),
                          layer=Window(2, 2, rounding="ceil"), kernel=2)  # fmt: skip
                self.paths[f"pool{stage}"] = self.path
                self.pooled[stage] = channels, size
                self._fcn_leaving(stage - 1)

    def _fcn_leaving(self, stage: int) -> None:
        """From the pooling below on, a pool whose scores are summed waits; before, it is that stage's own input."""
        assert isinstance(self.structure, FCNStructure)
        if stage in (3, 4) and self.structure.prediction_stride <= 1 << stage:
            self.waiting[f"pool{stage}"] = stored_bytes(*self.pooled[stage])

    def _fcn_sum(self, pool: str, scores: Tensor) -> None:
        channels, (rows, columns) = _shape(self.last)
        self._add(f"fuse_{pool}", "join", "add", self.last, (channels, (rows, columns)))
        first = self.crops[0 if pool == "pool4" else 1]
        stage, (have_rows, have_columns) = self.layers[-1].stage, _size(scores)
        crop = ((first, have_rows - rows - first), (first, have_columns - columns - first))
        stored = stored_bytes(channels, (have_rows, have_columns))
        self.skips.append(SkipFacts(stage, "maps", pool, channels, have_rows, have_columns, crop, "add", stored))
        self.waiting.pop(pool)


def _part(path: str, *, up: bool) -> LayerPart:
    if path.endswith("squeeze"):
        return "squeeze"
    if up or path.endswith("up.convolution"):
        return "up-convolution"
    return "classifier" if path == "head" else "convolution"


def _shape(maps: Tensor) -> tuple[int, Size]:
    return maps.shape[1], _size(maps)


def _size(maps: Tensor) -> Size:
    return maps.shape[2], maps.shape[3]


def _bytes(maps: Tensor) -> int:
    return prod(maps.shape[1:]) * NUMBER_BYTES


def _address(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
