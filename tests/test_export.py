"""What every export shares: the graph, the comparison, the refusals; no extra is needed."""

import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from conftest import Program
from unpool.checkpoint.models import save_model
from unpool.checkpoint.probe import probe_logits
from unpool.errors import RunError, UsageError
from unpool.export.equality import RuntimeOutput, export_difference, pattern_pictures, require_equal, softmax
from unpool.export.graph import ExportModule, mirrored_positions
from unpool.io.write.images import write_image
from unpool.nets.families import network_of, structure_of
from unpool.nets.named import named_net
from unpool.normalisation import ChannelConstants, Normalisation, NormalisedBy


def test_positions_are_mirrored_as_numpy_mirrors_a_picture() -> None:
    for side in (1, 2, 5):
        expected = np.pad(np.arange(side), (7, 9), mode="reflect" if side > 1 else "edge")
        assert mirrored_positions(torch.arange(-7, side + 9), side).tolist() == expected.tolist()


@pytest.mark.parametrize("changes", [
    {}, {"padding": "valid", "depth": 1}, {"norm": "group", "width": 8}, {"stem": "strided"},
    {"stem": "strided", "padding": "valid", "depth": 1},
])  # fmt: skip
@pytest.mark.parametrize("by", ["set", "picture"])
def test_the_graph_is_what_prediction_computes(changes: dict[str, Any], by: NormalisedBy) -> None:
    model = tiny.segmenter(**changes)
    model = replace(model, normalisation=replace(model.normalisation, by=by))
    module = ExportModule(model, "uint8", "probabilities")
    for picture in pattern_pictures(model, "uint8", smallest=not changes.get("norm")):
        pixels = torch.from_numpy(np.moveaxis(picture, -1, 0)[None].copy())
        with torch.inference_mode():
            found = module(pixels)[0]
        torch.testing.assert_close(found, probe_logits(model, picture).softmax(dim=0), atol=1e-6, rtol=0)


def test_each_picture_of_a_batch_is_normalised_by_its_own_constants() -> None:
    model = tiny.segmenter(channels=2)
    model = replace(model, normalisation=replace(model.normalisation, by="picture"))
    pictures = np.random.default_rng(0).integers(0, 90, (2, 20, 29, 2)).astype(np.uint8)
    pictures[1] += 100
    pictures[..., 1] //= 2
    with torch.inference_mode():
        found = ExportModule(model, "uint8", "probabilities")(torch.from_numpy(np.moveaxis(pictures, -1, 1).copy()))
    for own, image in zip(found, pictures, strict=True):
        torch.testing.assert_close(own, probe_logits(model, image).softmax(dim=0), atol=1e-5, rtol=0)


def test_a_difference_is_counted() -> None:
    model = tiny.segmenter()
    first, second = picture, other = list(pattern_pictures(model, "uint8", smallest=False))[1:3]

    def run(batch: Any) -> RuntimeOutput:
        logits = torch.stack([probe_logits(model, np.moveaxis(each, 0, -1)) for each in batch]).numpy()
        found = RuntimeOutput(softmax(logits), logits.argmax(axis=1).astype(np.uint8))
        found.probabilities[0, 1, 2, 3] += 0.25
        found.classes[0, :2, 0] ^= 1
        return found

    found = export_difference(model, run, [first, second])
    assert found.probability == pytest.approx(0.25, abs=1e-6)
    assert found.share == 4 / (picture[..., 0].size + other[..., 0].size)
    assert (found.pictures, found.sizes) == (2, (first.shape[:2], second.shape[:2]))
    with pytest.raises(RunError, match=r"in float32 a difference of at most 0.001 in any probability"):
        require_equal(found, "float32")
    with pytest.raises(RunError, match=r"at most 0.1% of the class ids"):
        require_equal(found._replace(probability=0.0), "float32")
    require_equal(found._replace(share=0.0), "int8")
    with pytest.raises(RunError, match="nothing was written"):
        require_equal(found._replace(probability=float("nan")), "int8")


def test_a_network_without_a_rule_of_sizes_is_refused() -> None:
    structure = structure_of({**named_net("unet").structure.model_dump(), "width": 4, "depth": 2, "padding": "valid",
                              "pooling_rounding": "ceil"})  # fmt: skip
    model = replace(tiny.segmenter(), network=network_of(structure, 1, 2))
    with pytest.raises(UsageError, match="legal sizes follow no simple rule"):
        ExportModule(model, "uint8", "classes")


def test_refusals_before_any_work(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = tmp_path / "model.safetensors", tmp_path / "m.onnx"
    both = {kind: ChannelConstants((60.0,), (50.0,)) for kind in ("uint8", "uint16")}
    save_model(path, replace(tiny.segmenter(), normalisation=Normalisation(1, both)), {})
    words = ("export", path, "--to", "onnx", "--out", out)
    said = program(*words)
    assert said.code == 2
    assert "a model trained on several pixel types\n  expected: one of uint16, uint8" in said.err
    assert "--pixels float32" in program(*words, "--pixels", "float32").err
    write_image(tmp_path / "deep" / "a.png", np.zeros((5, 5), dtype=np.uint16))
    said = program(*words, "--pixels", "uint8", "--pictures", tmp_path / "deep")
    assert "no picture of uint8 pixels" in said.err
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    said = program(*words, "--pixels", "uint8")
    assert said.code == 2
    assert "expected: the extra unpool[onnx]" in said.err
    assert not out.exists()


@pytest.mark.parametrize("net", list(tiny.STRUCTURES))
def test_a_torch_program_is_equal_and_holds_no_pickle(net: str, program: Program, tmp_path: Path) -> None:
    path, out = tmp_path / "model.safetensors", tmp_path / "m.pt2"
    save_model(path, tiny.segmenter(net), {"note": "x"})
    said = program("export", path, "--to", "torch-export", "--out", out, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["difference"]["probability"] < 1e-5
    with zipfile.ZipFile(out) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    told = next(content for name, content in contents.items() if name.endswith("unpool.json"))
    assert json.loads(told)["story"] == {"note": "x"}
    for name, content in contents.items():
        assert not name.endswith(".pkl"), name
        assert not content.startswith((b"\x80", b"PK")), name
        assert b"/src/unpool" not in content, name
    assert program("export", path, "--to", "torch-export", "--out", tmp_path / "n", "--output", "classes").code == 2
