from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unpool.data.groups import copies_apart, copies_of, group_of
from unpool.data.samples import Pair
from unpool.dataset.pairing.folder import Folder
from unpool.dataset.split import Split, SplitShares, make_split
from unpool.errors import DataError


def folder(*names: str) -> Folder:
    parts = ("train", "val", "test")
    pairs = [
        Pair(name, Path(name + ".png"), Path(name + "_m.png"), name.split("/")[0] if name.startswith(parts) else None)
        for name in names
    ]
    return Folder(Path("set"), "made up", tuple(pairs), (), ())


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("slideA_x0_y128", "slideA"),
        ("slideA_x0y128", "slideA"),
        ("slideA_r1_c2", "slideA"),
        ("P12_tile_3", "P12"),
        ("patient-04_slice_10", "patient-04"),
        ("train/0001TP_006690", "0001TP"),
        ("0006R0_f00930", "0006R0"),
        ("case3/img_7", "case3"),
        ("slideA_00", "slideA"),
    ],
)
def test_groups_of_names(name: str, group: str) -> None:
    same = name[:-1] + ("1" if name[-1] != "1" else "2")
    others = ["slideB_00", "slideB_01"] if name == "slideA_00" else ["other9_x3", "other9_x4"]
    names = [name, same, *others] if "/img" not in name else [name, same, "case4/img_1"]
    groups = group_of(names)
    assert groups[name] == group
    assert groups[same] == group


@pytest.mark.parametrize(
    "names",
    [
        ["00", "01", "02"],
        ["img_001", "img_002"],
        ["00071198d059", "003cee89357d"],
        ["benign (1)", "benign (2)", "malignant (1)"],
        ["maximum12", "maximum13"],
        ["slideA_x0_y0", "slideA_x0_y1"],
    ],
)
def test_names_that_are_groups_of_their_own(names: list[str]) -> None:
    assert len(set(group_of(names).values())) == len(names)


@settings(deadline=None)
@given(st.sets(st.text("abc019_-/ ", min_size=1, max_size=8), min_size=2, max_size=30), st.integers(0, 9), st.randoms())
def test_a_split_divides_everything_whatever_the_order(names: set[str], seed: int, random: object) -> None:
    ordered = sorted(names)
    split = make_split(folder(*ordered), seed)
    assert sorted((*split.train, *split.val)) == ordered
    assert split.train
    assert split.val
    random.shuffle(ordered)  # type: ignore[attr-defined]
    assert make_split(folder(*ordered), seed) == split


def test_groups_stay_together() -> None:
    names = [f"P{patient}_slice_{k}" for patient in range(10) for k in range(5)]
    for seed in range(5):
        split = make_split(folder(*names), seed)
        sides = [{name.split("_")[0] for name in part} for part in (split.train, split.val)]
        assert not sides[0] & sides[1]
        assert len(split.val) == 10
        assert "by whole groups" in split.origin


def test_words_with_counters_are_groups() -> None:
    split = make_split(folder(*[f"slide{slide}_{k:02}" for slide in "ABCDE" for k in range(4)]), 0)
    assert len({name[:6] for name in split.val}) == 1
    assert "by whole groups, so that no source is on both sides: slide" in split.origin


def hashes(base: str, count: int) -> list[str]:
    return [f"{base}_jpg.rf.{k:032x}" for k in range(count)]


def test_varied_copies_stay_together() -> None:
    names = [name for k in range(10) for name in hashes(f"frame_{k:04}", 3)]
    for seed in range(5):
        split = make_split(folder(*names), seed)
        sides = [{name[:10] for name in part} for part in (split.train, split.val)]
        assert not sides[0] & sides[1]
        assert len(split.val) == 6
    uneven = [*hashes("P1_1", 9), *hashes("P1_2", 9), *hashes("P1_3", 9), *hashes("P2_1", 1)]
    split = make_split(folder(*uneven), 0)
    assert "too few or too unequal" in split.origin
    assert not {name[:4] for name in split.train} & {name[:4] for name in split.val}


@pytest.mark.parametrize("end", [".rf.0123456789abcdef0123456789abcdef", "_aug_3", "_flip", "_hflip_rot90", " copy"])
def test_names_of_varied_copies(end: str) -> None:
    assert copies_of(["a_1", f"train/a_1{end}", "a_2"]) == {"a_1": "a_1", f"train/a_1{end}": "a_1", "a_2": "a_2"}
    apart = copies_apart({"train": ["train/a_1", "train/a_2"], "val": [f"val/a_1{end}", "val/a_2"]})
    assert apart == {"a_1": {"train", "val"}}


