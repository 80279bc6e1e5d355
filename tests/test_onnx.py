"""Every named network in ONNX computes what it computes in torch, on even and odd sizes, without MaxUnpool."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from unpool.nets import FCN, NAMED_NETS, FCNStructure, legal_size, named_net, network_of

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
pytest.importorskip("onnxscript", reason="the onnx extra is not installed")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(NAMED_NETS))
@pytest.mark.parametrize("wanted", [32, 45])
def test_onnx_equals_torch(name: str, wanted: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    structure = named_net(name).structure
    width = 1 if isinstance(structure, FCNStructure) else 4
    network = network_of(type(structure)(**{**structure.model_dump(), "width": width}), 1, 3).eval()
    if isinstance(network, FCN):
        for path, module in network.named_modules():
            if path.startswith("score"):
                nn.init.normal_(module.weight, std=0.5)
    side = legal_size(network.structure, wanted)
    image = torch.randn(1, 1, side, side)
    path = tmp_path / "model.onnx"
    torch.onnx.export(network, (image,), path, dynamo=True, verbose=False)
    assert "MaxUnpool" not in {node.op_type for node in onnx.load(path).graph.node}
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.inference_mode():
        expected = network(image).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(np.abs(expected).max(), 1.0))
