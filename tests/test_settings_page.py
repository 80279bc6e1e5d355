"""``unpool explain --settings``: every setting with its meaning, its values, its default and its cost."""

import json
import shlex
from typing import Any, Literal, get_args, get_origin

import pytest

from conftest import Program
from unpool.config.assignments import parse_assignments
from unpool.config.listing import SETTING_GROUPS, Setting, all_settings
from unpool.config.schema import setting_keys
from unpool.config.settings import resolve
from unpool.nets.named import NAMED_NETS

SETTINGS = all_settings()


def label(setting: Setting) -> str:
    return f"{setting.group}.{setting.name} of {next(iter(setting.defaults))}"


def words_of(annotation: Any) -> set[Any]:
    """The values of every Literal in a type."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return set().union(*map(words_of, get_args(annotation)))


def test_every_key_is_listed() -> None:
    assert {(each.group, each.name) for each in SETTINGS} == {*setting_keys(), ("run", "net"), ("run", "licence")}


@pytest.mark.parametrize("setting", SETTINGS, ids=label)
def test_every_setting_and_every_choice_has_its_meaning(setting: Setting) -> None:
    meaning = setting.meaning
    for text in (meaning.text, meaning.cost, *meaning.choices.values()):
        assert text
        assert text == text.strip(" .")
    assert set(meaning.choices) == words_of(setting.field.annotation)


@pytest.mark.parametrize("setting", SETTINGS, ids=label)
def test_every_assignment_that_is_shown_works(setting: Setting) -> None:
    for net in setting.defaults:
        option, shown = shlex.split(setting.assignment(net))
        settings = parse_assignments([shown])
        resolve({"net": net, **settings})
        assert option == "--set"
        assert next(iter(settings if setting.group == "run" else settings[setting.group])) == setting.name


@pytest.mark.parametrize("net", ["", "segnet", "fcn-8s"])
def test_the_list_names_every_key_with_its_default(net: str, program: Program) -> None:
    shown = program("explain", *net.split(), "--settings")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert max(map(len, lines)) <= 100
    for _, name in setting_keys():
        assert sum(line.split(" ")[0] == name for line in lines) == 1, name
    structure = NAMED_NETS[net or "unet"].structure
    width, crop = (next(line.split()[1] for line in lines if line.split(" ")[0] == name) for name in ("width", "crop"))
    assert (width, crop) == (str(getattr(structure, "width", None)), "256")


def test_the_groups_are_in_the_readers_order(program: Program) -> None:
    text = program("explain", "--settings").out
    places = [text.index(title) for title in ("STRUCTURE, WITH", "TRAINING\n", "AUGMENTATION\n", "LOSS\n", "DATA\n")]
    assert places == sorted(places)


def test_a_setting_is_shown_in_full(program: Program) -> None:
    text = " ".join(program("explain", "--settings", "up", "crop").out.split())
    for part in (
        "UP, A SETTING OF STRUCTURE OF UNET",
        "Values: one of unpool, transposed, bilinear, nearest.",
        "unpool each value returns to the place of its maximum",
        "bilinear segnet-basic-bilinear",
        "Cost: unpool keeps 2 bits for each pooling window",
        "Write for example: --set up=transposed",
        "CROP, A SETTING OF TRAINING Longest side of a training crop in pixels.",
        "Default: 256. Cost: time and memory of a step grow with its square.",
    ):
        assert part in text, part


def test_a_network_shows_its_own_default_and_family(program: Program) -> None:
    assert "Default: index." in program("explain", "segnet", "--settings", "skip").out
    both, one = (program("explain", *net, "--settings", "structure.padding").out for net in ([], ["fcn-8s"]))
    assert both.count("PADDING,") == 2
    assert one.count("PADDING,") == 1
    assert "Default: 100." in one


def test_settings_as_data(program: Program) -> None:
    data = json.loads(program("explain", "segnet", "--settings", "--json").out)
    assert len(data) == len(SETTINGS)
    assert {each["group"] for each in data} == set(SETTING_GROUPS)
    (skip,) = (each for each in data if each["name"] == "skip")
    assert (skip["default"], skip["default_of"]["unet"], set(skip["choices"])) == (
        "index",
        "concat",
        {"none", "index", "add", "concat"},
    )


@pytest.mark.parametrize(
    ("words", "repair"),
    [
        ("--settings skp", "did you mean unpool explain --settings skip?"),
        ("--settings zzzzz", "see them all: unpool explain --settings"),
        ("--settings training.skip", "did you mean unpool explain --settings skip?"),
        ("fcn-8s --settings skip", "take a network that has it: unpool explain unet --settings skip"),
        ("--settings skip segnet", "write the network first: unpool explain segnet --settings"),
        ("unet segnet --settings", "leave out a second network"),
        ("unet --settings --size 64", "leave out --size"),
        ("unett --settings", "did you mean unpool explain unet?"),
    ],
)
def test_wrong_words_are_refused_with_the_nearest(words: str, repair: str, program: Program) -> None:
    refused = program("explain", *words.split())
    assert (refused.code, refused.err.partition("to do:")[2].strip()) == (2, repair)
