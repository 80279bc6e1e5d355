"""A segmenter as an ONNX graph, and ONNX Runtime to run it."""

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
from unpool.export.equality import BatchRunner, RuntimeOutput, softmax
from unpool.export.extras import import_extra, without_warnings
from unpool.export.graph import ExportModule, ExportOutput, trace_program
from unpool.segmenter import Segmenter

ONNX_INPUT = "pixels"
_FREE_AXES = {0: "batch", 2: "rows", 3: "columns"}
MOST_ONNX_BYTES = 2**31 - 1
"""The limit of an ONNX file, which is a protocol buffer."""

OnnxModel = Any
"""An ``onnx.ModelProto``."""


def build_onnx_model(
    segmenter: Segmenter, pixels: str, output: ExportOutput, *, half: bool = False, dtype: torch.dtype | None = None
) -> OnnxModel:
    """Return a segmenter as an ONNX graph for any batch and any size.

    Its input is called ``pixels``; its output has the name in ``output``.

    Parameters
    ----------
    pixels, output, half: as in ``unpool.export.graph.ExportModule``.
    dtype: number type of the input; None for the type in ``pixels``.

    Raises
    ------
    UsageError: the extra is missing, or the legal sizes of the network follow no simple rule.
    RunError: the graph is larger than an ONNX file may be.
    """
    import_extra("onnxscript", "onnx")
    module = ExportModule(segmenter, pixels, output, half=half)
    with without_warnings():
        program = trace_program(module, dtype or getattr(torch, pixels))
        exported = torch.onnx.export(
            program, input_names=[ONNX_INPUT], output_names=[output], dynamo=True, external_data=False, verbose=False
        )
    assert exported is not None
    model = exported.model_proto
    if model.ByteSize() > MOST_ONNX_BYTES:
        raise RunError(f"an ONNX graph of {model.ByteSize() / 1e9:.1f} GB", "at most 2.1 GB", "use --precision float16")
    _name_axes_and_clear_notes(model, output)
    return model


def write_metadata(model: OnnxModel, card: Card, facts: dict[str, Any]) -> None:
    """Write the card and the facts of the export into the metadata of an ONNX graph."""
    helper = import_extra("onnx.helper", "onnx")
    model.producer_name, model.producer_version = "unpool", ""
    model.doc_string = f"{card['net']}: raw {facts['pixels']} pixels to {facts['output']}"
    names = [each["name"] for each in card["classes"]["classes"]]
    metadata = {"unpool": card, "unpool-export": facts, "classes": names}
    helper.set_model_props(model, {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()})


def quantise(model: OnnxModel, pictures: Iterable[NDArray[Any]]) -> OnnxModel:
    """Return the model with convolutions in 8-bit integers; pictures (rows, columns, channels) give their ranges."""
    onnx, quantisation = import_extra("onnx", "onnx"), import_extra("onnxruntime.quantization", "onnx")
    with without_warnings(), tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, plain)
        quantisation.quantize_static(
            plain, small, _CalibrationPictures(pictures), per_channel=True, op_types_to_quantize=["Conv"],
            activation_type=quantisation.QuantType.QUInt8, weight_type=quantisation.QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(small)


class _CalibrationPictures:
    """The pictures of a calibration, in the form that ONNX Runtime requires."""

    def __init__(self, pictures: Iterable[NDArray[Any]]) -> None:
        self._pictures: Iterator[NDArray[Any]] = iter(pictures)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {ONNX_INPUT: np.moveaxis(picture, -1, 0)[None].copy()}


def onnx_runner(model: OnnxModel, output: ExportOutput) -> BatchRunner:
    """Return a function that runs a graph in ONNX Runtime on the CPU.

    Raises
    ------
    UsageError: the extra is missing.
    """
    runtime = import_extra("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    content = (_with_logits(model) if output == "classes" else model).SerializeToString()
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(batch: NDArray[Any]) -> RuntimeOutput:
        outputs: Sequence[NDArray[Any]] = session.run(None, {ONNX_INPUT: batch})
        if output == "classes":
            return RuntimeOutput(softmax(outputs[1]), outputs[0])
        return RuntimeOutput(outputs[0], outputs[0].argmax(axis=1).astype(np.uint8))

    return run


def _with_logits(model: OnnxModel) -> OnnxModel:
    """Return a copy of a graph that gives class ids, with the logits as a second output."""
    onnx = import_extra("onnx", "onnx")
    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    (choice,) = (node for node in wider.graph.node if node.op_type == "ArgMax")
    wider.graph.output.append(onnx.helper.make_tensor_value_info(choice.input[0], onnx.TensorProto.FLOAT, None))
    return wider


def _name_axes_and_clear_notes(model: OnnxModel, output: ExportOutput) -> None:
    """Name the free axes, and remove the notes of the exporter, which are paths and lines of source files."""
    graph = model.graph
    axes = _FREE_AXES if output == "probabilities" else {0: "batch", 1: "rows", 2: "columns"}
    for value, names in ((graph.input[0], _FREE_AXES), (graph.output[0], axes)):
        for axis, name in names.items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    del graph.value_info[:]
    del model.metadata_props[:]
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
