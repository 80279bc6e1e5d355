"""The size of a training: the largest that its minutes are enough for, and never against a person's settings."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tiny
from unpool.commands.check import check
from unpool.commands.events import Message, finish
from unpool.commands.train import rehearsal, size_choice
from unpool.commands.train.preparation import TrainingJob, prepare
from unpool.commands.train.size_choice import TRAINING_SIZES, sizes_for, with_fitting_size
from unpool.commands.train.train import train
from unpool.config.settings import resolve
from unpool.errors import TrainingError
from unpool.nets.network import Network

SECONDS = {8: 0.1, 16: 0.25, 32: 1.0}
"""Seconds of a step, by the width of the network."""


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give steps the times of ``SECONDS``; return the widths that are timed."""
    widths: list[int] = []

    def rehearse(network: Network, *_: object) -> SimpleNamespace:
        widths.append(network.structure.width)  # type: ignore[attr-defined]
        return SimpleNamespace(step_seconds=SECONDS[widths[-1]])

    monkeypatch.setattr(rehearsal, "rehearse", rehearse)
    monkeypatch.setattr(size_choice, "time", SimpleNamespace(monotonic=lambda: 0.0))
    return widths


def chosen(folder: Path, minutes: float, **settings: Mapping[str, Any]) -> tuple[TrainingJob, str]:
    """Return the training of the chosen size, and the message about the choice."""
    given = {**settings, "training": {"minutes": minutes, **settings.get("training", {})}}
    survey = finish(check(folder, resolve(given).data, 0))
    messages: list[str] = []
    job = finish(
        with_fitting_size(prepare(survey, resolve(given)), given, 0.0),
        lambda event: messages.append(event.text) if isinstance(event, Message) else None,
    )
    return job, "\n".join(messages)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_set(tmp_path_factory.mktemp("cells"), 5)


def test_only_a_free_choice_is_made() -> None:
    for orientation, sizes in TRAINING_SIZES.items():
        assert (
            sizes_for({}, orientation) == sizes_for({"net": "unet", "training": {"minutes": 5}}, orientation) == sizes
        )
    for bound in (
        {"net": "unet-2015"},
        {"net": "segnet"},
        {"training": {"epochs": 3}},
        {"training": {"start": "runs/a"}},
        resolve({}).model_dump(),
    ):
        assert sizes_for(bound, "free") == ()
    assert sizes_for({}, "free")[0].settings["augmentation"]["quarter_turns"]
    for turning in ({"rotation": 15}, {"flip_rows": False}, {"flip_columns": False}, {"quarter_turns": False}):
        turned = sizes_for({"augmentation": turning}, "free")[0].settings["augmentation"]
        assert "quarter_turns" not in turned
        assert turned["elastic"] == 0
    left = sizes_for({"structure": {"width": 12}}, "free")
    assert [size.steps for size in left] == [size.steps for size in TRAINING_SIZES["free"]]
    assert all("structure" not in size.settings for size in left)
    settings = sizes_for({"structure": {"skip": "add"}, "training": {"crop": 64}}, "upright")[0].settings
    assert settings["structure"] == {"width": 16, "stem": "strided"}
    assert settings["training"] == {"batch_size": 4, "learning_rate": 1.5e-3}


def test_sizes_that_cannot_be_are_passed_over(folder: Path, timed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    upright = {"augmentation": {"orientation": "upright"}}
    job, text = chosen(folder, 5, **upright, structure={"head_kernel": 3})  # no stem has such a head
    assert (job.config.structure.stem, timed) == ("none", [32])  # type: ignore[attr-defined]
    assert "width=32" in text

    def short_of_memory(network: Network, *_: object) -> SimpleNamespace:
        if network.structure.width > 8:  # type: ignore[attr-defined]
            raise TrainingError("one crop takes 9 GB", "memory", "give a smaller crop")
        return SimpleNamespace(step_seconds=0.01)

    monkeypatch.setattr(rehearsal, "rehearse", short_of_memory)
    job, _ = chosen(folder, 50)
    assert job.config.structure.width == 8  # type: ignore[attr-defined]
    with pytest.raises(TrainingError, match="9 GB"):
        chosen(folder, 50, **upright)


@pytest.mark.parametrize(
    ("minutes", "width", "timed_widths"),
    [
        (1, 8, [8]),  # 0.85 * 60 s / 0.1 s are 510 steps, and 1500 would be needed of the next size
        (5, 8, [8, 16]),  # 2550 steps of 0.1 s, but 1020 of 0.25 s
        (8, 16, [8, 16]),  # 1632 steps of 0.25 s; the next size needs 2000
        (12, 16, [8, 16, 32]),  # 2448 steps of 0.25 s, but 612 of 1 s
        (40, 32, [8, 16, 32]),  # 2040 steps of 1 s
    ],
)
def test_the_largest_size_with_enough_steps(
    folder: Path, timed: list[int], minutes: float, width: int, timed_widths: list[int]
) -> None:
    job, text = chosen(folder, minutes)
    assert job.config.structure.width == job.segmenter.network.structure.width == width  # type: ignore[attr-defined]
    assert timed == timed_widths
    assert f"width={width}" in text
    assert ("more minutes" in text) == (width < 32)


def test_settings_of_a_person_stay(folder: Path, timed: list[int]) -> None:
    job, text = chosen(folder, 5, structure={"width": 16}, training={"crop": 48})
    assert (job.config.structure.width, job.config.training.crop) == (16, 48)  # type: ignore[attr-defined]
    assert "width" not in text


def test_an_hour_gets_the_network_as_it_is_named(folder: Path, timed: list[int]) -> None:
    job, text = chosen(folder, 60)
    assert job.config == resolve({**job.config.model_dump()})
    assert (job.config.structure.width, timed, text) == (32, [], "")  # type: ignore[attr-defined]


def test_a_training_says_its_size_and_keeps_it_in_its_settings(folder: Path, tmp_path: Path) -> None:
    messages: list[str] = []
    finish(
        train(folder, {"training": {"minutes": 0.05}}, tmp_path / "run"),
        lambda event: messages.append(event.text) if isinstance(event, Message) else None,
    )
    stored = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    smallest = TRAINING_SIZES["free"][0].settings
    assert stored["structure"]["width"] == smallest["structure"]["width"]
    assert any(text.startswith("Size\n") and "width=8" in text for text in messages)
    resumed = finish(train(folder, {"training": {"minutes": 0.1}}, tmp_path / "run", resume=True))
    assert resumed.finished
    again = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert again["structure"] == stored["structure"]


def test_the_docs_have_the_sizes() -> None:
    docs = (Path(__file__).parents[1] / "docs" / "minutes.md").read_text(encoding="utf-8")
    for sizes in TRAINING_SIZES.values():
        for size in sizes:
            assert f"| {size.words} | {size.steps or 'any number'} |" in docs
