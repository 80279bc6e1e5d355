"""The schedule's shape, and what decays."""

import numpy as np
import pytest
from torch.optim import SGD, AdamW

import tiny
from unpool.optim import FLOOR, WARM_UP, one_cycle, optimiser, set_learning_rate


def test_one_cycle_by_hand() -> None:
    assert one_cycle(0.0) == FLOOR
    assert one_cycle(WARM_UP / 2) == pytest.approx((1 + FLOOR) / 2)
    assert one_cycle(WARM_UP) == 1.0
    assert one_cycle((1 + WARM_UP) / 2) == pytest.approx((1 + FLOOR) / 2)
    assert one_cycle(1.0) == pytest.approx(FLOOR)
    assert one_cycle(-1) == one_cycle(0)
    assert one_cycle(2) == one_cycle(1)


def test_one_cycle_rises_and_falls_without_a_jump() -> None:
    places = np.linspace(0, 1, 1001)
    rates = np.array([one_cycle(place) for place in places])
    top = int(rates.argmax())
    assert places[top] == pytest.approx(WARM_UP)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert np.abs(np.diff(rates)).max() < 0.02


@pytest.mark.parametrize(("name", "kind"), [("adamw", AdamW), ("sgd", SGD)])
def test_only_what_has_two_dimensions_decays(name: str, kind: type) -> None:
    network = tiny.segmenter("segnet-basic").network
    found = optimiser(network, name, 0.1, 0.05)
    assert isinstance(found, kind)
    wide, narrow = found.param_groups
    assert (wide["weight_decay"], narrow["weight_decay"]) == (0.05, 0.0)
    assert all(p.ndim > 1 for p in wide["params"])
    assert all(p.ndim == 1 for p in narrow["params"])
    assert len(wide["params"]) + len(narrow["params"]) == len(list(network.parameters()))
    assert name == "adamw" or wide["momentum"] == 0.9
    set_learning_rate(found, 0.3)
    assert [group["lr"] for group in found.param_groups] == [0.3, 0.3]
