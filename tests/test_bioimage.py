"""A package of the BioImage Model Zoo: its description, and a run of the zoo's validator."""

import hashlib
import io
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

import tiny
from conftest import Program
from unpool.checkpoint.models import load_model, save_model
from unpool.checkpoint.probe import probe_logits
from unpool.class_table import ClassTable
from unpool.export.bioimage import BioimagePackage, PackagePages
from unpool.normalisation import ChannelConstants, Normalisation

WEIGHTS = SimpleNamespace(SerializeToString=lambda: b"weights", opset_import=[SimpleNamespace(version=20)])
PAGES = PackagePages("# page\n\n## Validation\n", b"png", ("Ada",))


def written(tmp_path: Path, classes: ClassTable = tiny.CELLS, licence: str | None = "CC-BY-4.0") -> dict[str, bytes]:
    path = tmp_path / "model.safetensors"
    save_model(path, tiny.segmenter(classes=classes), {"data": {"name": "a/b: c"}}, licence)
    model, card = load_model(path)
    BioimagePackage(model, card, "uint8", WEIGHTS, PAGES).write(tmp_path / "p.zip")
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_package_describes_what_it_holds(tmp_path: Path) -> None:
    files = written(tmp_path)
    described = yaml.safe_load(files["rdf.yaml"])
    assert (described["type"], described["format_version"], described["name"]) == ("model", "0.5.4", "unet a-b- c")
    assert (described["license"], described["authors"]) == ("CC-BY-4.0", [{"name": "Ada"}])
    assert described["cite"][0]["url"] == "https://arxiv.org/abs/1505.04597"
    (given,), (gives,) = described["inputs"], described["outputs"]
    # Ten 3x3 convolutions at strides 1, 2, 4, 2, 1 see 20 pixels on either side, pooling adds 2; 24 is the next
    # multiple of the stride.
    assert given["axes"][2] == {"type": "space", "id": "y", "size": {"min": 56, "step": 4}}
    assert gives["axes"][1]["channel_names"] == ["background", "cell"]
    assert gives["axes"][3]["halo"] == 24
    assert described["weights"]["onnx"]["opset_version"] == 20
    for named in (given["test_tensor"], gives["test_tensor"], described["weights"]["onnx"]):
        assert named["sha256"] == hashlib.sha256(files[named["source"]]).hexdigest()
    assert b"&id" not in files["rdf.yaml"]  # a reader need not know YAML's references


def test_the_test_answer_is_the_models(tmp_path: Path) -> None:
    files = written(tmp_path)
    picture, expected = (np.load(io.BytesIO(files[f"test_{part}.npy"])) for part in ("input", "output"))
    assert (picture.dtype, picture.shape, expected.shape) == (np.float32, (1, 1, 56, 60), (1, 2, 56, 60))
    floats = Normalisation(1, {"float32": ChannelConstants((60.0,), (50.0,))})
    found = probe_logits(replace(tiny.segmenter(), normalisation=floats), np.moveaxis(picture[0], 0, -1))
    np.testing.assert_allclose(found.softmax(dim=0)[None].numpy(), expected, atol=1e-6)


def test_class_names_become_names_that_others_take(tmp_path: Path) -> None:
    def channels(first: str, second: str) -> list[str]:
        (tmp_path / first).mkdir()
        files = written(tmp_path / first, replace(tiny.CELLS, names=(first, second)), None)
        described: dict[str, Any] = yaml.safe_load(files["rdf.yaml"])
        assert "license" not in described
        return list(described["outputs"][0]["axes"][1]["channel_names"])

    assert channels("sign symbol", "tree") == ["sign_symbol", "tree"]
    assert channels("a b", "a_b") == ["class0", "class1"]


def test_without_the_extra(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path / "model.safetensors", tiny.segmenter(), {})
    monkeypatch.setitem(sys.modules, "bioimageio", None)
    monkeypatch.setitem(sys.modules, "bioimageio.core", None)
    said = program("export", tmp_path, "--to", "bioimageio", "--out", tmp_path / "p.zip")
    assert said.code == 2
    assert "expected: the extra unpool[bioimageio]" in said.err
    said = program("export", tmp_path, "--to", "bioimageio", "--out", tmp_path / "p.zip", "--precision", "int8")
    assert "probabilities in float32" in said.err
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("net", list(tiny.STRUCTURES))
def test_the_validator_runs_it(net: str, program: Program, tmp_path: Path) -> None:
    pytest.importorskip("bioimageio.core", reason="the bioimageio extra is not installed")
    save_model(tmp_path / "model.safetensors", tiny.segmenter(net), {})
    said = program("export", tmp_path, "--to", "bioimageio", "--out", tmp_path / "p.zip", "--author", "Ada")
    assert said.code == 0, said.err
    assert (tmp_path / "p.zip").is_file()
