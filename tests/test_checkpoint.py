"""Model files and training states: what goes in comes out, and nothing else gets in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import save_file
from torch import nn

import tiny
from unpool.checkpoint import bare_state, load_model, load_state, save_model, save_state
from unpool.errors import ModelFileError


def perturbed(net: str = "unet") -> Any:
    """A segmenter whose running statistics are not the initial ones either."""
    model = tiny.segmenter(net)
    model.network.train()(torch.randn(2, 1, 32, 32))
    model.network.eval()
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, perturbed(), {"note": "Grüße"})
    return path


@pytest.mark.parametrize("net", list(tiny.STRUCTURES))
def test_a_model_comes_back_equal(net: str, tmp_path: Path) -> None:
    model, path = perturbed(net), tmp_path / "deep" / "model.safetensors"
    save_model(path, model, {"epoch": 3})
    found, card = load_model(path)
    image = torch.randn(1, 1, 32, 48)
    with torch.inference_mode():
        assert torch.equal(found.network(image), model.network(image))
    assert not found.network.training
    assert (found.net, found.classes, found.normalisation) == (net, model.classes, model.normalisation)
    assert found.network.structure == model.network.structure
    assert card["story"] == {"epoch": 3}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_names_of_wrapped_networks_are_peeled(prefix: str) -> None:
    network: nn.Module = tiny.segmenter().network
    wrapped = network
    for part in reversed(prefix.strip(".").split(".")):
        outer = nn.Module()
        outer.add_module(part, wrapped)
        wrapped = outer
    assert all(name.startswith(prefix) for name in wrapped.state_dict())
    found = bare_state(wrapped)
    assert list(found) == list(network.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in network.state_dict().items())


def refusal(path: Path) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert str(path) in caught.value.found
    assert caught.value.expected
    assert caught.value.repair
    return caught.value


def test_a_missing_model(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "model.safetensors").found
    assert "no such file" in refusal(tmp_path).found


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_model(share: float, saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    assert "not a readable safetensors file" in refusal(saved).found


def test_foreign_files(saved: Path) -> None:
    save_file({"weight": torch.zeros(3)}, saved)
    assert "without an unpool card" in refusal(saved).found
    save_file({"weight": torch.zeros(3)}, saved, metadata={"unpool": "[1]"})
    assert "without an unpool card" in refusal(saved).found
    torch.save({"weight": torch.zeros(3)}, saved)
    assert "not a readable safetensors file" in refusal(saved).found


def rewrite(path: Path, change: Callable[[dict[str, Any]], object], drop: str = "") -> None:
    with safetensors.safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["unpool"])
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != drop}  # noqa: SIM118
    change(card)
    save_file(tensors, path, metadata={"unpool": json.dumps(card)})


def test_a_card_of_a_later_version(saved: Path) -> None:
    rewrite(saved, lambda card: card.update(version=2))
    assert "a model card of version 2" in refusal(saved).found


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card.pop("classes"),
        lambda card: card["classes"].update(kind="greys"),
        lambda card: card["classes"].update(classes="ab"),
        lambda card: card["classes"]["classes"].pop(),
        lambda card: card["classes"]["classes"].append({"name": "new", "values": [9], "colour": [1, 2, 3]}),
        lambda card: card["classes"]["classes"][0].update(values=[None]),
        lambda card: card["structure"].update(width=8),
        lambda card: card["structure"].update(kernel=4),
        lambda card: card["structure"].update(colour="red"),
        lambda card: card.update(structure=[]),
        lambda card: card.update(in_channels=3),
        lambda card: card.update(in_channels="many"),
        lambda card: card["normalisation"].update(channels=3),
        lambda card: card["normalisation"].update(constants=[]),
        lambda card: card["normalisation"].update(constants={}),
    ],
)
def test_a_tampered_card(change: Callable[[dict[str, Any]], object], saved: Path) -> None:
    rewrite(saved, change)
    assert "the model card and the weights do not fit together" in refusal(saved).found


def test_a_missing_tensor(saved: Path) -> None:
    rewrite(saved, lambda card: None, drop="head.weight")
    assert "do not fit together" in refusal(saved).found


def test_a_state_comes_back_equal(tmp_path: Path) -> None:
    network = tiny.segmenter().network
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.randn(1, 1, 32, 32)).sum().backward()
    optimiser.step()
    path = tmp_path / "state.pt"
    save_state(path, {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "numbers": [1, None, "x"]})
    found = load_state(path)
    assert found["numbers"] == [1, None, "x"]
    assert torch.equal(found["network"]["head.weight"], network.head.weight)
    assert torch.equal(found["optimiser"]["state"][0]["exp_avg"], optimiser.state_dict()["state"][0]["exp_avg"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a state"])
def test_a_broken_state(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"state.pt: not a readable training state \(.+\)"):
        load_state(path)


def test_missing_foreign_truncated_and_later_states(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with pytest.raises(ModelFileError, match="not a readable training state"):
        load_state(path)
    torch.save([1, 2], path)
    with pytest.raises(ModelFileError, match="not a readable training state"):
        load_state(path)
    save_state(path, {"version": 99})
    with pytest.raises(ModelFileError, match=r"a training state of version 99\n  expected: version 1"):
        load_state(path)
    save_state(path, {"weights": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ModelFileError, match="not a readable training state"):
        load_state(path)


class _Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


def test_a_state_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path, victim = tmp_path / "state.pt", tmp_path / "executed"
    torch.save({"version": 1, "network": _Malicious(victim)}, path)
    with pytest.raises(ModelFileError, match="not a readable training state"):
        load_state(path)
    assert not victim.exists()
    torch.load(path, weights_only=False)  # the same file is dangerous to a careless reader
    assert victim.exists()
