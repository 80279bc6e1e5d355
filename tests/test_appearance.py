"""The appearance of pictures: facts by hand and by brute force, and the differences that are found and not found."""

import json
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unpool.appearance.comparison import differences, notes_on
from unpool.appearance.picture import PART, appearance_of
from unpool.appearance.seen import SeenPictures
from unpool.appearance.values import FarValue, Values
from unpool.dataset.checks.similarity import similar_pictures, thumbnail
from unpool.dataset.checks.value_ranges import value_findings
from unpool.dataset.findings import Finding
from unpool.dataset.picture_facts import PictureFacts
from unpool.dataset.split import Split


def smooth(seed: int, low: float, high: float, channels: int = 1) -> np.ndarray:
    """A float picture of 24 x 30 pixels whose values fill a range."""
    values = np.random.default_rng(seed).random((24, 30, channels))
    values = (values - values.min()) / (values.max() - values.min())
    return (low + values * (high - low)).astype(np.float32)


def with_hole(pixels: np.ndarray, value: float) -> np.ndarray:
    """A picture whose first quarter of rows has one value."""
    holed = pixels.copy()
    holed[: len(pixels) // 4] = value
    return holed


def facts(pictures: Mapping[str, np.ndarray], empty: tuple[str, ...] = ()) -> dict[str, PictureFacts]:
    return {
        name: PictureFacts(
            *(name, *pixels.shape, str(pixels.dtype), "grey"),
            class_pixels=(1, 0) if name in empty else (1, 1),
            ignored_pixels=0,
            objects=None,
            digest=name,
            appearance=appearance_of(pixels),
        )
        for name, pixels in pictures.items()
    }


def found_in(pictures: Mapping[str, np.ndarray], empty: tuple[str, ...] = (), val: int = 0) -> dict[str, Finding]:
    names = tuple(pictures)
    split = Split(names[val:], names[:val], (), "made", 0) if val else Split(names, (), (), "made", 0)
    return {finding.code: finding for finding in value_findings(facts(pictures, empty), split)}


def test_values_by_hand() -> None:
    values = Values.of(np.array([3, 3, 9, 5, 4, 9, 9], np.uint8))
    assert values == Values(7, 6.0, 9 + 9 + 9 + 1 + 4 + 9 + 9, 3, 9, 2, 3, (4, 5))
    assert values.share(9) == 3 / 7
    assert values.share(4) == 0
    assert values.range_without({9}) == (3, 5)
    assert Values.of(np.array([7.5, 7.5], np.float32)) == Values(2, 7.5, 0, 7.5, 7.5, 2, 2, None)


@given(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=9), min_size=1, max_size=4), st.booleans())
def test_parts_join_to_the_whole(parts: list[list[int]], floats: bool) -> None:
    dtype = np.float32 if floats else np.uint16
    joined, *others = [Values.of(np.array(part, dtype)) for part in parts]
    for other in others:
        joined = joined.joined(other)
    whole = np.array([value for part in parts for value in part])
    inner = whole[(whole != whole.min()) & (whole != whole.max())]
    assert (joined.count, joined.least, joined.largest) == (whole.size, whole.min(), whole.max())
    assert joined.least_count == (whole == whole.min()).sum()
    assert joined.largest_count == (whole == whole.max()).sum()
    assert joined.inner == ((inner.min(), inner.max()) if inner.size else None)
    assert joined.mean == pytest.approx(whole.mean())
    assert joined.deviation == pytest.approx(whole.std(), abs=1e-9)


def test_a_large_picture_is_counted_in_parts() -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (3, PART, 2), np.uint8)
    values = appearance_of(pixels).channels[1]
    assert (values.count, values.mean) == (3 * PART, pytest.approx(pixels[..., 1].mean()))


