"""Every repair can be typed: typed as printed, it works or leads to a refusal that goes further, never in a circle."""

import re
import shlex
from pathlib import Path

import pytest

from conftest import Program
from unpool.commands.train.train import TrainedRun

MOST_STEPS = 5
"""The most repairs that lead from a refused command line to one that works."""

EXPLAINED = [
    "unett", "zzz", "unet --size 1", "unet --size 100000", "unet --size 0", "unet --size 1x2x3", "unet --size nan",
    "segnet --size 1 --set depth=3 --set pooling_rounding=floor", "unet --classes 0", "unet --classes -3",
    "unet --classes 1000000000", "unet --classes 1.5", "unet --channels 0", "unet --channels 99999", "unet segnt",
    "unet segnet --page x.md", "--size 5", "segnet-table-1 --size 5", "unet --set crop=64",
    "fcn-8s --set kernel=5",
]  # fmt: skip
"""Words after ``unpool explain`` that are refused."""

CHECKED = [
    "--masks value", "--maks values", "--set epoch=3", "--set epochs", "--set data.epochs=3", "--set crop=8",
    "--set crop=huge", "--set start=2020", "--set parts=9", "--set learning_rate=nan", "--set minutes=inf",
    "--set epochs=2 --set minutes=2", "--set class_weights=[0]", "--set class_weights=[]",
    "--set division=sum --set dice=1", "--set cross_entropy=0 --set dice=0", "--set net=zz", "--set kind=fcn",
    "--set device=7", "--seed -1", "--seed 1180591620717411303424", "--seed 1.5", "--recipe unett", "--ignore x",
    "--classes", "--classes x=cell", "--classes cell", "--classes cell cell",
    "--set net=fcn-8s --set kernel=5", "--set kernel=4", "--set kernel=99", "--set skip=index", "--set up=unpool",
    "--set up=unpool --set skip=none", "--set squeeze=true", "--set join=after", "--set norm=group --set width=4",
    "--set encoder_convolutions=[1]", "--set encoder_convolutions=x", "--set encoder_convolutions=0",
    "--set block=residual",
    "--set block=residual --set encoder_convolutions=3 --set decoder_convolutions=3 --set padding=valid",
    "--set dropout_after=encoder4", "--set dropout_after=['encoder9']",
    "--set decoder_depthwise=true", "--set skip=none --set skip_from=pooled", "--set depth=100",
    "--set stem=strided --set head_kernel=3", "--set width=1000000000",
    "--set net=fcn-32s --set upsampling=learned", "--set net=fcn-32s --set at_once=true",
    "--set net=fcn-8s --set padding=3", "--set net=fcn-8s --set padding=-3", "--set net=segnet --set padding=valid",
    "--set net=fusionnet --set decoder_convolutions=2",
]  # fmt: skip
"""Words after ``unpool check CELLS`` that are refused."""

TINY_STUDY = (
    "--epochs 1 --seeds 1 --most-seeds 1 --device cpu --set width=4 --set depth=2 --set crop=32 --set batch_size=2 "
    "--set precision=float32 --set compile=no"
)
"""Options of a study that takes seconds."""

OTHERS = [
    "chek {cells}", "check {cells} surplus", "check", "compare {run}", "compare", "runs zz",
    "runs show zz", "runs {runs} --where zz", "runs {runs} --where zzz=1", "runs {runs} --where crops=32",
    "runs {runs} --sort best", "recipes more", "info {tmp}/gone", "verify {tmp}/gone", "verify {run} --device hpu",
    "verify {run} --device cuda:99", "verify {run} --device meta", "predict {run} {cells}", "predict {run}",
    "predict {run} {cells}/images/00.png --out {tmp}/a --samples 3",
    "predict {run} {cells}/images/00.png --out {tmp}/b --samples -1",
    "predict {run} {cells}/images/00.png --out {tmp}/c --samples 1000000000",
    "predict {run} {cells}/images/00.png --out {tmp}/d --memory 0",
    "predict {run} {cells}/images/00.png --out {tmp}/e --memory nan",
    "predict {run} {cells}/images/00.png --out {tmp}/f --memory 1e99",
    "predict {run} {cells}/images/00.png --out {tmp}/g --tta zz", "predict {run} {tmp}/gone --out {tmp}/h",
    "predict {run} {tmp}/*.png --out {tmp}/i", "test {run} {cells} --split tset --out {tmp}/j",
    "test {run} {cells} --split test --out {tmp}/k", "test {run} {cells} --measures zz --out {tmp}/l",
    "test {run} {tmp}/gone", "ensemble {run}", "ensemble {run} {run}", "ensemble {run} {run} --out {tmp}/e",
    "ensemble {run} --out {run}/e.safetensors", "ensemble {run} {tmp}/gone --out {tmp}/e.safetensors",
    "export {run} --to onix",
    "study plans zz", "study show {tmp}", "study {cells} --plan zz",
    f"study {{cells}} {TINY_STUDY} --out {{tmp}}/w --vary skip", f"study {{cells}} {TINY_STUDY} --out {{tmp}}/s",
    f"study {{cells}} {TINY_STUDY} --out {{tmp}}/t --vary skip=none",
    f"study {{cells}} {TINY_STUDY} --out {{tmp}}/u --vary skop=none,add",
    "study {cells} --vary seed=1,2", "study {cells} --vary skip=none,add --storage zz:/",
    "export {run} --to torch-export --pixels uint16 --out {tmp}/m.pt2", "demo --minutes nan", "demo --minutes 0",
]  # fmt: skip
"""Other command lines that are refused."""