@pytest.mark.parametrize(
    "words",
    [
        ["benign", "malignant", "normal"],
        ["Rural", "Urban"],
        ["grade1", "grade2", "grade3"],
        ["no crack", "crack"],
    ],
)
@pytest.mark.parametrize("name", ["{0}/{0} ({1})", "{0}/img_{1}", "{0} ({1})", "{0}/{0}_{1:04}"])
def test_each_kind_is_drawn_from(words: list[str], name: str) -> None:
    names = [name.format(word, k) for word in words for k in range(12 if word == words[0] else 5)]
    for seed in range(5):
        split = make_split(folder(*names), seed)
        for part in (split.train, split.val):
            assert {word for word in words for each in part if each.startswith(word)} == {*words}
    assert "from each kind of names" in split.origin


@pytest.mark.parametrize(
    "words",
    [
        ["p12", "p13", "p14", "p15"],
        ["slideA", "slideB", "slideC", "slideD"],
        ["patient anna", "patient bo", "patient cy", "patient di"],
        ["aachen", "bochum", "bremen", "cologne", "erfurt", "hamburg", "hanover", "jena", "krefeld", "monchen"],
    ],
)
@pytest.mark.parametrize("name", ["{0}/img_{1}", "{0}/{1:04}"])
def test_sources_are_not_divided(words: list[str], name: str) -> None:
    split = make_split(folder(*[name.format(word, k) for word in words for k in range(4)]), 0)
    sides = [{name.split("/")[0] for name in part} for part in (split.train, split.val)]
    assert not sides[0] & sides[1]


def test_films_in_one_folder_are_sources() -> None:
    split = make_split(
        folder(*[f"{film}_{k:04}" for film in ("alien", "brazil", "casino", "dune") for k in range(4)]), 0
    )
    assert len({name.split("_")[0] for name in split.val}) == 1


def test_seeds_differ() -> None:
    names = [f"{k:02}" for k in range(30)]
    assert make_split(folder(*names), 0).val != make_split(folder(*names), 1).val
    assert len(make_split(folder(*names), 0).val) == 6
    assert make_split(folder(*names), 0).origin.endswith("file names show no groups of related pictures")


def test_too_few_groups_are_broken_up() -> None:
    names = [f"A1_{k}" for k in range(10)] + [f"B1_{k}" for k in range(10)]
    split = make_split(folder(*names), 0)
    assert len(split.val) == 4
    assert "too few or too unequal" in split.origin


def test_the_folders_own_parts_are_honoured() -> None:
    split = make_split(folder("train/a", "train/b", "val/c", "test/d"), 0)
    assert (split.train, split.val, split.test) == (("train/a", "train/b"), ("val/c",), ("test/d",))
    made = make_split(folder("train/a", "train/b", "test/d"), 0)
    assert len(made.val) == len(made.train) == 1
    assert made.members("test") == ("test/d",)


def test_a_test_part_is_set_aside_before_the_validation_part() -> None:
    names = [f"slide{slide}_{k:02}" for slide in "ABCDEFGHIJ" for k in range(4)]
    split = make_split(folder(*names), 5, SplitShares(test=0.2))
    parts = [set(split.members(part)) for part in ("train", "val", "test")]
    assert set.union(*parts) == set(names)
    assert sum(map(len, parts)) == len(names)
    assert len(parts[2]) == 8
    groups = [{name.split("_")[0] for name in part} for part in parts]
    assert sum(map(len, groups)) == 10
    assert "test drawn with seed 5" in split.origin
    assert "val drawn with seed 5" in split.origin
    assert make_split(folder(*names), 5, SplitShares(test=0.2)) == split
    assert make_split(folder(*names), 6, SplitShares(test=0.2)).test != split.test


def test_the_folders_own_test_part_stays() -> None:
    split = make_split(folder("train/a", "train/b", "train/c", "val/c", "test/d"), 0, SplitShares(test=0.5))
    assert (split.test, len(split.train)) == (("test/d",), 3)
    drawn = make_split(folder("train/a", "train/b", "train/c", "val/d"), 0, SplitShares(test=0.3))
    assert (len(drawn.test), drawn.val, len(drawn.train)) == (1, ("val/d",), 2)


def test_what_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="only pairs for val and test"):
        make_split(folder("val/c", "test/d"), 0)
    with pytest.raises(DataError, match="1 pair to train"):
        make_split(folder("a"), 0)
    with pytest.raises(DataError, match="1 pair to train"):
        make_split(folder("a", "b"), 0, SplitShares(test=0.5))
    with pytest.raises(DataError, match="a validation share of 0"):
        make_split(folder("a", "b"), 0, SplitShares(val=0))


def test_json_round_trip() -> None:
    split = make_split(folder("a", "b", "c"), 3)
    assert Split.from_json(split.to_json()) == split