@pytest.mark.parametrize(
    ("low", "high", "value"),
    [
        (0.0, 1.0, -9999.0),
        (0.0, 1.0, float(np.float32(-3.4028235e38))),
        (0.0, 1.0, 1e20),
        (-20.0, 3000.0, -9999.0),
        (-20.0, 1500.0, -32768.0),
        (250.0, 310.0, 0.0),
        (0.0, 3000.0, 65535.0),
    ],
)
def test_missing_data_is_far_from_all_others(low: float, high: float, value: float) -> None:
    appearance = appearance_of(with_hole(smooth(0, low, high), value))
    ((found, share),) = appearance.far_values
    assert (found, share) == (np.float32(value), 0.25)
    assert appearance.range == pytest.approx((low, high), rel=0.05, abs=(high - low) / 50)


@pytest.mark.parametrize(
    "pixels",
    [
        smooth(0, 0, 1),
        with_hole(smooth(0, 0.2, 1), 0),  # a dark part
        with_hole(smooth(0, 0, 1), 1),  # a saturated part
        np.where(smooth(0, 0, 1) > 0.5, np.float32(1), np.float32(0)),  # two values
        np.digitize(smooth(0, 0, 1), [0.3, 0.6]).astype(np.float32),  # three
        np.full((9, 9, 1), -9999, np.float32),
        with_hole((smooth(0, 0, 60)).astype(np.uint8), 255),  # bright writing on a dark picture of 8 bits
    ],
)
def test_usual_pictures_have_no_far_value(pixels: np.ndarray) -> None:
    assert appearance_of(pixels).far_values == ()


def test_one_pixel_matters_if_it_changes_the_deviation() -> None:
    pixels = smooth(0, 0, 1)
    for value, far in ((5.0, ()), (-9999.0, (FarValue(-9999.0, 1 / 720),))):
        pixels[5, 5] = value
        assert appearance_of(pixels).far_values == far


def test_a_declared_value_is_missing_data_wherever_it_lies() -> None:
    pixels = with_hole(np.full((24, 30, 3), 100, np.uint8), 0)
    assert appearance_of(pixels, declared=0.0).far_values == (FarValue(0.0, 0.25),)
    assert appearance_of(pixels, declared=7.0).far_values == ()
    assert appearance_of(pixels, declared=-9999.0).far_values == ()


def test_windows_join_to_the_picture() -> None:
    pixels = with_hole(smooth(0, 0, 1, channels=3), -9999.0)
    top, bottom = appearance_of(pixels[:6], -9999.0), appearance_of(pixels[6:], -9999.0)
    whole = appearance_of(pixels, -9999.0)
    assert top.joined(bottom).far_values == whole.far_values == (FarValue(-9999.0, 0.25),)
    assert top.joined(bottom).range == whole.range
    assert top.joined(bottom).colour == pytest.approx(whole.colour)


def test_colour_by_hand() -> None:
    grey = smooth(0, 0, 1)
    assert appearance_of(grey).colour == 0
    assert appearance_of(np.repeat(grey, 3, axis=2)).colour == 0
    assert appearance_of(np.array([[[0, 0, 100], [50, 50, 50]]], np.uint8)).colour == pytest.approx(0.5)
    assert appearance_of(np.repeat(grey, 2, axis=2)).colour is None
    assert appearance_of(np.zeros((2, 2, 3), np.uint8)).colour is None


SEEN = SeenPictures.of([appearance_of(smooth(k, 0, high, 3)) for k, high in enumerate((0.9, 1.0, 0.6))])


@pytest.mark.parametrize(
    ("pixels", "kinds"),
    [
        (smooth(9, 0, 0.8, 3), []),
        (smooth(9, 0, 5.0, 3), []),  # brighter
        (smooth(9, 0, 0.03, 3), []),  # darker
        (smooth(9, 0, 255, 3), ["far-above"]),
        (smooth(9, 0, 1 / 255, 3), ["far-below"]),
        (smooth(9, 3, 4, 3), ["elsewhere"]),
        (smooth(9, 0, 0.8), ["grey"]),
        (np.repeat(smooth(9, 0, 255), 3, axis=2), ["grey", "far-above"]),
        (with_hole(smooth(9, 0, 0.8, 3), -9999.0), ["missing-data"]),
        (np.full((5, 5, 3), -9999, np.float32), ["far-above"]),
        (np.zeros((5, 5, 3), np.float32), []),
    ],
)
def test_differences_from_the_training_pictures(pixels: np.ndarray, kinds: list[str]) -> None:
    assert list(differences(appearance_of(pixels), SEEN)) == kinds


