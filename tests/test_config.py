"""Settings: every key, every way in, every refusal."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from unpool.config.assignments import parse_assignments
from unpool.config.recipes import read_recipe
from unpool.config.schema import SECTIONS, setting_keys
from unpool.config.settings import merge, override, resolve
from unpool.config.toml import to_toml
from unpool.errors import UsageError
from unpool.nets.structure import Structure

CROPS = "a whole number from 16 to 8192"

ANOTHER: dict[str, str] = {
    "structure.width": "16",
    "structure.growth": "1",
    "structure.widest": "2",
    "structure.stem": "strided",
    "structure.depth": "2",
    "structure.bottom": "false",
    "structure.encoder_convolutions": "[1, 2, 3, 3]",
    "structure.decoder_convolutions": "1",
    "structure.kernel": "5",
    "structure.padding": "valid",
    "structure.decoder_padding": "full",
    "structure.block": "residual",
    "structure.norm": "group",
    "structure.encoder_relu": "false",
    "structure.decoder_relu": "false",
    "structure.up_relu": "true",
    "structure.bias": "true",
    "structure.input_norm": "lrn",
    "structure.pooling_rounding": "ceil",
    "structure.skip": "add",
    "structure.skip_from": "pooled",
    "structure.join": "after",
    "structure.concat_order": "up",
    "structure.squeeze": "true",
    "structure.up": "nearest",
    "structure.up_kernel": "4",
    "structure.up_bias": "false",
    "structure.up_start": "bilinear",
    "structure.up_halves_last": "false",
    "structure.decoder_depthwise": "true",
    "structure.dropout": "0.2",
    "structure.dropout_after": "['bottom']",
    "structure.head_kernel": "3",
    "structure.prediction_stride": "16",
    "structure.at_once": "true",
    "structure.upsampling": "learned",
    "data.masks": "values",
    "data.classes": '["sky", "7=road"]',
    "data.ignore": "[255]",
    "data.snap": "true",
    "data.borders": "3",
    "data.normalisation": "picture",
    "data.val_share": "0.3",
    "data.test_share": "0.2",
    "data.split_seed": "7",
    "data.cache_gb": "0",
    "training.epochs": "3",
    "training.minutes": "1.5",
    "training.batch_size": "8",
    "training.crop": "64",
    "training.optimiser": "sgd",
    "training.learning_rate": "0.1",
    "training.weight_decay": "0",
    "training.parts": "2",
    "training.schedule": "constant",
    "training.momentum": "0.99",
    "training.clip": "0",
    "training.settled": "1",
    "training.recompute": "true",
    "training.validate_every": "5",
    "training.best": "global_accuracy",
    "training.start": "other/model.safetensors",
    "loss.cross_entropy": "0.5",
    "loss.focal": "2",
    "loss.dice": "0",
    "loss.lovasz": "1",
    "loss.class_weights": "[1.0, 2.5]",
    "loss.class_weight_cap": "1",
    "loss.division": "pixels",
    "loss.emphasis": "separation",
    "loss.strength": "5",
    "loss.sigma": "3",
    "training.seed": "7",
    "augmentation.orientation": "upright",
    "augmentation.flip_rows": "true",
    "augmentation.flip_columns": "false",
    "augmentation.quarter_turns": "true",
    "augmentation.rotation": "90",
    "augmentation.scale": "0",
    "augmentation.elastic": "0",
    "augmentation.elastic_points": "3",
    "augmentation.contrast": "0",
    "augmentation.brightness": "0",
    "augmentation.noise": "0",
    "augmentation.rare": "1",
    "machine.device": "cpu",
    "machine.precision": "float32",
    "machine.compile": "no",
    "machine.memory_gb": "2",
}
LEAVES = [f"{section}.{name}" for section, name in setting_keys() if name != "kind"]
NEEDS = {
    "structure.block": ["encoder_convolutions=3", "decoder_convolutions=3"],
    "structure.join": ["skip=add"],
    "structure.squeeze": ["skip=add", "decoder_convolutions=0"],
    "structure.decoder_depthwise": ["growth=1", "skip=add"],
    "structure.prediction_stride": ["net=fcn-8s"],
    "structure.at_once": ["net=fcn-8s"],
    "structure.upsampling": ["net=fcn-8s"],
}


@pytest.mark.parametrize("key", LEAVES)
def test_every_key_can_be_set_with_and_without_its_section(key: str) -> None:
    section, name = key.split(".")
    text = ANOTHER[key]  # a new key needs a line in the table above
    given = [*NEEDS.get(key, ()), f"{key}={text}"]
    before = resolve(parse_assignments(given[:-1])).model_dump()[section][name]
    after = resolve(parse_assignments(given)).model_dump()[section][name]
    assert after != before
    assert parse_assignments([f"{name}={text}"]) == parse_assignments([f"{key} = {text}"])


def test_values_are_toml_and_words_need_no_quotes() -> None:
    assert parse_assignments(["skip=add", "crop=64", "device='cuda:1'", "dropout_after=['bottom']", "net=unet"]) == {
        "structure": {"skip": "add", "dropout_after": ["bottom"]},
        "training": {"crop": 64},
        "machine": {"device": "cuda:1"},
        "net": "unet",
    }


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("epochs", r"--set epochs\n  expected: key=value"),
        ("epoch=3", r"--set epoch: no such setting(.|\n)*did you mean epochs\?"),
        ("training.learningrate=3", r"(.|\n)*did you mean learning_rate\?"),
        ("data.epochs=3", r"--set data.epochs: no such setting(.|\n)*write training.epochs"),
        ("=3", r"--set =3\n  expected: key=value"),
        ("z" * 5000 + "=3", r"--set z{79}…: no such setting"),
        ("zzzz=3", r"(.|\n)*  to do:    see them all: unpool explain --settings$"),
    ],
)
def test_wrong_keys_are_refused_with_the_nearest(assignment: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_assignments([assignment])


@pytest.mark.parametrize(
    ("assignment", "found"),
    [
        ("epochs=0", "training.epochs = 0"),
        ("epochs=many", "training.epochs = 'many'"),
        ("seed=1.5", "training.seed = 1.5"),
        ("minutes=nan", "training.minutes = nan"),
        ("minutes=inf", "training.minutes = inf"),
        ("cache_gb=inf", "data.cache_gb = inf"),
        ("masks=instance", "data.masks = 'instance'"),
        ("val_share=1", "data.val_share = 1"),
        ("ignore=255", "data.ignore = 255"),
        ("rotation=200", "augmentation.rotation = 200"),
        ("width=0", "structure.width = 0"),
        ("encoder_convolutions=[1]", "structure"),
        ("kernel=4", "structure"),
        ("precision=half", "machine.precision = 'half'"),
        ("crop=" + "[" * 5000, "training.crop = '[[[["),
        ("crop=" + "[" * 99 + "]" * 99, "training.crop = '[[[["),
        ("crop=" + "9" * 5000, "training.crop = '9999"),
        ("crop=1e999", "training.crop = inf"),
        ("crop=\uff16\uff14", "training.crop = '\uff16\uff14'"),
        ("epochs=1\nminutes=3", "training.epochs = '1\\nminutes=3'"),
        ("memory_gb=1e308", "machine.memory_gb = 1e+308"),
        ("epochs=9223372036854775807", "training.epochs = 9223372036854775807"),
    ],
)
def test_wrong_values_are_refused_with_key_and_value(assignment: str, found: str) -> None:
    with pytest.raises(UsageError) as refusal:
        resolve(parse_assignments([assignment]), "recipe.toml")
    assert refusal.value.found.startswith(f"recipe.toml: {found}")
    assert refusal.value.repair.startswith(("change ", "add ") if found == "structure" else "change ")


@pytest.mark.parametrize(
    ("assignment", "expected", "repair"),
    [
        (
            "crop=abc",
            "a whole number from 16 to 8192",
            "change training.crop, for example --set crop=256; see unpool explain --settings crop",
        ),
        (
            "crop=8",
            "a whole number from 16 to 8192",
            "change training.crop, for example --set crop=256; see unpool explain --settings crop",
        ),
        (
            "learning_rate=high",
            "a number above 0 and at most 10",
            "change training.learning_rate, for example --set learning_rate=0.001; "
            "see unpool explain --settings learning_rate",
        ),
        (
            "depth=100",
            "a whole number from 1 to 8",
            "change structure.depth, for example --set depth=4; see unpool explain --settings depth",
        ),
        (
            "encoder_convolutions=x",
            "a whole number from 0 to 16, or a list, written as [a, b], of: a whole number from 0 to 16",
            "change structure.encoder_convolutions, for example --set encoder_convolutions=2; "
            "see unpool explain --settings encoder_convolutions",
        ),
        ("start=2020", "a text", "write quotes around a text: --set 'start=\"2020\"'"),
        (
            "recompute=maybe",
            "true or false",
            "change training.recompute, for example --set recompute=false; see unpool explain --settings recompute",
        ),
        (
            "rotation=200",
            "a number from 0 to 180",
            "change augmentation.rotation, for example --set rotation=15; see unpool explain --settings rotation",
        ),
        (
            "optimiser=adam",
            "one of adamw, sgd",
            "change training.optimiser, for example --set optimiser=adamw; see unpool explain --settings optimiser",
        ),
    ],
)
def test_wrong_values_say_what_is_right(assignment: str, expected: str, repair: str) -> None:
    with pytest.raises(UsageError) as refusal:
        resolve(parse_assignments([assignment]))
    assert (refusal.value.expected, refusal.value.repair) == (expected, repair)


@pytest.mark.parametrize("padding", [9999, "round"])
@pytest.mark.parametrize("net", ["unet", "fcn-8s"])
def test_no_example_is_given_that_holds_for_another_family_only(net: str, padding: object) -> None:
    with pytest.raises(UsageError) as refusal:
        resolve({"net": net, "structure": {"padding": padding}})
    assert refusal.value.repair == "change structure.padding; see unpool explain --settings padding"


def test_structures_that_cannot_be_say_why() -> None:
    with pytest.raises(UsageError, match="a centred convolution needs an odd kernel"):
        resolve({"structure": {"kernel": 4}})


def test_two_budgets_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"epochs and minutes together\n  expected: one of them\n  to do:    leave one out"
    ):
        resolve({"training": {"epochs": 3, "minutes": 1.0}})


def test_unknown_keys_of_a_recipe_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"run.toml: unknown key training.epoch\n(.|\n)*did you mean epochs\?"):
        resolve({"training": {"epoch": 3}}, "run.toml")


def test_unknown_net() -> None:
    with pytest.raises(UsageError, match=r"did you mean --net unet\?"):
        resolve({"net": "u-net"})


@pytest.mark.parametrize("section", list(SECTIONS))
def test_a_section_that_is_no_table_is_refused(section: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f"{section} = 5\n")
    with pytest.raises(UsageError, match=rf"{section} = 5\n  expected: a table \[{section}\]"):
        read_recipe(path)
    with pytest.raises(UsageError, match=f"{section} = 5"):
        resolve({section: 5})


def test_unreadable_recipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone.toml: No such file or directory"):
        read_recipe(tmp_path / "gone.toml")
    path = tmp_path / "bad.toml"
    path.write_text("epochs = = 3\n")
    with pytest.raises(UsageError, match=r"bad.toml: (.|\n)*at line 1"):
        read_recipe(path)
    path.write_bytes(b"net = '\xff'\n")
    with pytest.raises(UsageError, match=r"bad.toml: (.|\n)*a TOML file"):
        read_recipe(path)


def test_later_layers_win_and_leave_the_rest() -> None:
    first = {"net": "unet", "training": {"epochs": 3, "seed": 1}}
    merged = merge(first, {"training": {"seed": 2}}, {"data": {"masks": "values"}})
    assert merged == {"net": "unet", "training": {"epochs": 3, "seed": 2}, "data": {"masks": "values"}}
    assert first == {"net": "unet", "training": {"epochs": 3, "seed": 1}}


def test_a_changed_budget_replaces_the_other_kind() -> None:
    settings = {"training": {"minutes": 5.0, "seed": 1}, "recipe": None}
    assert override(settings, {"training": {"epochs": 3}})["training"] == {"seed": 1, "epochs": 3}
    assert override(settings, {"training": {"epochs": None}})["training"] == {"seed": 1, "minutes": 5.0, "epochs": None}
    assert override(settings, {"recipe": {"name": "mine"}}) == {**settings, "recipe": {"name": "mine"}}


positive = st.floats(1e-9, 1e3)
recipes = st.fixed_dictionaries(
    {
        "net": st.sampled_from(sorted(tiny.STRUCTURES)),
        "data": st.fixed_dictionaries(
            {
                "classes": st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9)),
                "ignore": st.none() | st.lists(st.integers(0, 65535)),
                "cache_gb": positive,
            }
        ),
        "training": st.fixed_dictionaries({"epochs": st.none() | st.integers(1, 10**9)}),
        "loss": st.fixed_dictionaries(
            {"dice": positive, "class_weights": st.sampled_from(["none", "balanced"]) | st.lists(positive, min_size=1)}
        ),
        "recipe": st.none()
        | st.fixed_dictionaries({key: st.text() for key in ("name", "citation", "data", "expected", "time")}),
        "stages": st.sampled_from([[], [{"net": "unet", "share": 1.0}]]),
        "augmentation": st.fixed_dictionaries(
            {"flip_rows": st.none() | st.booleans(), "rotation": st.none() | st.floats(0, 180)}
        ),
    }
)


@settings(deadline=None, max_examples=60)
@given(recipes)
def test_a_configuration_survives_its_toml(tmp_path_factory: pytest.TempPathFactory, recipe: dict[str, Any]) -> None:
    stages = [{**stage, "net": recipe["net"]} for stage in recipe["stages"]]
    config = resolve({**recipe, "stages": stages})
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8", newline="")
    assert resolve(read_recipe(path)) == config


@pytest.mark.parametrize(
    "twice", [["crop=64", "crop=128"], ["epochs=3", "training.epochs=4"], ["net=unet", "net=segnet"]]
)
def test_a_setting_twice_is_refused(twice: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--set (crop|epochs|net) twice(.|\n)*leave out one"):
        parse_assignments(twice)


@pytest.mark.parametrize(
    "content", ["x = " + "[" * 3000, "x = " + "9" * 5000, "[training]\nminutes = inf", "\udcff", "a" * 2_000_000]
)
def test_a_recipe_beyond_the_bounds_is_refused_with_its_name(content: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=r"odd\.toml: no valid TOML \(.+\)"):
        read_recipe(path)


@pytest.mark.parametrize(("net", "key"), [("fcn-8s", "kernel"), ("unet", "prediction_stride")])
def test_a_key_of_another_family_names_a_network_that_has_it(net: str, key: str) -> None:
    with pytest.raises(UsageError, match=f"{net} has no setting {key}") as refusal:
        resolve({"net": net, **parse_assignments([f"{key}=8"])})
    assert refusal.value.repair.endswith(f"; see them all: unpool explain {net} --settings")
    other = refusal.value.repair.partition(" such as ")[2].partition(";")[0]
    resolve({"net": other, **parse_assignments([f"{key}={'5' if key == 'kernel' else '8'}"])})


def test_the_family_of_a_network_is_no_setting() -> None:
    with pytest.raises(UsageError, match="no such setting"):
        parse_assignments(["kind=fcn"])
    with pytest.raises(UsageError, match=r"structure\.kind = 'fcn'"):
        resolve({"net": "unet", "structure": {"kind": "fcn"}})


@pytest.mark.parametrize("key", setting_keys(), ids=".".join)
@pytest.mark.parametrize("value", [-(10**9), 10**30, float("nan"), "zz", [[]]])
def test_absurd_values_are_refused_in_plain_words(key: tuple[str, str], value: object) -> None:
    section, name = key
    net = "unet" if section != "structure" or name in Structure.model_fields else "fcn-8s"
    try:
        resolve({"net": net, section: {name: value}})
    except UsageError as error:
        assert not re.search(r"constrained|literal|tuple|\binput\b|valid ", str(error)), str(error)
        assert name in error.found
    else:
        assert value == "zz"  # a text setting takes any letters
