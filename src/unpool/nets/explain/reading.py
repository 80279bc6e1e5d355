"""The layers of a network, recorded while an empty picture passes through its module.

Each module that the networks are built of (``unpool.nets.blocks``, ``torch.nn``) gets a hook, which records one layer
when the module has worked. The families of networks name the places of their modules (``Network.place_of``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

from torch import Tensor, nn

from unpool.geometry import (
    BILINEAR,
    BLOCKS,
    Border,
    Layer,
    Transposed,
    Window,
    multiply_adds,
    receptive_field,
    stored_bytes,
)
from unpool.nets.batch_norm import BatchNorm
from unpool.nets.blocks import Convolution, MaxPooling, Residual, ScoreConvolution, SkipMerge, UpConvolution, UpSampling
from unpool.nets.explain.records import LayerFacts, LayerKind, LayerPart, SkipFacts
from unpool.nets.network import Network
from unpool.nets.pooling import PoolingIndices
from unpool.nets.saved_tensors import SavedTensors
from unpool.shapes import Size

PICTURES = 2
"""Pictures that pass at once; batch normalisation of a single value needs a second picture."""

NUMBER_BYTES = 4
"""Bytes of a float32 value."""

INDEX_BITS = 2
"""Bits of a pooling index: which of four pixels."""

UNCUT = (Border(0, 0), Border(0, 0))

FOLLOWERS: dict[type[nn.Module], str] = {
    nn.BatchNorm2d: "batch norm",
    BatchNorm: "batch norm",
    nn.GroupNorm: "group norm",
    nn.InstanceNorm2d: "instance norm",
    nn.ReLU: "ReLU",
    nn.Dropout: "dropout",
}
"""Modules that are listed with the layer before them, not as layers of their own."""

UP_KINDS: dict[str, tuple[LayerKind, Layer]] = {
    "unpool": ("unpooling", BLOCKS),
    "nearest": ("interpolation", BLOCKS),
    "bilinear": ("interpolation", BILINEAR),
}


@dataclass(frozen=True)
class _WorkedLayer:
    """A layer that has just worked.

    Attributes
    ----------
    taken: its input; ``channels`` and ``size`` are of its output.
    geometry: its window along one axis; None where each pixel stays at its place.
    own: the module with its parameters, if it has any.
    index: number of a convolution within its stage, from 1.
    """

    path: str
    part: LayerPart
    kind: LayerKind
    taken: Tensor
    channels: int
    size: Size
    geometry: Layer | None = None
    kernel: int = 0
    own: nn.Module | None = None
    multiply_adds: int = 0
    index: int = 0

    @property
    def bytes_output(self) -> int:
        """Bytes of the output of one picture, in float32."""
        return stored_bytes(self.channels, self.size)


class LayerReader:
    """The records of one passage through one network on torch's meta device.

    Attributes
    ----------
    layers, skips: the records so far.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.origins = network.structure.skip_origins
        self.layers: list[LayerFacts] = []
        self.skips: list[SkipFacts] = []
        self._path: list[Layer] = []  # geometry from the picture to the layer that worked last
        self._paths: dict[str, list[Layer]] = {}  # geometry from the picture to each place, such as ``pool1``
        self._bytes: dict[str, int] = {"pool0": 0}  # of the maps at each place
        self._waiting: dict[str, int] = {}  # bytes that wait for the decoder or for the end of a residual block
        self._counts: Counter[tuple[str, int]] = Counter()  # convolutions of each side and stage so far
        self.saved = SavedTensors(network.parameters(), _is_feature_map)
        self._claimed = 0  # of the saved bytes, those that a layer has in its record
        network.register_forward_pre_hook(self._picture)
        for path, module in network.named_modules():
            self._watch(path, module)

    def _watch(self, path: str, module: nn.Module) -> None:
        watchers: dict[type[nn.Module], Callable[..., None]] = {
            nn.LocalResponseNorm: self._input_norm,
            nn.Conv2d: self._convolution,
            Convolution: self._convolution,
            ScoreConvolution: self._convolution,
            nn.ConvTranspose2d: self._convolution,
            UpConvolution: self._convolution,
            MaxPooling: self._pooling,
            **dict.fromkeys(FOLLOWERS, self._follower),
        }
        if isinstance(module, Residual):
            module.inner.register_forward_pre_hook(self._residual_begins)
            module.inner.register_forward_hook(partial(self._residual_ends, path))
        elif isinstance(module, UpSampling):
            module.register_forward_pre_hook(partial(self._up, path))
        elif isinstance(module, SkipMerge):
            module.register_forward_hook(partial(self._merge, path))
        elif type(module) in watchers:
            module.register_forward_hook(partial(watchers[type(module)], path))

    def _claim(self) -> int:
        """Return the bytes of one picture that were saved for the backward pass since the last call."""
        new = self.saved.bytes - self._claimed
        self._claimed = self.saved.bytes
        return new // PICTURES

    def _record(self, layer: _WorkedLayer) -> None:
        place = self.network.place_of(layer.path)
        walked = [*(self._paths[place.origin] if place.origin else self._path)]
        walked += [layer.geometry] if layer.geometry else []
        if not place.origin:
            self._path = walked
        parameters = list(layer.own.parameters()) if layer.own else []
        held = _bytes(layer.taken) + layer.bytes_output + sum(self._waiting.values())
        self.layers.append(
            LayerFacts(
                name=layer.path,
                paper_name=self.network.paper_name(layer.path, layer.part, layer.index),
                side=place.side,
                stage=place.stage,
                kind=layer.kind,
                across=bool(place.origin),
                rows=layer.size[0],
                columns=layer.size[1],
                channels=layer.channels,
                kernel=layer.kernel,
                after=(),
                parameters=sum(p.numel() for p in parameters),
                trained=any(p.requires_grad for p in parameters),
                receptive_field=receptive_field(walked) if walked else 1,
                multiply_adds=layer.multiply_adds,
                bytes_output=layer.bytes_output,
                bytes_kept=self._claim(),
                bytes_held=held,
                stride=_window(layer.geometry).stride if layer.geometry else 1,
                merges_skip=layer.part == "join",
            )
        )

    def _picture(self, _: nn.Module, inputs: tuple[Tensor]) -> None:
        self._bytes["pool0"] = _bytes(inputs[0])

    def _follower(self, _: str, module: nn.Module, __: Any, ___: Tensor) -> None:
        last = self.layers[-1]
        self.layers[-1] = replace(
            last,
            after=(*last.after, FOLLOWERS[type(module)]),
            parameters=last.parameters + sum(p.numel() for p in module.parameters()),
            bytes_kept=last.bytes_kept + self._claim(),
        )

    def _input_norm(self, path: str, _: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        self._record(_WorkedLayer(path, "norm", "normalisation", inputs[0], output.shape[1], _size(output)))

    def _convolution(
        self, path: str, module: nn.Conv2d | nn.ConvTranspose2d, inputs: tuple[Tensor], output: Tensor
    ) -> None:
        (taken,) = inputs
        up = isinstance(module, nn.ConvTranspose2d)
        kernel, padding = module.kernel_size[0], int(module.padding[0])
        window = Window(kernel, module.stride[0], padding, padding - module.output_padding[0])
        place = self.network.place_of(path)
        part, index = "up-convolution" if up and place.part != "classifier" else place.part, 0
        if part == "convolution":
            self._counts[place.side, place.stage] += 1
            index = self._counts[place.side, place.stage]
        pixels = _size(taken if up else output)
        work = multiply_adds(module.in_channels, module.out_channels, (kernel, kernel), pixels, module.groups)
        self._record(
            _WorkedLayer(
                path, part, "up-convolution" if up else "convolution", taken, output.shape[1], _size(output),
                Transposed(window) if up else window, kernel, module, work, index,
            )
        )  # fmt: skip
        if part == "stem":
            self._bytes["pool0"] = _bytes(output)

    def _pooling(
        self, path: str, _: nn.Module, inputs: tuple[Tensor], output: tuple[Tensor, PoolingIndices | None]
    ) -> None:
        stage, (pooled, indices) = self.network.place_of(path).stage, output
        encoder, pool = f"encoder{stage}", f"pool{stage}"
        self._paths[encoder], self._bytes[encoder] = self._path, _bytes(inputs[0])
        self._record(
            _WorkedLayer(path, "pooling", "pooling", inputs[0], pooled.shape[1], _size(pooled), Window(2, 2), 2)
        )
        self._paths[pool], self._bytes[pool] = self._path, _bytes(pooled)
        # Pooled maps are the input of the next stage first, and wait for the decoder from its end on.
        for origin in (encoder, f"pool{stage - 1}"):
            if origin in self.origins.values():
                self._waiting[origin] = self._bytes[origin]
        if indices:
            channels, rows, columns = indices.windows[1:]
            stored = stored_bytes(channels, (rows, columns), INDEX_BITS)
            self._waiting[f"indices{stage}"] = stored
            self.skips.append(SkipFacts(stage, "positions", pool, channels, rows, columns, UNCUT, "index", stored))

    def _up(self, path: str, module: UpSampling, inputs: tuple[Tensor, PoolingIndices | None]) -> None:
        if module.up == "transposed":
            return  # recorded by its convolution
        taken, indices = inputs
        kind, geometry = UP_KINDS[module.up]
        rows, columns = _size(taken)
        size = indices.size if indices and kind == "unpooling" else (2 * rows, 2 * columns)
        self._record(_WorkedLayer(path, "up", kind, taken, taken.shape[1], size, geometry, 2))
        self._waiting.pop(f"indices{self.layers[-1].stage}", None)

    def _merge(self, path: str, module: SkipMerge, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        taken, sent = inputs
        adds = module.how == "add"
        self._record(
            _WorkedLayer(path, "join", "add" if adds else "concatenate", taken, output.shape[1], _size(output))
        )
        stage = self.layers[-1].stage
        channels = output.shape[1] - (0 if adds else taken.shape[1])
        (rows, columns), merged = _size(sent), _size(output)
        crop = module.crop(rows, merged[0]), module.crop(columns, merged[1])
        stored, origin = stored_bytes(channels, (rows, columns)), self.origins[stage]
        self.skips.append(SkipFacts(stage, "maps", origin, channels, rows, columns, crop, module.how, stored))
        self._waiting.pop(origin)

    def _residual_begins(self, _: nn.Module, inputs: tuple[Tensor]) -> None:
        self._waiting["residual"] = _bytes(inputs[0])

    def _residual_ends(self, path: str, _: nn.Module, __: Any, output: Tensor) -> None:
        self._record(_WorkedLayer(path, "residual", "add", output, output.shape[1], _size(output)))
        del self._waiting["residual"]


def _window(layer: Layer) -> Window:
    return layer.window if isinstance(layer, Transposed) else layer


def _size(maps: Tensor) -> Size:
    return maps.shape[2], maps.shape[3]


def _bytes(maps: Tensor) -> int:
    return prod(maps.shape[1:]) * NUMBER_BYTES


def _is_feature_map(tensor: Tensor) -> bool:
    few = tensor.ndim < 4 and tensor.is_floating_point()  # a norm's mean and deviation
    return not few