def test_what_the_model_saw_is_no_difference() -> None:
    pictures = [smooth(0, 0, 1), smooth(1, 0, 200), with_hole(smooth(2, 0, 1), -9999.0), smooth(3, 0, 1, 3)]
    seen = SeenPictures.of(map(appearance_of, pictures))
    assert [differences(appearance_of(picture), seen) for picture in pictures] == [{}] * 4


def test_colour_given_to_a_model_that_saw_grey() -> None:
    seen = SeenPictures.of([appearance_of(np.repeat(smooth(0, 0, 1), 3, axis=2))])
    assert list(differences(appearance_of(smooth(1, 0, 1, 3)), seen)) == ["colour"]


def test_one_note_for_each_kind_with_count_and_names() -> None:
    pictures = {f"p{k}": appearance_of(smooth(k, 0, 255 * (k % 2) or 1, 3 - 2 * (k > 5))) for k in range(8)}
    grey, above = notes_on(pictures, SEEN)
    assert grey.startswith("2 pictures in grey (p6, p7), but the model was trained on pictures in colour: ")
    assert above.startswith(
        "4 pictures with values far above those of the training pictures (p1, p3, p5 and 1 more; p1: "
    )
    assert "0 to 255, in training 0 to 1; it reaches about 260 times as far (0..1 beside 0..255" in above
    assert notes_on(pictures, None) == []


def test_the_card_is_json_and_reads_back() -> None:
    seen = SeenPictures.of([appearance_of(with_hole(smooth(0, 0, 1), -9999.0))])
    assert SeenPictures.from_card(json.loads(json.dumps(seen.to_card()))) == seen
    assert SeenPictures.from_card(json.loads(json.dumps(SEEN.to_card()))) == SEEN


@pytest.mark.parametrize(
    ("key", "value"),
    [("ranges", []), ("ranges", {"uint8": {}}), ("colours", [1]), ("colours", [0, float("nan")]), ("colours", "ab")],
)
def test_odd_cards_are_refused(key: str, value: object) -> None:
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        SeenPictures.from_card({**SEEN.to_card(), key: value})


reaches = st.lists(st.floats(0.5, 2.0), min_size=4, max_size=12)


@settings(max_examples=40, deadline=None)
@given(reaches, st.floats(1e-4, 1e5), st.data())
def test_one_scale_never_warns_and_a_factor_of_255_always_does(
    highs: list[float], scale: float, data: st.DataObject
) -> None:
    pictures = {f"p{k}": smooth(k, 0, high) * np.float32(scale) for k, high in enumerate(highs)}
    assert found_in(pictures) == {}
    odd = data.draw(st.sets(st.sampled_from(sorted(pictures)), min_size=1, max_size=len(pictures) - 1))
    mixed = {name: each * 255 if name in odd else each for name, each in pictures.items()}
    warned = found_in(mixed)
    assert list(warned) == ["mixed-ranges"]
    assert set(warned["mixed-ranges"].files) in (odd, set(pictures) - odd)


@pytest.mark.parametrize(
    ("small", "large"),
    [(255, 65535), (4095, 65535), (255, 4095)],
)
def test_two_depths_in_one_pixel_type(small: int, large: int) -> None:
    tops = [large, 0.8 * large, small, 0.97 * small, 0.9 * large, large]
    pictures = {f"p{k}": smooth(k, 0, top).astype(np.uint16) for k, top in enumerate(tops)}
    finding = found_in(pictures)["mixed-ranges"]
    assert (finding.severity, finding.files) == ("warning", ("p2", "p3"))
    assert f"2 pictures with values from 0 to {small} (p2, p3), and 4 with values from 0 to {large}" in finding.found


