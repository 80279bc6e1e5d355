"""The benchmarks run, and their numbers have the names they deserve."""

import itertools
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.exc import TorchDynamoException
from torch.utils._python_dispatch import TorchDispatchMode

import convolutions
import loading
import peers
import plain_loop
import predict_large
import scoring
import ten_minutes
import tiny
import train_step
from unpool.class_table import IGNORE_ID
from unpool.data.samples import Sample
from unpool.machine.device import Machine


def task(net: str = "unet", width: int = 4) -> train_step.Task:
    torch.manual_seed(0)
    return train_step.Task(net, width, torch.randn(1, 3, 32, 32), torch.randint(2, (1, 32, 32)))


def results(program: Any, *words: str, file: Path) -> dict[str, Any]:
    program.main(["--quick", "--json", str(file), *words])
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["machine"]["threads"] == 1
    assert found["machine"]["torch"] == torch.__version__
    assert found["date"].startswith("20")
    return found


@pytest.mark.parametrize("net", ["unet", "segnet-basic"])
def test_a_training_step_is_timed(net: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = results(train_step, "--device", "cpu", "--net", net, file=tmp_path / "step.json")
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows)[:5] == ["float32 default", "float32 channels-last", "ours, eager", "ours, compiled",
                              "convolution ceiling"]  # fmt: skip
    assert found["ours"] == "ours, eager"
    assert rows["ours, compiled"]["note"] == "left out of a quick look"
    assert found["ours_s"] == rows[found["ours"]]["median_s"]
    assert found["float32_default_s"] == rows["float32 default"]["median_s"]
    assert found["convolution_ceiling_s"] == rows["convolution ceiling"]["median_s"]
    assert found["ratio"] == found["float32_default_s"] / found["ours_s"]
    for row in (row for name, row in list(rows.items())[:5] if name != "ours, compiled"):
        assert len(row["times_s"]) == found["settings"]["repeats"] == 2
        assert row["median_s"] == pytest.approx(sum(row["times_s"]) / 2)
        assert row["best_s"] == min(row["times_s"]) > 0
        assert row["ratio"] == found["float32_default_s"] / row["median_s"]
    table = capsys.readouterr().out
    assert all(name in table for name in rows)


def test_loading_is_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = results(loading, file=tmp_path / "loading.json")
    assert [row["crop"] for row in found["rows"]] == [64, 96]
    for row in found["rows"]:
        assert set(row["parts_ms"]) == {"place", "field", "picture", "labels", "grey_values"}
        assert 0 < min(row["parts_ms"].values()) <= max(row["parts_ms"].values()) < row["crop_ms"]
        assert row["computed_s"] >= found["settings"]["steps"] * found["settings"]["step"]
        assert row["waiting_share"] == row["waited_s"] / (row["waited_s"] + row["computed_s"])
    assert "grey values" in capsys.readouterr().out


def test_scoring_is_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = results(scoring, file=tmp_path / "scoring.json")
    assert {"confusion counts", "calibration", "intervals of the counts", "scores.json"} <= set(found["seconds"])
    assert found["sum"] == pytest.approx(sum(found["seconds"].values()))
    assert found["boundaries_a_picture"] > 0
    assert "boundaries, per picture" in capsys.readouterr().out


def test_a_slow_source_is_waited_for() -> None:
    def batches() -> Any:
        for _ in range(3):
            loading.compute(0.05)
            yield None

    waited, computed = loading.waits(batches(), step=0.02)
    assert len(waited) == 3
    assert min(waited) >= 0.05
    assert computed >= 0.06


def test_the_plain_unet_is_ours() -> None:
    """The same sizes and, with the same weights, the same logits: the ratio compares one network with itself."""
    with torch.device("meta"):
        assert sum(p.numel() for p in peers.PlainUNet(3, 2, 64).parameters()) == 31_037_698
    given = task()
    network, plain = given.network().eval(), peers.PlainUNet(3, 2, 4).eval()
    joined = itertools.chain.from_iterable(zip(plain.up, plain.join, strict=True))
    theirs = [value for module in (plain.down, *joined, plain.head) for value in module.state_dict().values()]
    for mine, value in zip(network.state_dict().values(), theirs, strict=True):
        value.copy_(mine)
    torch.testing.assert_close(plain(given.images), network(given.images))


