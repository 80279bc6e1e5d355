"""Model files and checkpoints: what goes in comes out, and nothing else gets in."""

import json
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import save_file
from torch import nn

import tiny
from unpool.checkpoint import checkpoints, models
from unpool.checkpoint.checkpoints import load_checkpoint, load_newest_checkpoint, previous, save_checkpoint
from unpool.checkpoint.models import bare_state, load_model, new_model, save_model
from unpool.errors import ModelFileError, RunError


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
    assert "this is not a model file" in refusal(saved).found


def test_foreign_files(saved: Path) -> None:
    save_file({"weight": torch.zeros(3)}, saved)
    assert "without an unpool card" in refusal(saved).found
    save_file({"weight": torch.zeros(3)}, saved, metadata={"unpool": "[1]"})
    assert "without an unpool card" in refusal(saved).found
    torch.save({"weight": torch.zeros(3)}, saved)
    assert "this is not a model file" in refusal(saved).found


def rewrite(path: Path, change: Callable[[dict[str, Any]], object], drop: str = "", *, signed: bool = True) -> None:
    """Change a card, as somebody would who can compute the checksum too."""
    with safetensors.safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["unpool"])
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != drop}  # noqa: SIM118
    change(card)
    text = json.dumps(card)
    checksum = {"unpool-sha256": models._checksum(tensors, text)} if signed else {}
    save_file(tensors, path, metadata={"unpool": text, **checksum})


def test_a_card_of_a_later_version(saved: Path) -> None:
    rewrite(saved, lambda card: card.update(version=4))
    error = refusal(saved)
    assert error.found == f"{saved}: a model card of version 4"
    assert (error.expected, error.repair) == ("version 1, 2 or 3", "install the newer unpool that wrote it")
    rewrite(saved, lambda card: card.update(version="new"))
    assert refusal(saved).repair == "give a model.safetensors that unpool wrote"


def as_version_1(card: dict[str, Any]) -> None:
    """Take away what version 1 did not have."""
    for key in ("size_rule", "licence", "citation", "probe"):
        del card[key]
    del card["normalisation"]["by"]
    card["version"] = 1


def test_a_card_of_version_1_is_read_and_completed(saved: Path) -> None:
    new = load_model(saved).card
    rewrite(saved, as_version_1, signed=False)
    found = load_model(saved).card
    assert found == {**new, "version": 1, "probe": None}
    assert found["size_rule"]["step"] == 4
    assert "U-Net" in found["citation"]


def test_a_card_from_before_stems_is_a_network_without_one(saved: Path) -> None:
    new = load_model(saved)
    assert new.card["structure"]["stem"] == "none"
    rewrite(saved, lambda card: card["structure"].pop("stem"))
    found = load_model(saved)
    assert found.segmenter.network.structure == new.segmenter.network.structure
    image = torch.randn(1, 1, 32, 48)
    with torch.inference_mode():
        assert torch.equal(found.segmenter.network(image), new.segmenter.network(image))


def test_a_stem_is_kept(tmp_path: Path) -> None:
    model, path = tiny.segmenter(stem="strided"), tmp_path / "model.safetensors"
    save_model(path, model, {})
    found, card = load_model(path)
    assert card["structure"]["stem"] == "strided"
    assert (card["size_rule"]["smallest"], card["size_rule"]["step"]) == (8, 8)
    assert found.network.structure == model.network.structure


def test_a_licence_is_kept(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", perturbed(), {}, "CC-BY-4.0")
    assert load_model(tmp_path / "model.safetensors").card["licence"] == "CC-BY-4.0"


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
        lambda card: card["probe"].update(size=[1]),
        lambda card: card["probe"]["places"].pop(),
        lambda card: card["probe"].update(undecided="no bits"),
        lambda card: card["probe"].update(pixels="int3"),
        lambda card: card.update(net=5),
        lambda card: card.update(licence=["MIT"]),
        lambda card: card.update(story=[]),
        lambda card: card["story"].update(data={"split": {"train": 5}}),
        lambda card: card["story"].update(config={"training": {"optimiser": "x", "batch_size": 1}}),
        lambda card: card["story"].update(config={"loss": {"focal": "much"}}),
        lambda card: card["story"].update(history=[{"epoch": "first"}]),
        lambda card: card["story"].update(validation={"intervals": {"mean_iou": [0.1]}}),
    ],
)
def test_a_tampered_card(change: Callable[[dict[str, Any]], object], saved: Path) -> None:
    rewrite(saved, change)
    assert "unpool did not write this card for these weights" in refusal(saved).found


