"""Plans of studies: from the command line and from TOML, their variants, and what they are refused for."""

from pathlib import Path

import pytest

from unpool.config.settings import resolve
from unpool.errors import UsageError
from unpool.study.plan import (
    Range,
    StudyPlan,
    combinations,
    plan_given,
    plan_of,
    ranges_of,
    read_plan,
    shipped_plans,
    vary_of,
)
from unpool.study.variants import folder_name, variants_of


def plan(**keys: object) -> StudyPlan:
    return plan_of(keys, "the test")


def test_varied_values_are_read_like_settings() -> None:
    assert vary_of(["skip=none,add", "dropout_after=[],[bottom,pool4]", "width=8, 16"]) == {
        "skip": ["none", "add"],
        "dropout_after": [[], "[bottom,pool4]"],
        "width": [8, 16],
    }
    assert vary_of(['classes=["a,b"],["c"]']) == {"classes": [["a,b"], ["c"]]}


@pytest.mark.parametrize("text", ["skip", "skip=", "skip=none", "=none,add", "skip=none,"])
def test_a_setting_needs_two_values(text: str) -> None:
    with pytest.raises(UsageError, match="two values or more"):
        vary_of([text])


def test_a_setting_is_varied_once() -> None:
    with pytest.raises(UsageError, match="twice"):
        vary_of(["skip=none,add", "skip=add,concat"])


def test_every_combination_is_a_variant_named_after_its_changes_and_the_baseline_is_one_of_them() -> None:
    variants = variants_of(plan(vary={"skip": ["none", "add", "concat"], "up": ["transposed", "bilinear"]}))
    assert [variant.name for variant in variants] == [
        "baseline", "skip=none", "skip=none up=bilinear", "skip=add", "skip=add up=bilinear", "up=bilinear",
    ]  # fmt: skip
    assert [variant.number for variant in variants] == list(range(6))
    assert len({variant.slug for variant in variants}) == 6
    assert resolve(variants[4].settings).structure.model_dump()["up"] == "bilinear"


def test_the_settings_of_the_baseline_are_those_of_all() -> None:
    variants = variants_of(
        plan(set={"width": 4, "training.crop": 64}, variant=[{"name": "sum", "set": {"skip": "add"}}])
    )
    configs = [resolve(variant.settings) for variant in variants]
    assert [config.structure.model_dump()["width"] for config in configs] == [4, 4]
    assert [config.training.crop for config in configs] == [64, 64]
    assert variants[1].changes == {"skip": "add"}


def test_a_variant_that_no_training_can_have_keeps_the_reason() -> None:
    variants = variants_of(plan(vary={"skip": ["concat", "none"], "up": ["transposed", "unpool"]}))
    refused = {variant.name: variant.refused for variant in variants if variant.refused}
    assert "skip=none up=unpool" in refused
    assert "pooling indices" in refused["skip=none up=unpool"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 3), ("epochs", 5), ("minutes", 1.0), ("data.masks", "values"), ("device", "cpu"), ("val_share", 0.5)],
)
def test_what_is_the_same_for_all_cannot_be_varied(key: str, value: object) -> None:
    with pytest.raises(UsageError, match="fair trainings"):
        variants_of(plan(variant=[{"name": "unfair", "set": {key: value}}]))


def test_a_named_variant_that_equals_another_is_refused() -> None:
    with pytest.raises(UsageError, match="has the settings of baseline"):
        variants_of(plan(variant=[{"name": "same", "set": {"skip": "concat"}}]))


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(UsageError, match="skop"):
        variants_of(plan(vary={"skop": ["none", "add"]}))
    with pytest.raises(UsageError, match="minuts"):
        plan(minuts=3, vary={"skip": ["none", "add"]})


def test_a_plan_needs_variants_and_names_that_differ() -> None:
    with pytest.raises(UsageError, match="no variants"):
        plan()
    with pytest.raises(UsageError, match="twice"):
        plan(variant=[{"name": "a", "set": {"skip": "add"}}, {"name": "a", "set": {"skip": "none"}}])
    with pytest.raises(UsageError, match="twice"):
        plan(variant=[{"name": "baseline", "set": {"skip": "add"}}])


def test_a_grid_that_is_too_large_is_to_be_searched() -> None:
    with pytest.raises(UsageError, match="--search"):
        combinations({"a": range(20), "b": range(20)})


def test_a_plan_from_a_file_is_overridden_by_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "my-study.toml"
    file.write_text(
        'minutes = 5\nseeds = 2\nset = { width = 8, skip = "add" }\n[[variant]]\nname = "x"\nset = { depth = 3 }\n'
    )
    read = plan_given(str(file), {"minutes": 9.0, "seeds": None}, ["width=4"], {"machine.device": "cpu"}, [], None)
    assert (read.name, read.minutes, read.seeds) == ("my-study", 9.0, 2)
    assert read.set == {"structure.width": 4, "structure.skip": "add", "machine.device": "cpu"}
    assert [variant.changes for variant in variants_of(read)] == [{}, {"depth": 3}]


def test_every_shipped_plan_has_variants_that_can_be_trained() -> None:
    assert {"segnet-table-1", "padding", "unet-skips", "depth-against-width", "losses"} <= set(shipped_plans())
    for name in shipped_plans():
        shipped = read_plan(name, {})
        assert shipped.name == name
        assert shipped.question
        variants = variants_of(shipped)
        assert len(variants) > 1
        for variant in variants:
            assert not variant.refused
            assert variant.note
            assert variant.changes or not variant.number


def test_ranges_of_a_search() -> None:
    ranges = ranges_of(["skip=none,add", "width=8..32", "learning_rate=1e-4..1e-2"])
    assert ranges["skip"] == ["none", "add"]
    assert Range(**ranges["width"]) == Range(low=8, high=32)
    assert ranges["learning_rate"]["log"]
    with pytest.raises(UsageError, match="a range"):
        ranges_of(["skip=none..add"])


def test_a_search_is_checked_before_it_begins() -> None:
    def search(**ranges: object) -> StudyPlan:
        return plan(search={"attempts": 5, "ranges": ranges})

    with pytest.raises(UsageError, match="wdth"):
        variants_of(search(wdth=[4, 8]))
    with pytest.raises(UsageError, match="fair trainings"):
        variants_of(search(seed=[1, 2]))
    for odd in ([], [4], {"low": 1, "high": 9, "step": 0}, {"low": 9, "high": 1}, {"low": 0, "high": 1, "log": True}):
        with pytest.raises(UsageError):
            search(width=odd)
    with pytest.raises(UsageError, match="together"):
        plan(search={"attempts": 5, "ranges": {"width": [4, 8]}}, vary={"skip": ["none", "add"]})
    with pytest.raises(UsageError, match="ranges"):
        plan_given(None, {}, [], {}, [], 5)


def test_names_are_folders_below_studies() -> None:
    assert folder_name("../../../evil") == "evil"
    assert folder_name("a/b\n\x00 ü") == "a-b"
    assert len(folder_name("x" * 200)) == 60


def test_two_variants_cannot_have_one_name() -> None:
    twice = plan(variant=[{"name": "skip=add", "set": {"width": 8}}], vary={"skip": ["none", "add"]})
    with pytest.raises(UsageError, match="two variants are called skip=add"):
        variants_of(twice)


@pytest.mark.parametrize("key", ["val_share", "test_share", "split_seed"])
def test_the_division_of_the_pictures_is_an_option_of_the_study(key: str) -> None:
    with pytest.raises(UsageError, match="--val-share"):
        variants_of(plan(set={key: 0.4 if "share" in key else 3}, vary={"skip": ["none", "add"]}))