class Seen(TorchDispatchMode):
    """A count of torch's calls of convolutions, forward and backward, by their arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        if "convolution" in str(function):
            given = [(*a.shape, a.dtype) if isinstance(a, torch.Tensor) else a for a in arguments]
            self.calls[f"{function} {given}"] += 1
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("net", train_step.NETS)
def test_the_ceiling_is_the_convolutions_of_a_step(net: str, reduced: bool) -> None:
    given, machine = task(net), Machine(torch.device("cpu"), reduced)
    with Seen() as whole:
        train_step.ours(given, machine, compiled=False).run()
    alone = convolutions.lone_convolutions(given.network(), given.images, machine)
    with Seen() as ceiling:
        for one in alone:
            one.run()
    assert ceiling.calls == whole.calls
    assert ceiling.calls.total() == 2 * len(alone) > 0
    assert all(one.maps.is_contiguous(memory_format=torch.channels_last) for one in alone)


def test_what_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai", None)
    absent = train_step.packaged(task(), peers.PACKAGED[0], tiny.CPU, "MONAI")
    assert (absent.run, absent.note) == (None, "not installed: pip install monai")

    def broken(*_: object, **__: object) -> Any:
        raise TorchDynamoException("no compiler here\n\nset TORCH_LOGS")

    monkeypatch.setattr(train_step, "ours", lambda *_, **__: train_step.Contender("ours", 1, broken))
    absent = train_step.compiled(task(), tiny.CPU, quick=False)
    assert absent.run is None
    assert absent.note == "not compiled: no compiler here"


def test_an_illegal_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train_step.options(["--size", "500"])
    assert "the next size is 512" in capsys.readouterr().err


def test_a_large_prediction_is_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict_large.main(["--quick", "--only", "unpool", "--json", str(tmp_path / "large.json")])
    (row,) = json.loads((tmp_path / "large.json").read_text(encoding="utf-8"))["rows"]
    assert row["name"] == "unpool"
    assert row["against_unpool"] == 1
    assert 0 < row["peak_gb"] < 1.2
    assert row["differs"] < 0.05
    assert "largest difference" in capsys.readouterr().out


@pytest.mark.slow
def test_minutes_of_training_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "monai", None)
    out, page, drawing = tmp_path / "results.jsonl", tmp_path / "table.md", tmp_path / "curve.svg"
    words = ["--quick", "--contenders", "unpool", "milesial", "monai", "--out", str(out)]
    ten_minutes.main([*words, "--markdown", str(page), "--svg", str(drawing)])
    shown = capsys.readouterr()
    assert "2 trainings to run" in shown.err
    assert "MONAI BasicUNet: left out, not installed: pip install monai" in shown.err
    lines = ten_minutes.read_results(out)
    assert [line["contender"] for line in lines] == ["unpool", "milesial"]
    for line in lines:
        assert (line["label"], line["data"], line["budget"], line["seed"]) == ("native", "cells", 0.02, 0)
        assert (line["trained"], line["scored"]) == (4, 2)
        assert line["steps"] >= 1
        assert line["wall_s"] > 0
        assert 0 <= line["scores"]["mean_iou"] <= 1
        assert line["scores"]["pixel_error"] + 1e-9 >= 0
        assert line["machine"]["torch"] == line["versions"]["torch"]
    assert lines[0]["withheld"] == lines[1]["withheld"]
    assert (lines[0]["size"]["width"], lines[0]["size"]["crop"]) == (4, 32)
    assert shown.out == page.read_text(encoding="utf-8")
    assert f"| {lines[0]['scores']['mean_iou']:.3f} | 1 |" in shown.out
    assert re.match(r"<svg [^>]*><style>", drawing.read_text(encoding="utf-8"))
    ten_minutes.main(words)
    assert "0 trainings to run" in capsys.readouterr().err
    assert ten_minutes.read_results(out) == lines


def test_the_plan_has_what_its_page_says() -> None:
    first = ten_minutes.planned(ten_minutes.options([]), None)
    assert first == [("nuclei", key, 5, 0) for key in ten_minutes.CONTENDERS]
    cells = ten_minutes.planned(ten_minutes.options([]), "monai")
    assert len(cells) == len(set(cells))
    assert cells[: len(first)] == first
    ours = [cell for cell in cells if cell.contender == "unpool"]
    assert Counter(cell.budget for cell in ours) == {2: 9, 5: 9, 10: 3, 1.5: 3}
    best = [cell for cell in cells if cell.contender == "monai"]
    assert Counter((cell.budget, cell.seed) for cell in best) == {(5, 0): 3, (10, 0): 3, (1.5, 0): 1}
    assert {(c.data, c.budget) for c in cells if c.contender in ("smp", "smp-tuned")} == {("nuclei", 5)}
    few = ten_minutes.planned(ten_minutes.options(["--sets", "nuclei", "--budgets", "5", "--seeds", "1"]), "monai")
    assert few == [("nuclei", "unpool", 5, 1)]


def test_the_best_peer_is_the_best_of_the_opening() -> None:
    def line(data: str, contender: str, budget: float, dice: float) -> dict[str, Any]:
        scores = {"foreground_dice": dice}
        return {"kind": "training", "data": data, "contender": contender, "budget": budget, "scores": scores}

    lines = [line("nuclei", "smp", 5, 0.8), line("nuclei", "monai", 5, 0.88), line("nuclei", "unpool", 5, 0.91)]
    others = [line("nuclei", "smp", 10, 0.95), line("cells", "smp", 5, 0.95), {"kind": "planning"}]
    assert ten_minutes.best_peer_of([*lines, *others]) == "monai"
    assert ten_minutes.best_peer_of([]) == "smp-tuned"


def test_means_and_their_spread_are_in_the_table() -> None:
    def line(contender: str, seed: int, score: float) -> dict[str, Any]:
        return {
            "label": "native", "kind": "training", "data": "membranes", "contender": contender, "budget": 5,
            "seed": seed, "scored": 7, "steps": 100 + seed, "wall_s": 300.0, "scores": {"pixel_error": score},
            "date": f"2026-01-0{seed + 1}T00:00:00+00:00", "versions": {"torch": "2"},
            "machine": {"cpu": "x", "units": ["AVX2"], "threads": 2, "torch": "2"},
        }  # fmt: skip

    page = ten_minutes.markdown([line("smp", 0, 0.3), line("unpool", 0, 0.1), line("unpool", 1, 0.12)])
    assert "ISBI 2012 membranes: pixel error on 7 withheld pictures, lower is better." in page
    rows = [text for text in page.splitlines() if text.startswith("| 5 |")]
    assert rows == [
        "| 5 | Unpool, defaults | 0.110 ± 0.014 | 2 | 100 | 300 |",
        "| 5 | SMP U-Net ResNet-34, as its README | 0.300 | 1 | 100 | 300 |",
    ]
    assert "2026-01-01 to 2026-01-02" in page
    sized = [line("unpool", seed, 0.1) | {"size": {"width": width}} for seed, width in ((0, 16), (1, 8))]
    page = ten_minutes.markdown([line("smp", 0, 0.3), *sized])
    assert "| minutes | program | pixel error | seeds | maps | steps | seconds |" in page
    assert "| 5 | Unpool, defaults | 0.100 ± 0.000 | 2 | 16, 8 | 100 | 300 |" in page
    assert "| 5 | SMP U-Net ResNet-34, as its README | 0.300 | 1 | – | 100 | 300 |" in page


def test_withheld_pictures_are_apart(tmp_path: Path) -> None:
    tiny.write_set(tmp_path / "data" / "membranes", 9)
    data = ten_minutes.SETS["membranes"]
    place = ten_minutes.place_of(data, tmp_path / "data", tmp_path / "work", quick=False)
    assert place is not None
    names = sorted(file.stem for file in (tmp_path / "data" / "membranes" / "images").iterdir())
    assert [pair.name for pair in place.withheld] == names[-3:]
    assert [pair.name for pair in place.train] == names[:-3]
    assert all(pair.image.is_relative_to(tmp_path / "work" / "membranes" / "train") for pair in place.train)
    again = ten_minutes.place_of(data, tmp_path / "data", tmp_path / "work", quick=False)
    assert again == place
    assert ten_minutes.place_of(ten_minutes.SETS["nuclei"], tmp_path / "data", tmp_path / "work", quick=False) is None


class Copies(torch.nn.Module):
    """A network that knows the answer: the first channel is the class."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert image.shape[2] % 32 == image.shape[3] % 32 == 0
        return image[:, :1] - 0.5


