"""The paragraphs for a paper say what the card says, cite what they name, and invent nothing."""

import re
from typing import Any

import numpy as np
import pytest

from unpool.config.recipes import read_recipe
from unpool.config.settings import merge, resolve
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.intervals import Interval, bootstrap
from unpool.metrics.scores import scores
from unpool.nets.named import named_net
from unpool.report.methods import Methods, Outcome, methods

NAMES = ("background", "cell")
SCORES = scores(ConfusionMatrix(NAMES, np.array([[6, 2], [1, 3]])))


def story(recipe: str, *changes: dict[str, Any]) -> dict[str, Any]:
    config = resolve(merge(read_recipe(recipe), *changes))
    return {
        "config": config.model_dump(mode="json"),
        "citation": named_net(config.net).citation,
        "data": {"split": {"train": ["a", "b"], "val": ["c"], "origin": "drawn"}},
        "crop": {"rows": 388, "columns": 388},
        "epoch": 7,
        "machine": "cpu",
        "software": {"unpool": "0.1.0", "torch": "2.13.0"},
    }


def told(recipe: str, *changes: dict[str, Any]) -> Methods:
    card = story(recipe, *changes)
    structure = resolve(card["config"]).structure
    return methods(card["config"]["net"], structure, 1234, NAMES, card, Outcome(1, "the val split", SCORES, None))


def test_unet_as_its_paper_trains_it() -> None:
    found = told("unet-2015")
    network, training, evaluation = found.paragraphs
    assert "with the network unet-2015 [1] of 1,234 parameters" in network
    assert "trained on 2 pictures; the best epoch was chosen on 1 more (drawn)." in training
    assert "Batches of 1 crop of 388 x 388 pixels" in training
    assert "weighted by median class frequencies [2], with more weight on pixels between two objects" in training
    assert "momentum 0.99 at a learning rate of 0.0003, for 400 epochs" in training
    assert "Dice" not in training
    assert "mean IoU 0.583" in evaluation  # (6/9 + 3/6) / 2
    assert "1 picture (the val split), whose 12 labelled pixels" in evaluation
    assert "bootstrap" not in evaluation
    assert found.references[0].startswith("Ronneberger")
    assert found.references[1].startswith("Eigen")


@pytest.mark.parametrize("recipe", ["default", "segnet-2015", "fcn-2015", "fusionnet-2016", "unet-2015"])
def test_references_are_those_that_are_cited_in_their_order(recipe: str) -> None:
    found = told(recipe)
    cited = [int(number) for number in re.findall(r"\[(\d+)\]", " ".join(found.paragraphs))]
    assert list(dict.fromkeys(cited)) == list(range(1, len(found.references) + 1))


def test_a_changed_structure_is_told() -> None:
    assert (
        "changed to depth = 3, skip = add," in told("default", {"structure": {"depth": 3, "skip": "add"}}).paragraphs[0]
    )


def test_what_the_card_does_not_hold_is_not_written() -> None:
    found = methods("mine", named_net("unet").structure, 5, NAMES, {}, Outcome(3, "all pictures", SCORES, None))
    assert len(found.paragraphs) == 2
    assert found.references == ()


def test_intervals_are_cited_where_there_are_any() -> None:
    images = [("a", SCORES), ("b", SCORES)]
    intervals = bootstrap(images, {"a": "a", "b": "b"})
    assert intervals is not None
    assert isinstance(intervals.mean_iou, Interval)
    test = Outcome(2, "all pictures", SCORES, intervals)
    found = methods("unet", named_net("unet").structure, 5, NAMES, {}, test)
    assert "mean IoU 0.583 [0.583, 0.583]" in found.paragraphs[-1]
    assert "resamples of the 2 pictures" in found.paragraphs[-1]
    assert found.references[-1].startswith("Efron")
