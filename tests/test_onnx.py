"""A model in ONNX computes what it computes in torch, on every size, without MaxUnpool."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tiny
from conftest import Program
from unpool.checkpoint.models import load_model, save_model
from unpool.commands import export as exporting
from unpool.commands.events import finish
from unpool.commands.export import ExportOptions
from unpool.export import onnx_file
from unpool.export.equality import BatchRunner, RuntimeOutput, export_difference, pattern_pictures
from unpool.nets.families import network_of, structure_of
from unpool.nets.fcn import FCN, FCNStructure
from unpool.nets.named import NAMED_NETS, named_net
from unpool.normalisation import ChannelConstants, Normalisation
from unpool.segmenter import Segmenter

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
pytest.importorskip("onnxscript", reason="the onnx extra is not installed")


def small(name: str, **changes: Any) -> Segmenter:
    """A network with few maps and two channels, its scores not 0 and its running statistics not the first ones."""
    torch.manual_seed(0)
    structure = named_net(name).structure
    width = 1 if isinstance(structure, FCNStructure) else 4
    network = network_of(structure_of({**structure.model_dump(), "width": width, **changes}), 2, 2)
    with torch.no_grad():
        for path, module in network.named_modules():
            if isinstance(network, FCN) and path.startswith("score"):
                nn.init.normal_(module.weight, std=0.5)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    constants = ChannelConstants((60.0, 90.0), (50.0, 70.0))
    return Segmenter(name, network.eval(), Normalisation(2, {"uint8": constants}), tiny.CELLS)


def assert_equal_in_onnx(model: Segmenter, output: Any = "probabilities") -> None:
    exported = onnx_file.build_onnx_model(model, "uint8", output)
    assert "MaxUnpool" not in {node.op_type for node in exported.graph.node}
    found = export_difference(
        model, onnx_file.onnx_runner(exported, output), list(pattern_pictures(model, "uint8", smallest=True))
    )
    assert found.probability < 1e-4
    assert found.share == 0


@pytest.mark.parametrize(
    ("net", "changes", "output"),
    [
        ("segnet-basic", {"depth": 2, "kernel": 3}, "classes"),
        ("fcn-32s", {}, "probabilities"),
        ("unet-2015", {"depth": 1, "dropout_after": ()}, "probabilities"),
        ("unet", {"depth": 1, "stem": "strided"}, "probabilities"),
        ("segnet-basic", {"depth": 1, "kernel": 3, "stem": "strided"}, "classes"),
    ],
)
def test_small_networks_in_onnx(net: str, changes: dict[str, Any], output: str) -> None:
    assert_equal_in_onnx(small(net, **changes), output)


def test_each_picture_by_its_own_constants_in_onnx() -> None:
    model = small("unet", depth=1)
    assert_equal_in_onnx(replace(model, normalisation=replace(model.normalisation, by="picture")))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NAMED_NETS))
def test_every_network_in_onnx(name: str) -> None:
    assert_equal_in_onnx(small(name))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, tiny.segmenter(depth=1), {"note": "Grüße"})
    return path


def test_the_command_leaves_a_file_that_tells_its_card(saved: Path, program: Program, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "m.onnx"
    said = program("export", saved, "--to", "onnx", "--out", out, "--output", "classes")
    assert said.code == 0, said.err
    assert "against the model in float32: largest difference of a probability" in said.out
    model = onnx.load(out)
    told = {each.key: json.loads(each.value) for each in model.metadata_props}
    assert told["unpool"]["story"] == {"note": "Grüße"}
    assert told["unpool-export"] == {"pixels": "uint8", "output": "classes", "precision": "float32"}
    assert told["classes"] == ["background", "cell"]
    (given,), (gives,) = model.graph.input, model.graph.output
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["batch", 1, "rows", "columns"]
    assert [d.dim_param for d in gives.type.tensor_type.shape.dim] == ["batch", "rows", "columns"]
    assert b"site-packages" not in out.read_bytes()
    assert [each.name for each in out.parent.iterdir()] == ["m.onnx"]
    again = program("export", saved, "--to", "onnx", "--out", out)
    assert again.code == 2
    assert f"{out} exists" in again.err


@pytest.fixture(scope="module")
def exported(saved: Path) -> Any:
    """The saved model's graph with probabilities."""
    return onnx_file.build_onnx_model(load_model(saved).segmenter, "uint8", "probabilities")


def test_integers(exported: Any, saved: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "build_onnx_model", lambda *_, **__: copy.deepcopy(exported))
    run = exporting.export(
        saved, "onnx", tmp_path / "m.onnx", ExportOptions(precision="int8", pictures=cells / "images")
    )
    found = finish(run).difference
    assert 0 < found.probability < 0.1
    assert found.pictures == 4
    kinds = {each.data_type for each in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert onnx.TensorProto.INT8 in kinds


@pytest.mark.slow
def test_half_floats(saved: Path, tmp_path: Path) -> None:
    found = finish(exporting.export(saved, "onnx", tmp_path / "m.onnx", ExportOptions(precision="float16"))).difference
    assert 0 < found.probability < 0.01
    kinds = {each.data_type for each in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds


def test_a_file_that_differs_is_not_left(
    exported: Any, saved: Path, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*given: Any) -> BatchRunner:
        def run(batch: Any) -> RuntimeOutput:
            right = onnx_file.onnx_runner(*given)(batch)
            return right._replace(probabilities=right.probabilities + np.float32(0.01))

        return run

    monkeypatch.setattr(exporting, "build_onnx_model", lambda *_, **__: copy.deepcopy(exported))
    monkeypatch.setattr(exporting, "onnx_runner", wrong)
    said = program("export", saved, "--to", "onnx", "--out", tmp_path / "m.onnx")
    assert said.code == 1
    assert "does not compute what the model computes: largest difference of a probability 1.0e-02" in said.err
    assert not list(tmp_path.iterdir())