def test_exposures_are_one_scale() -> None:
    rng = np.random.default_rng(0)
    tops = np.exp(rng.uniform(np.log(500), np.log(65000), 30))
    exposures = {f"p{k}": smooth(k, 0, top).astype(np.uint16) for k, top in enumerate(tops)}
    assert list(found_in(exposures)) == ["dark-picture"]
    assert found_in({f"p{k}": smooth(k, 0, top) for k, top in enumerate((3000, 2900, 40000, 41000))}) == {}


def test_pictures_that_show_nothing_prove_nothing() -> None:
    pictures = {f"p{k}": smooth(k, 0, 0.004 if k == 2 else 1) for k in range(5)}
    assert found_in(pictures, empty=("p2",)) == {}
    assert found_in(pictures)["mixed-ranges"].files == ("p2",)


def test_two_units() -> None:
    pictures = {f"p{k}": smooth(k, *((255, 300) if k > 3 else (-18, 27))) for k in range(6)}
    finding = found_in(pictures)["mixed-ranges"]
    assert finding.found == "2 pictures with values from 255 to 300 (p4, p5), and 4 with values from -18 to 27"
    drift = {f"p{k}": smooth(k, 100 + 10 * k, 101 + 10 * k) for k in range(20)}
    assert found_in(drift) == {}


def test_missing_data_in_a_set() -> None:
    pictures = {f"p{k}": smooth(k, 0, 1) for k in range(4)}
    pictures["p1"] = with_hole(pictures["p1"], -9999.0)
    pictures["p3"][:] = -9999.0  # no data at all
    found = found_in(pictures)
    finding = found["missing-data"]
    assert (finding.severity, finding.files) == ("warning", ("p1", "p3"))
    assert "the value -9999 on 62.50% of the pixels (p1, p3), far from all others; the others are 0" in finding.found
    mean = np.concatenate([pictures["p1"], pictures["p3"]]).mean(dtype=np.float64)
    assert f"the mean is {mean:.5g}" in finding.found
    assert found["constant-picture"].files == ("p3",)
    for name in ("p1", "p3"):
        pictures[name] = np.where(pictures[name] == -9999, np.float32(0.5), pictures[name])  # the repair
    assert "missing-data" not in found_in(pictures)


def test_many_far_values_are_one_finding() -> None:
    pictures = {f"p{k}": with_hole(smooth(k, 0, 1), 1e6 + k) for k in range(5)}
    split = Split(tuple(pictures), (), (), "made", 0)
    (finding,) = value_findings(facts(pictures), split)
    assert finding.files == tuple(pictures)
    assert finding.found.endswith("and 4 more like it")


def test_constant_and_dark_pictures() -> None:
    constant = {"a": np.full((9, 9, 1), 4, np.uint8), "b": smooth(0, 0, 255).astype(np.uint8)}
    found = found_in(constant)
    assert found["constant-picture"].severity == "warning"
    assert found["dark-picture"].found == "1 picture without a pixel above 4 of 255: a"
    assert found_in(constant, empty=("a",))["constant-picture"].severity == "note"
    dark = found_in({"a": smooth(0, 0, 4000).astype(np.uint16)})["dark-picture"]
    assert dark.found == "1 picture without a pixel above 4000 of 65535: a; normalisation makes up for it"


def test_grey_in_val_alone() -> None:
    pictures = {f"p{k}": smooth(k, 0, 1, 3 if k > 1 else 1) for k in range(6)}
    finding = found_in(pictures, val=2)["colour-not-in-train"]
    assert finding.files == ("p0", "p1")
    assert "2 pictures in val in grey, as no training picture is: p0, p1" in finding.found
    assert found_in(pictures, val=1) == {}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("missing", [-9999.0, -3.4028235e38, 1e20])
def test_missing_data_make_no_two_pictures_alike(missing: float) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.random((2, 48, 48, 3), dtype=np.float32)
    pictures[:, :, :12] = missing
    plain, filled = ([thumbnail(each, values) for each in pictures] for values in ((), {float(np.float32(missing))}))
    assert similar_pictures({"a": plain[0]}, {"b": plain[1]})
    assert not similar_pictures({"a": filled[0]}, {"b": filled[1]})
    assert similar_pictures({"a": filled[0]}, {"c": filled[0]})
