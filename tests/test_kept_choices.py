"""A refused choice is kept: the repair changes other settings, and works when typed."""

import random
import re
import shlex
from itertools import product
from typing import Any, get_args

import pytest

from unpool.config.assignments import parse_assignments
from unpool.config.repairs import network_that_takes
from unpool.config.settings import resolve
from unpool.config.values import assignment
from unpool.errors import UsageError
from unpool.nets.named import NAMED_NETS

NUMBERS: dict[str, tuple[Any, ...]] = {
    "width": (1, 8, 12, 30, 64),
    "widest": (1, 2, 64),
    "depth": (1, 3, 4, 5, 8),
    "encoder_convolutions": (0, 1, 2, 3, [1, 2], [3, 3, 3, 3], [1, 2, 3, 4, 5], []),
    "decoder_convolutions": (0, 1, 2, 3, [0, 2], [1, 0, 1, 1], [3, 3, 3, 3], [1, 2, 3, 4, 5]),
    "kernel": (1, 2, 3, 15),
    "up_kernel": (2, 3, 8),
    "head_kernel": (1, 2, 3),
    "dropout": (0.0, 0.5),
    "dropout_after": ([], ["bottom"], ["encoder1"], ["pool5"], ["decoder4", "bottom"], ["encoder9"], ["head"]),
    "padding": (0, 64, 69, 70, 73, 80, 81, 100, 512),
}
"""Values of settings that are no words."""

ALONE = {
    ("encoder_convolutions", "0"), ("encoder_convolutions", "[]"), ("kernel", "2"), ("head_kernel", "2"),
    ("padding", "0"), ("padding", "64"), ("dropout_after", '["encoder9"]'), ("dropout_after", '["head"]'),
}  # fmt: skip
"""Values that no network has whatever its other settings are; then the repair changes the value itself.

A 0 among the convolutions of an encoder, an even kernel, less padding than FCN's last deconvolution needs, and a place
for dropout that no depth gives.
"""


def values_of(net: str, name: str) -> list[Any]:
    """Legal values of a setting of a network, each by itself."""
    annotation = type(NAMED_NETS[net].structure).model_fields[name].annotation
    words = [each for kind in (annotation, *get_args(annotation)) for each in get_args(kind) or (kind,)]
    choices = [each for each in words if isinstance(each, str | int)] or list(NUMBERS.get(name, ()))
    return [True, False] if annotation is bool else choices


def choices_of(net: str) -> list[tuple[str, Any]]:
    names = [name for name in type(NAMED_NETS[net].structure).model_fields if name != "kind"]
    choices = [(name, value) for name in names for value in values_of(net, name)]
    assert {name for name, _ in choices} == set(names)
    return choices


def refusal_of(net: str, assignments: list[str]) -> UsageError | None:
    try:
        resolve({"net": net, **parse_assignments(assignments)})
    except UsageError as error:
        return error
    return None


