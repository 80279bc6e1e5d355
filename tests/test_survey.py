from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unpool.class_table import ClassTable, distinct_colours
from unpool.dataset.checks import one_pair
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.survey import survey, survey_steps
from unpool.dataset.survey_result import Survey
from unpool.dataset.survey_text import survey_page
from unpool.errors import DataError, UsageError

REAL = Path(__file__).parents[2] / "shared" / "data"
real_data = pytest.mark.skipif(not REAL.is_dir(), reason="the real data sets are not here")


def squares(values: Sequence[int], dtype: type = np.uint8, side: int = 40) -> np.ndarray:
    """A mask of the first value with a block of each other value."""
    mask = np.full((side, side), values[0], dtype)
    for k, value in enumerate(values[1:]):
        mask[4 * (k // 8) : 4 * (k // 8) + 3, 4 * (k % 8) : 4 * (k % 8) + 3] = value
    return mask


def made(root: Path, masks: Sequence[np.ndarray], suffix: str = "png", channels: int = 3) -> Path:
    """A folder of these masks, each with a picture of noise."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for k, mask in enumerate(masks):
        noise = rng.integers(0, 256, (*mask.shape[:2], channels), dtype=np.uint8).squeeze()
        Image.fromarray(noise).save(root / "images" / f"{k:02}.png")
        Image.fromarray(mask).save(root / "masks" / f"{k:02}.{suffix}")
    return root


def codes(found: Survey) -> dict[str, str]:
    return {finding.code: finding.severity for finding in found.findings}


def test_binary_masks(tmp_path: Path) -> None:
    found = survey(made(tmp_path, [squares([0, 255])] * 10))
    assert found.table.names == ("background", "foreground")
    assert found.table.values == ((0,), (255,))
    assert found.table.ignore == ()
    assert found.pictures["00"].class_pixels == (1591, 9)
    assert found.class_shares(["00", "01"]) == pytest.approx((1591 / 1600, 9 / 1600))
    assert found.errors == ()
    assert survey_page(found).rstrip().endswith("Ready to train.")


def test_pixels_of_the_pictures_with_a_class(tmp_path: Path) -> None:
    masks = [squares([0, 1]), squares([0, 2, 255]), squares([0, 1, 2], side=50)]
    found = survey(made(tmp_path, masks * 2))
    assert found.table.names == ("class 0", "class 1", "class 2")
    assert found.class_pixels(["00", "01", "02"]) == (1591 + 1582 + 2482, 18, 18)
    assert found.pixels_with_class(["00", "01", "02"]) == (1600 + 1600 + 2500, 4100, 4100)  # ignored pixels too
    assert found.pixels_with_class(["00", "unread"]) == (1600, 1600, 0)


def test_255_is_ignored_beside_small_ids(tmp_path: Path) -> None:
    found = survey(made(tmp_path, [squares([0, 1, 2, 255])] * 10))
    assert found.table.names == ("class 0", "class 1", "class 2")
    assert found.table.ignore == (255,)
    assert codes(found)["ignore-value"] == "note"
    assert found.pictures["00"].ignored_pixels == 9
    assert survey(tmp_path, MaskOptions(ignore=[])).table.ignore == ()


def test_greys_are_classes(tmp_path: Path) -> None:
    assert survey(made(tmp_path, [squares([0, 128, 255])] * 4)).table.names == ("value 0", "value 128", "value 255")


def test_palette_masks_lend_their_colours(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1, 2])] * 4)
    for path in (tmp_path / "masks").iterdir():
        picture = Image.open(path)
        picture.load()
        picture.putpalette([0, 0, 0, 9, 8, 7, 6, 5, 4])
        picture.save(path)
    found = survey(tmp_path)
    assert found.table.values == ((0,), (1,), (2,))
    assert found.table.colours == ((0, 0, 0), (9, 8, 7), (6, 5, 4))


def test_colour_masks(tmp_path: Path) -> None:
    mask = np.zeros((20, 20, 3), np.uint8)
    mask[5:9] = (200, 30, 40)
    made(tmp_path, [mask] * 4)
    found = survey(tmp_path)
    assert found.table.kind == "colours"
    assert found.table.values == (((0, 0, 0),), ((200, 30, 40),))
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nVoid,0,0,0\nroad,200,30,40\nsky,1,1,1\n")
    named = survey(tmp_path)
    assert named.table.names == ("road", "sky")
    assert named.table.ignore == ((0, 0, 0),)
    assert codes(named)["one-class"] == "error"
    by_hand = survey(tmp_path, MaskOptions(classes=["#000000=ground", "#c81e28=road"]))
    assert by_hand.table.names == ("ground", "road")


def test_class_files(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1, 2])] * 4)
    file = tmp_path / "classes.txt"
    file.write_text("ground\ncell\nvoid\n")
    found = survey(tmp_path)
    assert (found.table.names, found.table.ignore) == (("ground", "cell"), (2,))
    file.unlink()
    (tmp_path / "data.yaml").write_text("names: {0: a, 1: b, 2: c}\nignore: 2\n")
    with pytest.raises(UsageError, match="given to both"):
        ClassTable("values", ("a", "b"), ((0,), (1,)), (1,), distinct_colours(2))
    assert survey(tmp_path).table.ignore == (2,)
    file.write_text("x\ny\n")
    with pytest.raises(DataError, match="several files with class names"):
        survey(tmp_path)


def test_names_by_hand(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 4)
    assert survey(tmp_path, MaskOptions(classes=["sea", "land"])).table.values == ((0,), (255,))
    assert survey(tmp_path, MaskOptions(classes=["255=land", "0=sea"])).table.names == ("land", "sea")
    with pytest.raises(DataError, match="3 class names"):
        survey(tmp_path, MaskOptions(classes=["a", "b", "c"]))
    with pytest.raises(UsageError, match="zz=a"):
        survey(tmp_path, MaskOptions(classes=["zz=a"]))


def test_object_numbers_are_refused_and_read_on_request(tmp_path: Path) -> None:
    made(tmp_path, [squares(range(n), np.uint16) for n in (5, 9, 12, 7)], channels=1)
    with pytest.raises(DataError, match="--masks instances"):
        survey(tmp_path)
    found = survey(tmp_path, MaskOptions(kind="instances"))
    assert [facts.objects for facts in found.pictures.values()] == [4, 8, 11, 6]
    assert found.pictures["00"].class_pixels == (1600 - 36, 36)
    assert survey(tmp_path, MaskOptions(kind="values")).table.names[-1] == "class 11"


def test_class_ids_that_vary_are_no_object_numbers(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1, 2, 255])] * 5 + [squares([0, 1]), squares([0, 3, 9])])
    assert survey(tmp_path, MaskOptions(ignore=[255])).table.names[-1] == "class 9"


def test_jpeg_masks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="different mask values"):
        survey(made(tmp_path / "bad", [squares([0, 255])] * 4, suffix="jpg"))
    flat = np.zeros((32, 32), np.uint8)
    flat[:16] = 128
    found = survey(made(tmp_path / "good", [flat] * 4, suffix="jpg"))
    assert len(found.table) == 2
    assert codes(found)["lossy-mask"] == "note"


def test_one_smeared_mask_among_good_ones(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 6)
    blurred = Image.fromarray(squares([0, 255])).resize((40, 40), Image.Resampling.BICUBIC, box=(0.4, 0.3, 39, 38))
    blurred.save(tmp_path / "masks" / "03.png")
    found = survey(tmp_path)
    (error,) = found.errors
    assert error.code == "smeared-mask"
    assert error.files == ("03",)
    assert found.table.values == ((0,), (255,))
    assert "03" not in found.pictures
    assert "Not ready: 1 error" in survey_page(found)


def test_too_many_values(tmp_path: Path) -> None:
    ramp = np.arange(1600).reshape(40, 40) % 100 * 2
    with pytest.raises(DataError, match="100 different"):
        survey(made(tmp_path, [ramp.astype(np.uint8)] * 4))


def test_broken_files_and_sizes_become_findings(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 5)
    (tmp_path / "images" / "00.png").write_bytes(b"")
    (tmp_path / "masks" / "01.png").write_bytes(b"no picture")
    Image.fromarray(squares([0, 255])[:30]).save(tmp_path / "masks" / "02.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(tmp_path / "images" / "03.png", exif=exif)
    Image.fromarray(squares([0, 255])[:20]).save(tmp_path / "masks" / "03.png")
    found = survey(tmp_path)
    assert {"broken-image", "broken-mask", "size-mismatch"} <= set(codes(found))
    assert set(found.pictures) == {"04"}
    mismatch = next(finding for finding in found.findings if finding.code == "size-mismatch")
    assert mismatch.files == ("02", "03")
    assert "and 1 more like it" in mismatch.found


def test_a_large_file_is_not_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, [squares([0, 255])] * 5)
    fingerprint = survey(tmp_path).fingerprint
    monkeypatch.setattr(one_pair, "MAX_BYTES", 0)
    monkeypatch.setattr(Path, "read_bytes", None)
    assert survey(tmp_path).fingerprint == fingerprint


def test_exchanged_axes_are_hinted(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 3)
    Image.fromarray(np.zeros((40, 20), np.uint8)).save(tmp_path / "images" / "00.png")
    Image.fromarray(squares([0, 255])[:20]).save(tmp_path / "masks" / "00.png")
    (error,) = survey(tmp_path).errors
    assert "40 x 20 and its mask 20 x 40" in error.found
    assert "rows and columns are exchanged" in error.repair


def test_copies_are_found(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 10)
    val = survey(tmp_path).split.val
    train = survey(tmp_path).split.train
    (tmp_path / "images" / f"{val[0]}.png").write_bytes((tmp_path / "images" / f"{train[0]}.png").read_bytes())
    with Image.open(tmp_path / "images" / f"{train[1]}.png") as picture:
        brighter = np.asarray(picture) // 2 + 60
    Image.fromarray(brighter).save(tmp_path / "images" / f"{val[1]}.png")
    found = codes(survey(tmp_path))
    assert found["copies-across-split"] == "warning"
    assert found["near-copies-across-split"] == "warning"


def test_notes_about_the_set(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 3 + [squares([0])])
    Image.fromarray(np.full((40, 40), 900, np.uint16)).save(tmp_path / "images" / "00.png")
    Image.fromarray(np.full((40, 40, 4), 99, np.uint8)).save(tmp_path / "images" / "01.png")
    Image.fromarray(squares([0, 255])).save(tmp_path / "masks" / "99.png")
    found = survey(tmp_path)
    assert found.channels == 3
    expected = {"dark-picture", "alpha-dropped", "mixed-channels", "mixed-types", "empty-masks", "orphan-masks"}
    assert expected | {"few-pairs"} <= set(codes(found))
    order = [finding.severity for finding in found.findings]
    assert order == sorted(order, key=["error", "warning", "note"].index)


def test_a_given_table_reads_the_masks(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 3 + [squares([0, 7, 255])])
    table = ClassTable("values", ("a", "b"), ((0,), (255,)), (), distinct_colours(2))
    found = survey(tmp_path, table=table)
    (error,) = found.errors
    assert (error.code, error.files) == ("unknown-value", ("03",))
    assert "mask value 7" in error.found


def test_one_value_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only one value in all masks: 0"):
        survey(made(tmp_path, [squares([0])] * 4))


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 3)
    first = survey(tmp_path).fingerprint
    assert survey(tmp_path, seed=5).fingerprint == first
    Image.fromarray(squares([0, 255, 255])).save(tmp_path / "masks" / "00.png")
    assert survey(tmp_path).fingerprint != first


def test_steps_and_plain_data(tmp_path: Path) -> None:
    import json

    made(tmp_path, [squares([0, 255])] * 3)
    assert list(survey_steps(tmp_path)) == [(1, 3), (2, 3), (3, 3)]
    assert json.loads(json.dumps(survey(tmp_path).to_json()))["pairs"] == 3


def test_the_page_is_narrow(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1, 2, 255])] * 3 + [squares([0])])
    (tmp_path / "images" / "00.png").write_bytes(b"")
    page = survey_page(survey(tmp_path))
    assert max(map(len, page.splitlines())) <= 100
    assert "ERROR" in page
    assert page.rstrip().splitlines()[-1].startswith("Not ready: 1 error")


@real_data
def test_membranes() -> None:
    found = survey(REAL / "membranes")
    assert (len(found.pictures), found.channels, found.table.names) == (25, 1, ("background", "foreground"))
    assert codes(found) == {"unnamed-classes": "note"}
    assert "--classes 0=object 255=background" in found.findings[0].repair  # membranes are thin and dark


@real_data
def test_camvid() -> None:
    found = survey(REAL / "camvid")
    assert found.table.names[3] == "Road"
    assert found.table.ignore == (11,)
    assert (len(found.split.train), len(found.split.val)) == (367, 101)
    assert codes(found) == {"recognised-camvid": "note", "source-in-both": "note"}


@real_data
def test_nuclei() -> None:
    with pytest.raises(DataError, match="--masks instances"):
        survey(REAL / "nuclei")