def test_a_peer_is_scored_on_the_pictures_themselves() -> None:
    """A perfect network has perfect scores, on a size that has to be padded; ignored pixels do not count."""
    labels = np.random.default_rng(0).integers(0, 2, (45, 70)).astype(np.uint8)
    known = np.repeat(255 * labels[..., None], 3, axis=2)
    ignored = np.where(np.arange(70) < 20, IGNORE_ID, labels).astype(np.uint8)
    sample = Sample("a", known, ignored, None)
    recipe = peers.RECIPES["smp"]
    picture = plain_loop.picture_of(sample, recipe, None, 3)
    job = plain_loop.Job(
        recipe="smp", table=tiny.CELLS.to_card(), channels=3, train=(), withheld=(), minutes=1, started=0, seed=0,
        device="cpu", upright=False, width=0, crop=32, weights="", result="",
    )  # fmt: skip
    found = plain_loop.scored(Copies(), [sample], [picture], job, tiny.CPU)
    assert (found["mean_iou"], found["foreground_dice"], found["pixel_error"]) == (1, 1, 0)


def test_peers_crops_are_parts_of_the_pictures() -> None:
    random = np.random.default_rng(0)
    samples = [Sample(str(k), random.integers(0, 255, (40, 50, 1), np.uint8), np.zeros((40, 50), np.uint8), None)
               for k in range(3)]  # fmt: skip
    samples = [Sample(s.name, s.image, s.image[..., 0] // 128, None) for s in samples]
    pictures = [plain_loop.picture_of(sample, peers.RECIPES["smp"], None, 1) for sample in samples]
    assert plain_loop.crop_side(pictures, 256) == 32
    source = plain_loop.batches(pictures, 3, 32, 0, upright=False)
    for images, labels in itertools.islice(source, 3):
        assert images.shape == (3, 1, 32, 32)
        assert torch.equal(labels, (images[:, 0] * 255).round().long() // 128)
        for image in images:
            seen = {s.name for s in samples for seen_as in (image[0], image[0].flip(0), image[0].flip(1),
                    image[0].flip(0, 1)) if _holds(s.image[..., 0], seen_as)}  # fmt: skip
            assert len(seen) == 1
    source.close()


def _holds(pixels: Any, part: torch.Tensor) -> bool:
    found = np.round(part.numpy() * 255).astype(np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (32, 32))
    return bool((windows == found).all((2, 3)).any())


def test_one_cycle_is_that_of_torch() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=1001, final_div_factor=1e9)
    for number in range(1001):
        assert optimiser.param_groups[0]["lr"] == pytest.approx(peers.one_cycle(number / 1000), abs=0.005)
        optimiser.step()
        if number < 1000:
            schedule.step()
    assert peers.poly(0) == 1
    assert peers.poly(1) == 0