def typed(repair: str) -> list[str]:
    """The assignments of the first way that a repair names."""
    words = shlex.split(re.search(r"--set .*?(?=, or |$)", repair)[0])  # type: ignore[index]
    assert words[::2] == ["--set"] * (len(words) // 2), repair
    return words[1::2]


def with_changes(assignments: list[str], changes: list[str]) -> list[str]:
    changed = {change.partition("=")[0] for change in changes}
    return [each for each in assignments if each.partition("=")[0] not in changed] + changes


@pytest.mark.parametrize("net", NAMED_NETS)
def test_a_single_choice_is_kept(net: str) -> None:
    refused = 0
    for name, value in choices_of(net):
        own = [assignment(name, value)]
        refusal = refusal_of(net, own)
        if refusal is None:
            continue
        refused += 1
        changes = typed(refusal.repair)
        if (name, own[0].partition("=")[2]) in ALONE:
            assert refusal.repair.startswith("change it: "), refusal
            assert network_that_takes({name: value}) is None
        else:
            assert refusal.repair.startswith("add "), f"{net} {own}: {refusal}"
            assert not any(change.startswith(f"{name}=") for change in changes), f"{net} {own}: {refusal}"
        assert refusal_of(net, with_changes(own, changes)) is None, f"{net} {own}: {refusal}"
    assert refused >= 2


@pytest.mark.parametrize("net", NAMED_NETS)
def test_a_pair_of_choices_is_kept_if_any_network_takes_it(net: str) -> None:
    choices = choices_of(net)
    pairs = [(one, two) for one, two in product(choices, choices) if one[0] < two[0]]
    kept = changed = 0
    for one, two in random.Random(net).sample(pairs, 150):
        own = [assignment(*one), assignment(*two)]
        refusal = refusal_of(net, own)
        if refusal is None:
            continue
        changes = typed(refusal.repair)
        keeps = not any(change.partition("=")[0] in (one[0], two[0]) for change in changes)
        assert keeps == refusal.repair.startswith("add ")
        assert keeps or network_that_takes(dict((one, two))) is None, f"{net} {own}: {refusal}"
        assert refusal_of(net, with_changes(own, changes)) is None, f"{net} {own}: {refusal}"
        kept, changed = kept + keeps, changed + (not keeps)
    assert kept + changed >= 2


@pytest.mark.parametrize(
    ("net", "own", "added"),
    [
        ("segnet", "up=transposed", ["skip=none"]),
        ("segnet-basic", "up=bilinear", ["skip=none"]),
        ("unet", "up=unpool", ["bottom=false"]),
        ("unet", "block=residual", ["encoder_convolutions=3", "decoder_convolutions=3"]),
        ("segnet", "padding=valid", ["up=transposed", "skip=none"]),
        ("segnet", "depth=3", ["encoder_convolutions=[2, 2, 3]", "decoder_convolutions=[1, 2, 3]"]),
        ("fcn-32s", "at_once=true", ["prediction_stride=8"]),
        ("fcn-32s", "padding=70", ["prediction_stride=8"]),
        ("unet", "parts=9", ["batch_size=9"]),
        ("unet", "division=sum", ["dice=0.0"]),
    ],
)
def test_the_change_is_the_smallest_of_others(net: str, own: str, added: list[str]) -> None:
    refusal = refusal_of(net, [own])
    assert refusal is not None
    assert typed(refusal.repair) == added
    assert refusal.repair.startswith("add --set ")
    assert refusal.expected == "settings that fit together"


@pytest.mark.parametrize(
    ("own", "repair"),
    [
        ("norm=group width=30", "change one of them: --set norm=instance, or --set width=32"),
        ("kernel=4", "change it: --set kernel=5"),
        ("up=unpool skip=none", "change one of them: --set up=transposed, or --set skip=index --set bottom=false"),
        ("division=sum dice=0.5", "change one of them: --set division=weights, or --set dice=0.0"),
    ],
)
def test_choices_that_exclude_each_other_are_each_offered_for_change(own: str, repair: str) -> None:
    refusal = refusal_of("unet", own.split())
    assert refusal is not None
    assert refusal.repair == repair


@pytest.mark.parametrize(
    ("net", "own", "other"),
    [
        ("fcn-8s", "norm=group", "unet"),
        ("unet", "padding=100", "fcn-32s"),
        ("unet", "prediction_stride=8", "fcn-8s"),
        ("unet", "at_once=true", "fcn-8s-at-once"),
        ("fcn-8s", "squeeze=true", "fcn-basic"),
        ("fcn-8s", "up=unpool", "segnet"),
    ],
)
def test_a_value_of_another_family_names_a_network_that_has_it(net: str, own: str, other: str) -> None:
    refusal = refusal_of(net, [own])
    assert refusal is not None
    assert f"such as {other}" in refusal.repair
    assert refusal_of(other, [own]) is None
