"""The papers' trainings: what they say, and that they run."""

from pathlib import Path

import pytest

import tiny
from runs import assert_same_run
from unpool.checkpoint.models import load_model
from unpool.commands.events import finish
from unpool.commands.train.stages import train_in_stages
from unpool.config.recipes import paper_recipes, read_recipe
from unpool.config.schema import RunConfig
from unpool.config.settings import merge, resolve
from unpool.config.toml import to_toml
from unpool.errors import UsageError
from unpool.training.records import StepRecord

SMALL = {
    "structure": {"width": 4},
    "training": {"epochs": 1, "minutes": None, "batch_size": 2},
    "machine": {"device": "cpu", "precision": "float32", "compile": "no"},
}
SEGNET = {"optimiser": "sgd", "momentum": 0.9, "weight_decay": 5e-4, "recompute": True, "best": "global_accuracy"}
SOLVERS = {
    "unet-2015": {"optimiser": "sgd", "momentum": 0.99, "batch_size": 1, "schedule": "constant"},
    "segnet-basic-2015": {**SEGNET, "learning_rate": 0.1, "batch_size": 12},
    "segnet-2015": {**SEGNET, "learning_rate": 1e-3, "batch_size": 4},
    "bayesian-segnet-2015": {**SEGNET, "learning_rate": 0.1},
    "fcn-2015": {"optimiser": "sgd", "momentum": 0.99, "weight_decay": 5e-4, "batch_size": 1},
    "fusionnet-2016": {},
    "default": {},
}

LARGE = {"fusionnet-2016", "fcn-2015", "segnet-2015", "bayesian-segnet-2015"}
"""Networks of so many layers that a training of them takes long, however narrow they are."""


def test_every_recipe_is_here() -> None:
    assert set(paper_recipes()) == set(SOLVERS)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_recipe_is_whole_and_says_where_it_comes_from(name: str) -> None:
    config = resolve(read_recipe(name))
    assert config.recipe is not None
    assert all((config.recipe.citation, config.recipe.data, config.recipe.expected, config.recipe.time))
    training = config.training.model_dump()
    assert {key: training[key] for key in SOLVERS[name]} == SOLVERS[name]


def test_the_default_recipe_is_what_happens_without_one() -> None:
    given, plain = resolve(read_recipe("default")).model_dump(), RunConfig(structure=resolve({}).structure).model_dump()
    del given["recipe"], plain["recipe"], given["training"]["minutes"], plain["training"]["minutes"]
    assert given == plain


def test_the_segnets_divide_by_pixels_and_unet_weighs_what_separates_cells() -> None:
    segnet, unet = (resolve(read_recipe(name)).loss for name in ("segnet-basic-2015", "unet-2015"))
    assert (segnet.class_weights, segnet.division, segnet.dice) == ("median-frequency", "pixels", 0.0)
    assert (unet.emphasis, unet.strength, unet.sigma) == ("separation", 10.0, 5.0)


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"unet-2014: (.|\n)*unet-2015"):
        read_recipe("unet-2014")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in sorted(SOLVERS)],
)
def test_a_recipe_trains_and_interrupted_in_an_epoch_is_the_unbroken_one(
    name: str, cells: Path, tmp_path: Path
) -> None:
    settings = merge(read_recipe(name), SMALL, {"training": {"crop": 64, "epochs": 2}})
    unbroken = finish(train_in_stages(cells, settings, tmp_path / "unbroken"))
    assert unbroken.finished
    assert unbroken.history[-1]["train_loss"] is not None
    assert load_model(unbroken.model).card["story"]["config"]["recipe"]["name"]
    events = train_in_stages(cells, settings, tmp_path / "run")
    assert any(isinstance(event, StepRecord) and event.step == 2 for event in events)  # stops there, in an epoch
    events.close()
    resumed = finish(train_in_stages(cells, settings, tmp_path / "run", resume=True))
    assert_same_run(unbroken.folder, resumed.folder)


def test_stages_follow_each_other_and_an_interrupted_one_goes_on(cells: Path, tmp_path: Path) -> None:
    settings = merge(read_recipe("fcn-2015"), SMALL, {"training": {"epochs": 4, "crop": 32}})
    out, second = tmp_path / "run", tmp_path / "run-stages" / "2-fcn-16s"
    for _ in train_in_stages(cells, settings, out):
        if second.exists():
            break  # the listener goes away in the second stage
    assert not out.exists()
    trained = finish(train_in_stages(cells, settings, out, resume=True))
    assert trained.folder == out
    stages = [second.with_name("1-fcn-32s"), second, out]
    nets = [load_model(stage / "model.safetensors").segmenter.net for stage in stages]
    assert nets == ["fcn-32s", "fcn-16s", "fcn-8s"]
    epochs = [len((stage / "log.jsonl").read_text().splitlines()) for stage in stages]
    assert epochs == [2, 1, 1]
    rates = [resolve(read_recipe(stage / "config.toml")).training.learning_rate for stage in stages]
    assert rates == [1e-8, 1e-10, 1e-12]


def test_the_last_stage_is_the_recipes_own_network() -> None:
    with pytest.raises(UsageError, match="the last stage trains fcn-16s, the recipe is for fcn-8s"):
        resolve({"net": "fcn-8s", "stages": [{"net": "fcn-16s", "share": 1.0}]})


def test_the_shares_of_the_stages_are_those_of_one_budget() -> None:
    with pytest.raises(UsageError, match="do not add up to 1"):
        resolve({"net": "fcn-8s", "stages": [{"net": "fcn-8s", "share": 0.5}]})


def test_a_recipe_with_stages_survives_its_toml(tmp_path: Path) -> None:
    config = resolve(read_recipe("fcn-2015"))
    (tmp_path / "config.toml").write_text(to_toml(config), encoding="utf-8")
    assert resolve(read_recipe(tmp_path / "config.toml")) == config


def test_a_training_that_starts_with_a_model_has_its_weights(cells: Path, tmp_path: Path) -> None:
    first = finish(train_in_stages(cells, tiny.settings(epochs=1), tmp_path / "one"))
    given = tiny.settings(epochs=1, start=str(first.model), learning_rate=1e-9, optimiser="sgd")
    second = finish(train_in_stages(cells, given, tmp_path / "two"))
    one, other = (dict(load_model(run.model).segmenter.network.named_parameters()) for run in (first, second))
    assert all((one[name] - other[name]).abs().max() < 1e-5 for name in one)
