"""The benchmarks run, and their numbers have the names they deserve."""

import itertools
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException
from torch.utils._python_dispatch import TorchDispatchMode

import convolutions
import loading
import peers
import predict_large
import scoring
import tiny
import train_step
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