def next_words(words: list[str], message: str) -> list[str] | None:
    """Return the command line that a message advises; None where it advises something else than a command line."""
    repair = re.sub(r"(?<=\S)[;?] see (them all: )?unpool explain.*", "", message.partition("to do:")[2])
    if command := re.search(r"unpool ([a-z]+)((?: [^;,?\n]+)*)", repair):
        rest = shlex.split(command[2])
        placeholder = any(word.isupper() or "runs/photos" in word or "photos" in word for word in rest)
        return None if placeholder else [command[1], *(rest or words[1:])]
    if left_out := re.search(r"leave (?:out )?(--[a-z-]+)", repair):
        return without(words, left_out[1])
    if assignments := re.search(r"(--set .*?)(?:, or |$)", repair.strip()):
        chosen = shlex.split(assignments[1])
        for assignment in chosen[1::2]:
            words = with_setting(words, *assignment.split("=", 1))
        assert chosen[::2] == ["--set"] * (len(chosen) // 2), repair
        return None if "…" in assignments[1] else words
    if option := re.search(r"(--[a-z-]+) (?!to |or |alone|is |when |once)([^\s,;?]+(?:,[^\s,;?]+)*)", repair):
        return with_option(words, option[1], option[2])
    if name := re.search(r"did you mean (--[a-z-]+)\?", repair):
        wrong = next(word for word in words if word.startswith("--") and word in message)
        return [name[1] if word == wrong else word for word in words]
    if key := re.search(r"(?:did you mean|write) ([a-z_.]+)(?:\?|$)", repair.strip()):
        return [re.sub(r"^[a-z_.]+=", f"{key[1]}=", word) if word == words[-1] else word for word in words]
    return None


def without(words: list[str], option: str) -> list[str]:
    at = words.index(option)
    return words[:at] + words[at + 2 :]


def with_option(words: list[str], option: str, value: str) -> list[str]:
    return [*(without(words, option) if option in words else words), option, value]


def with_setting(words: list[str], key: str, value: str) -> list[str]:
    kept = [word for word in words if word.partition("=")[0] != key]
    while any(word == "--set" and (kept[k + 1 :] or ["--"])[0].startswith("--") for k, word in enumerate(kept)):
        at = next(k for k, w in enumerate(kept) if w == "--set" and (kept[k + 1 :] or ["--"])[0].startswith("--"))
        kept = kept[:at] + kept[at + 1 :]
    return [*kept, "--set", f"{key}={value}"]


def follow(words: list[str], program: Program) -> None:
    """Type what each refusal advises, until a command works or nothing can be typed; no refusal may come twice."""
    seen: list[str] = []
    following: list[str] | None = words
    while following is not None:
        said = program(*following)
        assert "Traceback" not in said.err
        if said.code == 0:
            assert seen, f"{words} is not refused"
            return
        assert said.code in (1, 2, 3), said
        assert len(re.findall(r"^  (?:expected:|to do:   ) \S", said.err, re.MULTILINE)) == 2, said.err
        assert said.err not in seen, f"a circle: {following}\n{said.err}"
        seen.append(said.err)
        assert len(seen) <= MOST_STEPS, "\n".join(seen)
        following = next_words(following, said.err)


@pytest.mark.parametrize("line", EXPLAINED)
def test_repairs_of_explain(line: str, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    follow(["explain", *shlex.split(line)], program)


@pytest.mark.parametrize("line", CHECKED)
def test_repairs_of_settings(line: str, cells: Path, program: Program) -> None:
    follow(["check", str(cells), *shlex.split(line)], program)


@pytest.mark.parametrize("line", OTHERS)
def test_repairs_of_other_commands(
    line: str, cells: Path, run: TrainedRun, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # as in a process of its own: this one holds what all tests before it have left
    monkeypatch.setattr("unpool.prediction.memory_limit.resident_memory", lambda: 3e8)
    places = {"cells": cells, "run": run.folder, "runs": run.folder.parent, "tmp": tmp_path}
    follow(shlex.split(line.format(**places)), program)
