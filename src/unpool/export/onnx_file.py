"""A segmenter as an ONNX file, and ONNX Runtime to run it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unpool.checkpoint.card import Card
from unpool.errors import RunError
from unpool.export.equality import Run, RuntimeOutput, softmax
from unpool.export.extras import extra, quiet
from unpool.export.graph import Output, Portable, recorded
from unpool.segmenter import Segmenter

INPUT = "pixels"
AXES = {0: "batch", 2: "rows", 3: "columns"}
LARGEST = 2**31 - 1
"""Bytes that an ONNX file, a protocol buffer, can have."""

OnnxModel = Any
"""An ``onnx.ModelProto``."""


def onnx_model(
    segmenter: Segmenter, pixels: str, output: Output, *, half: bool = False, number: torch.dtype | None = None
) -> OnnxModel:
    """A segmenter as an ONNX graph with any batch and any size; input ``pixels``, output named as ``output``.

    Parameters
    ----------
    pixels, output, half: as in ``Portable``.
    number: type of the input where it is another than ``pixels``.

    Raises
    ------
    UsageError: the extra is missing, or the network's sizes follow no simple rule.
    RunError: the graph is larger than an ONNX file can be.
    """
    extra("onnxscript", "onnx")
    portable = Portable(segmenter, pixels, output, half=half)
    with quiet():
        program = recorded(portable, segmenter, number or getattr(torch, pixels))
        exported = torch.onnx.export(
            program, input_names=[INPUT], output_names=[output], dynamo=True, external_data=False, verbose=False
        )
    assert exported is not None
    model = exported.model_proto
    if model.ByteSize() > LARGEST:
        raise RunError(f"an ONNX graph of {model.ByteSize() / 1e9:.1f} GB", "at most 2.1 GB", "use --precision float16")
    _clean(model, output)
    return model


def describe(model: OnnxModel, card: Card, facts: dict[str, Any]) -> None:
    """Write a model's card into its metadata, and what the export adds to it."""
    helper = extra("onnx.helper", "onnx")
    model.producer_name, model.producer_version = "unpool", ""
    model.doc_string = f"{card['net']}: raw {facts['pixels']} pixels to {facts['output']}"
    names = [each["name"] for each in card["classes"]["classes"]]
    told = {"unpool": card, "unpool-export": facts, "classes": names}
    helper.set_model_props(model, {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()})


def quantised(model: OnnxModel, pictures: Iterable[NDArray[Any]]) -> OnnxModel:
    """The model with convolutions in 8-bit integers, their ranges taken from pictures (rows, columns, channels)."""
    onnx, quantisation = extra("onnx", "onnx"), extra("onnxruntime.quantization", "onnx")
    with quiet(), tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, plain)
        quantisation.quantize_static(
            plain, small, _Feeds(pictures), per_channel=True, op_types_to_quantize=["Conv"],
            activation_type=quantisation.QuantType.QUInt8, weight_type=quantisation.QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(small)


class _Feeds:
    """What ONNX Runtime asks for the next picture; it wants an object with this method."""

    def __init__(self, pictures: Iterable[NDArray[Any]]) -> None:
        self._pictures: Iterator[NDArray[Any]] = iter(pictures)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {INPUT: np.moveaxis(picture, -1, 0)[None].copy()}


def runner(model: OnnxModel, output: Output) -> Run:
    """Run a model in ONNX Runtime on the CPU. Raises UsageError where the extra is missing."""
    runtime = extra("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    content = (_with_logits(model) if output == "classes" else model).SerializeToString()
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(batch: NDArray[Any]) -> RuntimeOutput:
        found: Sequence[NDArray[Any]] = session.run(None, {INPUT: batch})
        if output == "classes":
            return RuntimeOutput(softmax(found[1]), found[0])
        return RuntimeOutput(found[0], found[0].argmax(axis=1).astype(np.uint8))

    return run


def _with_logits(model: OnnxModel) -> OnnxModel:
    """A copy that also gives the logits whose largest is taken."""
    onnx = extra("onnx", "onnx")
    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    (choice,) = (node for node in wider.graph.node if node.op_type == "ArgMax")
    wider.graph.output.append(onnx.helper.make_tensor_value_info(choice.input[0], onnx.TensorProto.FLOAT, None))
    return wider


def _clean(model: OnnxModel, output: Output) -> None:
    """Name the free axes, and take away what the exporter noted for itself: paths and lines of source files."""
    graph = model.graph
    axes = AXES if output == "probabilities" else {0: "batch", 1: "rows", 2: "columns"}
    for value, named in ((graph.input[0], AXES), (graph.output[0], axes)):
        for axis, name in named.items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    del graph.value_info[:]
    del model.metadata_props[:]
    for noted in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del noted.metadata_props[:]
