"""``unpool info`` and ``unpool verify``: a model file told and proven; a broken one refused with one message."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import save_file

import tiny
from conftest import Program
from unpool.checkpoint import models
from unpool.checkpoint.card import CARD_VERSION
from unpool.checkpoint.models import save_model
from unpool.commands.info import info
from unpool.commands.train.train import TrainedRun
from unpool.commands.verify import verify
from unpool.errors import ModelFileError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(tmp_path / "model.safetensors", tiny.segmenter(), {}, "CC-BY-4.0")
    return tmp_path / "model.safetensors"


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], object]) -> None:
    """Change a model file as somebody would who can compute the checksum too."""
    with safetensors.safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["unpool"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(card, tensors)
    text = json.dumps(card)
    save_file(tensors, path, metadata={"unpool": text, "unpool-sha256": models._checksum(tensors, text)})


def test_a_trained_model_is_read_out(run: TrainedRun) -> None:
    told = info(run.folder)
    lines = told.text.splitlines()
    assert lines[0] == "network     unet, 1 channel in, 2 classes out"
    assert lines[1].startswith(f"file        {run.model}")
    assert "0   background  0         #000000" in lines
    assert any(line.startswith("sizes") and "padded by mirroring to a multiple of 4" in line for line in lines)
    for word in ("uint8 pixels", "6 for training, 2 for validation, 0 for testing", "epochs 3", "U-Net", "not given"):
        assert word in told.text
    low, high = told.data["card"]["story"]["validation"]["intervals"]["mean_iou"]
    assert low <= told.data["card"]["story"]["validation"]["mean_iou"] <= high
    assert f"[{low:.3f}, {high:.3f}]" in told.text
    assert told.data["card"]["version"] == CARD_VERSION
    assert told.data["file"]["bytes"] == run.model.stat().st_size
    assert told.data["file"]["checksum"] in told.text


def test_tests_beside_the_model_are_told(saved: Path) -> None:
    scores = {"scores": {"mean_iou": 0.5}, "intervals": {"mean_iou": [0.4, 0.6]}, "images": [1, 2], "which": "all"}
    for name, content in {"test-a": json.dumps(scores), "test-b": "{", "test-c": "[]"}.items():
        (saved.parent / name).mkdir()
        (saved.parent / name / "scores.json").write_text(content)
    text = info(saved).text
    letters = "".join(text.split())  # a long path is broken anywhere
    assert "test-a      mean IoU 0.500 [0.400, 0.600] on 2 pictures (all)" in text
    assert "scores.json:novalidJSON(line1" in letters
    assert "scores.json:nottheresultofatest" in letters
    assert "CC-BY-4.0" in text


def test_a_trained_model_is_proven(run: TrainedRun) -> None:
    found = verify(run.folder, device="cpu", precision="bfloat16")
    assert found.holds
    assert [check.holds for check in found.checks] == [True, True, True, True, None]
    (apart,) = re.findall(
        r"the logits at 24 places differ by at most (\S+) of the largest", " ".join(found.text.split())
    )
    assert float(apart) < 1e-5
    assert "bfloat16" in found.checks[-1].text + found.checks[-1].name
    assert found.text.endswith("computes here what it computed where it was trained")


def test_the_commands(program: Program, saved: Path) -> None:
    assert program("info", saved).code == 0
    assert json.loads(program("info", saved, "--json").out)["card"]["net"] == "unet"
    said = program("verify", saved.parent, "--precision", "float32")
    assert said.code == 0
    assert said.out.count("OK  ") == 4
    assert json.loads(program("verify", saved, "--json").out)["holds"] is True


def other_weights(card: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    tensors["head.bias"] = tensors["head.bias"] + 1


def other_constants(card: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    card["normalisation"]["constants"]["uint8"]["mean"] = [90.0]


def other_answer(card: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    card["probe"]["logits"][5][1] += 1


def other_classes(card: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    card["probe"]["classes"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (other_weights, ["answer in float32 on the CPU"]),
        (other_constants, ["probe"]),
        (other_answer, ["answer in float32 on the CPU"]),
        (other_classes, ["answer's classes"]),
    ],
)
def test_what_was_changed_with_a_right_checksum_is_found(
    change: Callable[..., None], wrong: list[str], saved: Path, program: Program
) -> None:
    rewrite(saved, change)
    found = verify(saved)
    assert found.holds is False
    assert set(wrong) <= {check.name for check in found.checks if check.holds is False}
    said = program("verify", saved)
    assert said.code == 1
    assert "does NOT compute here" in said.out


def test_a_model_without_a_probe_is_not_proven(saved: Path, program: Program) -> None:
    rewrite(saved, lambda card, _: card.update(probe=None))
    said = program("verify", saved)
    assert said.code == 1
    assert "the network's output was not finite when the model was saved" in said.out.replace("\n       ", " ")
    rewrite(saved, lambda card, _: [card.pop("probe"), card.update(version=1)])
    said = program("verify", saved)
    assert said.code == 1
    assert "a card of version 1 has no probe" in said.out
    assert "is not known" in said.out
    assert program("info", saved).code == 0


def test_a_story_of_another_form(saved: Path) -> None:
    rewrite(saved, lambda card, _: card["story"].update(data=[]))
    with pytest.raises(ModelFileError, match=r"unpool did not write this card for these weights \(story.data = \[\]"):
        info(saved)


def test_control_characters_do_not_reach_the_terminal(saved: Path) -> None:
    rewrite(saved, lambda card, _: card.update(licence="\x1b[2J"))
    assert "\x1b" not in info(saved).text


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_broken_file_gives_one_message(command: str, saved: Path, program: Program) -> None:
    content = saved.read_bytes()

    def refused(*words: str) -> None:
        said = program(command, saved)
        assert said.code == 3
        assert said.err.startswith(f"unpool: {saved}: ")
        assert all(word in said.err for word in ("\n  expected: ", "\n  to do:    ", *words))
        assert "Traceback" not in said.err

    for share in (0.0, 0.1, 0.999):
        saved.write_bytes(content[: int(share * len(content))])
        refused("this is not a model file")
    places = {"card": content.index(b"normalisation"), "probe": content.index(b"undecided") + 15}
    for place in (*places.values(), len(content) - 7, *random.Random(1).sample(range(len(content)), 10)):
        changed = bytearray(content)
        changed[place] ^= 1
        saved.write_bytes(changed)
        refused()
    saved.write_bytes(content)
    rewrite(saved, lambda card, _: card.update(version=9))
    refused("a model card of version 9", "install the newer unpool")
    save_file({"weight": torch.zeros(3)}, saved)
    refused("without an unpool card")
    torch.save({"weight": torch.zeros(3)}, saved)
    refused("this is not a model file")
    saved.unlink()
    refused("no such file")
