"""Mask values that a person chooses: merged, in ranges, or read as the nearest named one; and the way back."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from test_survey import codes, made
from test_survey_values import finding
from test_survey_ways import blobs, layers
from unpool.class_table import IGNORE_ID, ClassTable, ValueRange, distinct_colours, value_distance
from unpool.data.samples import read_sample
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.survey import survey
from unpool.dataset.survey_result import Survey
from unpool.dataset.survey_text import survey_page
from unpool.errors import DataError, UsageError
from unpool.io.write.masks import write_mask
from unpool.report.card import _class_table

RANGES = ["0-127=background", "128-255=polyp"]
COLOURS = np.array([(0, 0, 0), (250, 50, 83), (51, 221, 255)], np.uint8)


def pasted(text: str) -> MaskOptions:
    """The options in a repair, as a person copies them: from the first option to the end of the clause."""
    words = shlex.split(text[text.index("--") :].split(";", maxsplit=1)[0].split(", or ", maxsplit=1)[0])
    given: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            given[word] = []
        else:
            given[[*given][-1]].append(word)
    return MaskOptions(
        classes=given.get("--classes", []),
        ignore=given.get("--ignore"),
        snap="--snap" in given,
        kind=given.get("--masks", ["auto"])[0],  # type: ignore[arg-type]
    )


def smeared(root: Path, values: Sequence[object], quality: int = 75) -> list[np.ndarray]:
    """A folder of JPEG masks of blobs in these greys or colours; returns their ids as they were drawn."""
    rng = np.random.default_rng(4)
    ids = [blobs(rng, len(values) - 1) for _ in range(6)]
    made(root, [np.array(values, np.uint8)[mask] for mask in ids])
    for k, mask in enumerate(ids):
        (root / "masks" / f"{k:02}.png").unlink()
        picture = Image.fromarray(np.array(values, np.uint8)[mask])
        picture.save(root / "masks" / f"{k:02}.jpg", quality=quality, subsampling=0)
    return ids


def test_classes_are_merged_and_chosen_by_hand(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [blobs(rng, 3).astype(np.uint8) for _ in range(6)]
    made(tmp_path, masks)
    found = survey(tmp_path, MaskOptions(classes=["0=background", "1,3=cell", "2=ignore"]))
    assert found.table.values == ((0,), (1, 3))
    assert found.table.ignore == (2,)
    assert found.errors == ()
    cells = sum(int(np.isin(mask, (1, 3)).sum()) for mask in masks)
    assert sum(fact.class_pixels[1] for fact in found.pictures.values()) == cells
    labels = found.table.encode(masks[0], "m")
    assert (labels == np.array([0, 1, IGNORE_ID, 1])[masks[0]]).all()
    assert found.table.decode(np.array([[0, 1]], np.uint8)).tolist() == [[0, 1]]
    colours = MaskOptions(classes=["#000000=background", "#ff0000,#00ff00=cell"])
    made(
        tmp_path / "colours", [np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 0, 0)], np.uint8)[m] for m in masks]
    )
    assert survey(tmp_path / "colours", colours).table.values == (((0, 0, 0),), ((255, 0, 0), (0, 255, 0)))


def test_ranges_read_masks_that_jpeg_has_smeared(tmp_path: Path) -> None:
    smeared(tmp_path, [0, 255])
    found = survey(tmp_path, MaskOptions(classes=RANGES))
    assert found.errors == ()
    assert found.table.ranges == (ValueRange(0, 127, 0), ValueRange(128, 255, 1))
    assert found.table.values == ((0,), (255,))  # the value of most pixels in each range
    assert "lossy-mask" not in codes(found)
    assert "0-127 are background, and predicted as 0; 128-255 are polyp" in finding(found, "value-ranges").found
    for pair in found.folder.pairs:
        stored = np.asarray(Image.open(pair.mask).convert("L"))
        sample = read_sample(pair, found.table)
        assert (sample.labels == (stored >= 128)).all()
        assert found.pictures[pair.name].class_pixels == (int((stored < 128).sum()), int((stored >= 128).sum()))
    page = survey_page(found)
    assert "0-127" in page
    assert "128-255" in page


def test_a_range_is_written_as_its_most_frequent_value(tmp_path: Path) -> None:
    smeared(tmp_path, [40, 200])
    table = survey(tmp_path, MaskOptions(classes=["0-99=low", "100-255=high"])).table
    assert table.values == ((40,), (200,))
    write_mask(tmp_path / "p.png", np.array([[0, 1]], np.uint8), table)
    assert np.asarray(Image.open(tmp_path / "p.png")).tolist() == [[40, 200]]


def test_a_model_reads_the_masks_of_a_test_by_its_ranges(tmp_path: Path) -> None:
    smeared(tmp_path / "one", [0, 255])
    smeared(tmp_path / "other", [0, 255], quality=40)
    trained = survey(tmp_path / "one", MaskOptions(classes=RANGES)).table
    table = ClassTable.from_card(json.loads(json.dumps(trained.to_card())))
    assert table == trained
    found = survey(tmp_path / "other", table=table)
    assert found.errors == ()
    stored = np.asarray(Image.open(tmp_path / "other" / "masks" / "00.jpg").convert("L"))
    assert found.pictures["00"].class_pixels == (int((stored < 128).sum()), int((stored >= 128).sum()))
    made(tmp_path / "sharp", [np.array([0, 200], np.uint8)[blobs(np.random.default_rng(1), 1)]] * 3)
    assert survey(tmp_path / "sharp", table=table).errors == ()
    (tmp_path / "other" / "classes.txt").write_text("0: background\n255: ignore\n")
    with pytest.raises(DataError, match="ignores the mask value 255, which the model reads as polyp"):
        survey(tmp_path / "other", table=table)


def test_the_card_shows_what_is_merged() -> None:
    plain = ClassTable("values", ("a", "b"), ((0,), (255,)), (7,), distinct_colours(2))
    assert _class_table(plain).header == ("id", "class", "in masks", "colour")
    assert {"ranges", "snap"}.isdisjoint(plain.to_card())  # the card of every other table stays as it was
    merged = ClassTable("values", ("a", "b"), ((0,), (1, 3)), (2,), distinct_colours(2), snap=True)
    shown = _class_table(merged)
    assert shown.header[3] == "predicted as"
    assert [row[2:4] for row in shown.rows] == [("0", "0"), ("1 3", "1"), ("2", "–"), ("all others", "–")]
    spans = ClassTable("values", ("a", "b"), ((0,), (255,)), (), distinct_colours(2), (ValueRange(200, 255, 1),))
    assert _class_table(spans).rows[1][2:4] == ("200-255", "255")
    assert spans.describe_values() == "0 a, 200-255 b"
    assert merged.describe_values() == "0 a, 1/3 b, 2 ignored, and every other value as the nearest of these"


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ([0, 255], "--classes 0-127=background 128-255=object"),
        ([0, 128, 255], "--classes 0-64=background 65-191=class128 192-255=class255"),
        (COLOURS, "--snap --classes '#000000=background'"),
    ],
)
def test_the_refusal_of_smeared_masks_names_options_that_read_them(
    tmp_path: Path, values: Sequence[object], option: str
) -> None:
    ids = smeared(tmp_path, values, quality=95)
    with pytest.raises(DataError) as refusal:
        survey(tmp_path)
    assert option in refusal.value.repair
    found = survey(tmp_path, pasted(refusal.value.repair))
    assert found.errors == ()
    order = np.array([0, 2, 1] if isinstance(values, np.ndarray) else range(3))  # colours are named in their order
    for pair, drawn in zip(found.folder.pairs, ids, strict=True):
        assert (read_sample(pair, found.table).labels == order[drawn]).mean() > 0.97


def test_smoothed_greys_and_one_smeared_mask_have_the_same_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    masks = [np.array([0, 255], np.uint8)[blobs(rng, 1)] for _ in range(6)]
    smooth = [np.asarray(Image.fromarray(mask).resize((112, 96), Image.Resampling.BILINEAR)) for mask in masks]
    with pytest.raises(DataError) as refusal:
        survey(made(tmp_path / "all", smooth))
    assert survey(tmp_path / "all", pasted(refusal.value.repair)).errors == ()
    mixed = survey(made(tmp_path / "one", [*masks[1:], smooth[0]]))
    repair = finding(mixed, "smeared-mask").repair
    assert repair.startswith("read them as they are with --snap --classes 0=background 255=foreground; or")
    assert survey(tmp_path / "one", pasted(repair)).errors == ()


def test_pictures_in_place_of_masks_have_no_such_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    noise = [np.asarray(Image.fromarray(rng.integers(0, 255, (9, 9), np.uint8)).resize((60, 60))) for _ in range(4)]
    with pytest.raises(DataError) as refusal:
        survey(made(tmp_path, noise))
    assert "0-127" not in refusal.value.repair
    assert "--snap --classes" not in refusal.value.repair


def test_the_class_file_of_smeared_masks_is_snapped_to(tmp_path: Path) -> None:
    smeared(tmp_path, COLOURS)
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb\nbackground:0,0,0::\ntool:250,50,83::\nbolt:51,221,255::\n"
    )
    with pytest.raises(DataError, match=r"read them as they are with --snap; or"):
        survey(tmp_path)
    found = survey(tmp_path, MaskOptions(snap=True))
    assert found.table.names == ("background", "tool", "bolt")
    assert found.errors == ()
    assert "by the nearest" not in finding(found, "class-names").found


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=6, unique=True),
    st.lists(st.integers(0, 60), min_size=1, max_size=30),
)
def test_snapping_by_brute_force(named: list[int], values: list[int]) -> None:
    table = ClassTable(
        "values", tuple(map(str, named)), tuple((v,) for v in named), (), distinct_colours(len(named)), snap=True
    )
    ids = table.encode(np.array([values]), "m")[0]
    for value, k in zip(values, ids.tolist(), strict=True):
        assert abs(value - named[k]) == min(abs(value - each) for each in named)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 0xFFFFFF), min_size=2, max_size=5, unique=True), st.integers(0, 10**6))
def test_snapping_of_colours_by_brute_force(named: list[int], seed: int) -> None:
    colours = [(n >> 16, n >> 8 & 255, n & 255) for n in named]
    table = ClassTable(
        "colours", tuple(map(str, named)), tuple((c,) for c in colours), (), distinct_colours(len(named)), snap=True
    )
    mask = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    distances = ((mask[..., None, :].astype(int) - np.array(colours)) ** 2).sum(-1)
    ids = table.encode(mask, "m")
    assert (np.take_along_axis(distances, ids[..., None].astype(int), -1)[..., 0] == distances.min(-1)).all()
    assert value_distance(named[0], named[1], "colours") == pytest.approx(
        np.linalg.norm(np.subtract(colours[0], colours[1]))
    )


def test_how_far_pixels_were_moved_is_in_a_note(tmp_path: Path) -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[:10], mask[0, 0], mask[39, :2] = 255, 250, 3
    found = survey(made(tmp_path, [mask] * 4), MaskOptions(classes=["0=a", "255=b"], snap=True))
    assert "0.15% of the pixels were moved, half of them by at most 3, and by 5 at most" in (
        finding(found, "snapped-values").found
    )
    assert found.pictures["00"].class_pixels == (1500, 500)
    assert "snapped-class" not in codes(found)


def test_a_drawn_value_without_a_name_is_not_moved_in_silence(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    made(tmp_path, [np.array([0, 100, 255], np.uint8)[blobs(rng, 2)] for _ in range(5)])
    warning = finding(survey(tmp_path, MaskOptions(classes=["0=a", "255=b"], snap=True)), "snapped-class")
    assert (warning.severity, warning.files[0]) == ("warning", "00")
    assert "moved mask value 100" in warning.found
    named = survey(tmp_path, pasted(warning.repair))
    assert named.table.values == ((0,), (255,), (100,))
    assert "snapped-class" not in codes(named)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MaskOptions(classes=["0-128=a", "128-255=b"]), "mask value 128 is given to both 'a' and 'b'"),
        (MaskOptions(classes=["0-128=a", "100-255=b"]), "mask value 100-128 is given to both 'a' and 'b'"),
        (MaskOptions(classes=["9-2=a", "128-255=b"]), "its higher value first"),
        (MaskOptions(classes=["0-9=a", "1x=b"]), "low-high=name"),
        (MaskOptions(classes=["0-9=a", "#ff0000=b"]), "some a colour"),
        (MaskOptions(classes=["0-9=a", "b"]), "some have none"),
        (MaskOptions(classes=["0-9=a", "10=b"], kind="instances"), "a range of values with --masks instances"),
        (
            MaskOptions(classes=["0-9=a", "10=b"], kind="colours"),
            "--masks colours, and classes that are named by number",
        ),
        (MaskOptions(classes=["0=a", "10=b"], kind="instances", snap=True), "--snap with --masks instances"),
        (MaskOptions(classes=["0=a", "1=b"], ignore=["20-9"]), "the lower value first"),
        (MaskOptions(classes=["0=a", "1=b"], ignore=["1-20"]), "mask value 1 is given to both 'b' and 'ignore'"),
        (MaskOptions(ignore=["20-9"]), "write it the other way: --ignore 9-20"),
        (MaskOptions(ignore=["9-"]), "correct the value"),
        (MaskOptions(ignore=["9-20"], kind="instances"), "single object numbers"),
        (MaskOptions(classes=["#000000=a", "#ff0000=b"], ignore=["9-20"], snap=True), "named by colour"),
    ],
)
def test_ranges_without_sense_are_refused(tmp_path: Path, options: MaskOptions, message: str) -> None:
    made(tmp_path, [np.array([0, 1], np.uint8)[blobs(np.random.default_rng(0), 1)]] * 3)
    with pytest.raises(UsageError) as refusal:
        survey(tmp_path, options)
    assert message in str(refusal.value)


@pytest.mark.parametrize("classes", [[], ["0=background", "255=cell"]])
def test_a_range_of_values_is_ignored(tmp_path: Path, classes: list[str]) -> None:
    ids = smeared(tmp_path, [0, 255])
    found = survey(tmp_path, MaskOptions(classes=classes, ignore=["9-246", "1-8", "247-254"]))
    assert found.errors == ()
    assert found.table.values == ((0,), (255,))
    assert [*found.table.encode(np.array([[0, 1, 9, 246, 254, 255]], np.uint8), "m")[0]] == [0, *[IGNORE_ID] * 4, 1]
    assert ClassTable.from_card(json.loads(json.dumps(found.table.to_card()))) == found.table
    assert "1-8/" in survey_page(found).replace("9-246/1-8", "1-8/")
    read = [read_sample(pair, found.table).labels for pair in found.folder.pairs]
    drawn = [labels != IGNORE_ID for labels in read]
    assert all(
        (labels[d] == mask[d]).all() and d.mean() > 0.5 for labels, d, mask in zip(read, drawn, ids, strict=True)
    )
    assert survey(tmp_path, table=found.table).errors == ()


def test_values_outside_all_ranges_are_in_no_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    made(tmp_path, [np.array([0, 100, 255], np.uint8)[blobs(rng, 2)] for _ in range(5)])
    error = finding(survey(tmp_path, MaskOptions(classes=["0-50=a", "200-255=b"])), "unknown-value")
    assert "mask value 100 is in no class" in error.found
    assert survey(tmp_path, pasted(error.repair.split("classes, use ")[1])).table.names == ("a", "b", "class100")
    ignoring = MaskOptions(classes=["0-50=a", "200-255=b"], ignore=pasted(error.repair).ignore)
    assert survey(tmp_path, ignoring).errors == ()


def test_greys_that_are_not_quite_grey_are_named_as_colours(tmp_path: Path) -> None:
    smeared(tmp_path, np.array([(0, 0, 0), (250, 255, 250)], np.uint8))
    error = finding(survey(tmp_path, MaskOptions(classes=["0-127=background", "128-255=polyp"])), "mask-form")
    assert "an RGB colour mask" in error.found
    found = survey(tmp_path, pasted(error.repair))
    assert (found.errors, found.table.names) == ((), ("background", "polyp"))


def test_snap_without_names_is_answered_with_the_values_of_the_masks(tmp_path: Path) -> None:
    smeared(tmp_path, [0, 255])
    for classes in ([], ["land", "sea"]):
        with pytest.raises(DataError, match="--snap, and") as refusal:
            survey(tmp_path, MaskOptions(classes=classes, snap=True))
        options = pasted(refusal.value.repair)
        assert options.snap
        found = survey(tmp_path, options)
        assert found.errors == ()
        assert found.table.names == (tuple(classes) or ("background", "object"))


def test_a_named_value_is_never_smeared(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [layers(rng).astype(np.uint8) * 9 for _ in range(4)]
    for mask in masks:
        mask[3, 3] = 254
    named = [f"{9 * k}=layer{k}" for k in range(8)]
    found = survey(made(tmp_path, masks), MaskOptions(classes=[*named, "254=spot"]))
    assert found.errors == ()
    assert found.table.values[-1] == (254,)


def ask(found: Survey) -> str:
    error = finding(found, "void-or-class")
    assert error.severity == "error"
    return error.repair


@pytest.mark.parametrize(
    ("values", "dtype"), [([0, 15, 255], np.uint8), ([0, 2, 62, 80, 255], np.uint8), ([0, 1, 3, 65535], np.uint16)]
)
def test_255_beside_ids_is_a_question_whose_answers_work(tmp_path: Path, values: list[int], dtype: type) -> None:
    rng = np.random.default_rng(0)
    made(tmp_path, [np.array(values, dtype)[blobs(rng, len(values) - 1)] for _ in range(6)])
    repair = ask(survey(tmp_path))
    ignored = survey(tmp_path, pasted(repair))
    assert (ignored.errors, ignored.table.ignore) == ((), (values[-1],))
    classes = survey(tmp_path, pasted(repair.split("if it is a class, add ")[1]))
    assert classes.errors == ()
    assert [given[0] for given in classes.table.values] == values


def test_masks_of_0_and_255_with_some_1_are_a_question(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [np.array([0, 255], np.uint8)[blobs(rng, 1)] for _ in range(6)]
    for mask in masks:
        mask[20:23, 20:23] = 1
    repair = ask(survey(made(tmp_path / "binary", masks)))
    assert survey(tmp_path / "binary", pasted(repair.split("if it is a class, add ")[1])).errors == ()
    scribbles = [np.full((48, 56), 255, np.uint8) for _ in range(6)]
    for mask in scribbles:
        mask[5:9, 5:40], mask[30:33, 9:50] = 0, 1
    assert survey(made(tmp_path / "scribbles", scribbles)).table.ignore == (255,)


@pytest.mark.parametrize("values", [[0, 255], [0, 128, 255], [0, 85, 170, 255], [0, 50, 100, 150, 255], [1, 255]])
def test_greys_are_no_question(tmp_path: Path, values: list[int]) -> None:
    rng = np.random.default_rng(0)
    found = survey(made(tmp_path, [np.array(values, np.uint8)[blobs(rng, len(values) - 1)] for _ in range(6)]))
    assert found.errors == ()
    assert [given[0] for given in found.table.values] == values


def test_void_by_convention_has_a_way_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made(tmp_path, [np.array([0, 1, 2, 255], np.uint8)[blobs(rng, 3)] for _ in range(6)])
    found = survey(tmp_path)
    assert found.table.ignore == (255,)
    again = survey(tmp_path, pasted(finding(found, "ignore-value").repair))
    assert [given[0] for given in again.table.values] == [0, 1, 2, 255]
    assert max(map(len, survey_page(found).splitlines())) <= 100


def test_the_likely_meaning_of_classes_without_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [np.array([0, 255], np.uint8)[blobs(rng, 1)] for _ in range(6)]
    made(tmp_path, masks, channels=1)
    for k, mask in enumerate(masks):
        Image.fromarray((60 + mask // 3 + rng.integers(0, 20, mask.shape)).astype(np.uint8)).save(
            tmp_path / "images" / f"{k:02}.png"
        )
    note = finding(survey(tmp_path), "unnamed-classes")
    assert note.severity == "note"
    assert "most of the edges of the pictures, darker than the rest; 255: " in note.found
    assert "pixels across, brighter than the rest" in note.found
    named = survey(tmp_path, pasted(note.repair))
    assert named.table.names == ("background", "object")
    assert "unnamed-classes" not in codes(named)
    inverse = [255 - mask for mask in masks]
    note = finding(survey(made(tmp_path / "inverse", inverse)), "unnamed-classes")
    assert "--classes 0=object 255=background" in note.repair


def test_names_by_order_without_a_background(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made(tmp_path, [blobs(rng, 2).astype(np.uint8) for _ in range(6)])
    (tmp_path / "classes.txt").write_text("cat\ndog\nbird\n")
    warning = finding(survey(tmp_path), "background-unnamed")
    assert warning.severity == "warning"
    named = survey(tmp_path, pasted(warning.repair.split("name all values: ")[1]))
    assert named.table.names == ("background", "cat", "dog", "bird")
    assert named.errors == ()