@pytest.mark.parametrize(
    "card", ["[" * 5000, '{"version": ' + "9" * 5000 + "}", '{"a": 1, "a": 2}', "[]", "{", '"\\ud800"']
)
def test_a_card_that_is_no_document(card: str, saved: Path) -> None:
    tensors = safetensors.torch.load_file(saved)
    safetensors.torch.save_file(tensors, saved, {"unpool": card})
    assert "a safetensors file without an unpool card (" in refusal(saved).found


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused_by_name(value: float, tmp_path: Path) -> None:
    model = perturbed()
    with torch.no_grad():
        model.network.get_parameter("head.weight")[0, 0] = value
    save_model(tmp_path / "model.safetensors", model, {})
    error = refusal(tmp_path / "model.safetensors")
    assert "model.safetensors: head.weight has 1 of" in error.found
    assert "values that are not finite" in error.found


def test_a_missing_tensor(saved: Path) -> None:
    rewrite(saved, lambda card: None, drop="head.weight")
    assert "unpool did not write this card for these weights" in refusal(saved).found


def test_a_state_comes_back_equal(tmp_path: Path) -> None:
    network = tiny.segmenter().network
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.randn(1, 1, 32, 32)).sum().backward()
    optimiser.step()
    path = tmp_path / "state.pt"
    save_checkpoint(
        path, {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "numbers": [1, None, "x"]}
    )
    found = load_checkpoint(path)
    assert found["numbers"] == [1, None, "x"]
    assert torch.equal(found["network"]["head.weight"], network.head.weight)
    assert torch.equal(found["optimiser"]["state"][0]["exp_avg"], optimiser.state_dict()["state"][0]["exp_avg"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a state"])
def test_a_broken_state(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"state.pt: not a readable checkpoint \(.+\)"):
        load_checkpoint(path)


def test_missing_foreign_truncated_and_later_states(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with pytest.raises(ModelFileError, match="not a readable checkpoint"):
        load_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(ModelFileError, match="not a readable checkpoint"):
        load_checkpoint(path)
    save_checkpoint(path, {"version": 99})
    with pytest.raises(ModelFileError, match=r"a checkpoint of version 99\n  expected: version 1"):
        load_checkpoint(path)
    save_checkpoint(path, {"weights": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ModelFileError, match="not a readable checkpoint"):
        load_checkpoint(path)


class _Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


def test_a_state_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path, victim = tmp_path / "state.pt", tmp_path / "executed"
    torch.save({"version": 1, "network": _Malicious(victim)}, path)
    with pytest.raises(ModelFileError, match="not a readable checkpoint"):
        load_checkpoint(path)
    assert not victim.exists()
    torch.load(path, weights_only=False)  # the same file is dangerous to a careless reader
    assert victim.exists()


def flip(path: Path, place: int) -> None:
    """Flip a bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << place % 8
    path.write_bytes(content)


def test_no_flipped_bit_is_ever_loaded_as_if_nothing_were_wrong(tmp_path: Path) -> None:
    """A bit may fall into padding or into something nobody reads; then what is loaded is what was saved."""
    path = tmp_path / "state.pt"
    save_checkpoint(path, {"weights": torch.randn(50, 50), "numbers": [1, 2.5, "x"]})
    right, content = load_checkpoint(path), path.read_bytes()
    chance, refused = random.Random(1), 0
    for place in chance.choices(range(len(content)), k=300):
        flip(path, place)
        try:
            found = load_checkpoint(path)
        except ModelFileError:
            refused += 1
        else:
            assert torch.equal(found["weights"], right["weights"])
            assert found["numbers"] == right["numbers"]
        path.write_bytes(content)
    assert refused > 250


def test_no_flipped_bit_of_a_model_is_ever_loaded(saved: Path) -> None:
    content = saved.read_bytes()
    for place in random.Random(1).choices(range(len(content)), k=200):
        flip(saved, place)
        refusal(saved)
        saved.write_bytes(content)
    flip(saved, len(content) - 40)
    assert "the model file is damaged: its checksum is wrong" in refusal(saved).found


def test_only_the_first_version_may_be_without_a_checksum(saved: Path) -> None:
    rewrite(saved, lambda card: None, signed=False)
    assert "its checksum is missing" in refusal(saved).found


SAVERS: dict[str, Callable[[Path], None]] = {
    "state.pt": lambda path: save_checkpoint(path, {"weights": torch.randn(100, 100)}),
    "model.safetensors": lambda path: save_model(path, perturbed(), {}),
}
LOADERS: dict[str, Callable[[Path], Any]] = {"state.pt": load_checkpoint, "model.safetensors": load_model}


@pytest.mark.parametrize("name", list(SAVERS))
def test_what_does_not_read_back_does_not_take_the_old_ones_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flush = tmp_path / name, checkpoints.flush_to_disk

    def forgetful(draft: Path) -> None:
        flush(draft)
        flip(draft, draft.stat().st_size // 2)

    SAVERS[name](path)
    before = path.read_bytes()
    monkeypatch.setattr(checkpoints, "flush_to_disk", forgetful)
    monkeypatch.setattr(models, "flush_to_disk", forgetful)
    with pytest.raises(RunError) as error:
        SAVERS[name](path)
    assert f"{path}: the written file does not read back (" in error.value.found
    assert "checksum" in error.value.found
    assert error.value.expected == "a disk that returns what is written to it"
    assert error.value.repair == "check the disk, or write to another one"
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_state_that_could_not_be_read_back_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not read back"):
        save_checkpoint(tmp_path / "state.pt", {"score": np.float64(0.5)})
    assert not list(tmp_path.iterdir())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", list(SAVERS))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 0.999])
def test_where_there_is_no_room_the_old_file_stays(name: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / name
    SAVERS[name](path)
    before = path.read_bytes()
    with (
        largest_file(int(share * len(before))),
        pytest.raises(
            RunError, match=rf"{name}: cannot be written \(File too large\)\n  expected: room for 0\.1 MB in "
        ),
    ):
        SAVERS[name](path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [name]
    LOADERS[name](path)


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="a timer that sends a signal")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may fall into a ``__del__``
def test_an_impatient_ctrl_c_in_the_middle_of_a_save_leaves_a_whole_state(tmp_path: Path) -> None:
    path, heavy = tmp_path / "state.pt", torch.randn(1 << 20)
    interrupted = 0
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        save_checkpoint(path, {"number": 0, "heavy": heavy})
        for number in range(1, 40):
            last = load_checkpoint(path)["number"]
            signal.setitimer(signal.ITIMER_REAL, 0.001 * number)
            try:
                save_checkpoint(path, {"number": number, "heavy": heavy})
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
            found = load_checkpoint(path)
            assert found["number"] in (last, number)
            assert torch.equal(found["heavy"], heavy)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted


def test_the_state_before_is_kept_and_read_where_the_newest_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    for number in (1, 2, 3):
        save_checkpoint(path, {"number": number})
    assert [load_checkpoint(file)["number"] for file in (path, previous(path))] == [3, 2]
    assert previous(path).name == "state.previous.pt"
    found = load_newest_checkpoint(path)
    assert (found.state["number"], found.file, found.damage) == (3, path, None)
    path.write_bytes(path.read_bytes()[:-10])
    found = load_newest_checkpoint(path)
    assert (found.state["number"], found.file) == (2, previous(path))
    assert "state.pt: not a readable checkpoint (BadZipFile" in found.damage.found
    previous(path).unlink()
    with pytest.raises(ModelFileError, match=r"state\.pt: not a readable"):
        load_newest_checkpoint(path)


def test_a_state_of_a_later_version_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_checkpoint(path, {"number": 1})
    save_checkpoint(path, {"version": 99})
    with pytest.raises(ModelFileError, match="a checkpoint of version 99"):
        load_newest_checkpoint(path)


def test_a_new_model_waits_until_the_body_has_succeeded(saved: Path) -> None:
    before = saved.read_bytes()
    other = tiny.segmenter("segnet-basic")

    def fail() -> None:
        with new_model(saved, other, {}) as draft:
            assert load_model(draft).segmenter.net == "segnet-basic"
            assert saved.read_bytes() == before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert saved.read_bytes() == before
    (draft,) = (path for path in saved.parent.iterdir() if path != saved)
    assert load_model(draft).segmenter.net == "segnet-basic"
    with new_model(saved, other, {}):
        pass
    assert load_model(saved).segmenter.net == "segnet-basic"
