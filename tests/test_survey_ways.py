"""Masks that write one set in two ways, smoothed masks, and masks of object numbers: judged by which values meet."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from test_survey import codes, made
from test_survey_values import finding
from unpool.class_table import ClassTable, MaskKind, distinct_colours
from unpool.dataset.checks.rare_values import rare_value_findings, smoothed_values
from unpool.dataset.checks.smoothed_ids import smoothed_ids
from unpool.dataset.checks.two_ways import two_ways_findings
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.neighbours import Neighbours, neighbours
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.mask_values.tally import MaskTally, tally_mask
from unpool.dataset.survey import survey
from unpool.errors import DataError
from unpool.io.read.masks import MaskPicture
from unpool.io.read.raster import Header

CASES = Path(__file__).parents[2] / "shared" / "cases"
ROWS, COLUMNS = 48, 56
RGB = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 255, 0)]
BGR = [colour[::-1] for colour in RGB]


def blobs(rng: np.random.Generator, classes: int) -> np.ndarray:
    """Ids 0..classes: ellipses of each class on 0."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    ids = np.zeros((ROWS, COLUMNS), int)
    for k in [*range(1, classes + 1), *rng.integers(1, classes + 1, 3)]:
        row, column = rng.integers(8, ROWS - 8), rng.integers(8, COLUMNS - 8)
        tall, wide = rng.integers(4, 8, 2)
        ids[((rows - row) / tall) ** 2 + ((columns - column) / wide) ** 2 <= 1] = k
    return ids


def regions(rng: np.random.Generator, classes: int) -> np.ndarray:
    """Ids 0..classes: the whole picture is divided into regions."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    seeds = rng.random((14, 2)) * (ROWS, COLUMNS)
    nearest = ((rows[..., None] - seeds[:, 0]) ** 2 + (columns[..., None] - seeds[:, 1]) ** 2).argmin(-1)
    return rng.integers(0, classes + 1, 14)[nearest]


def written(
    ids: Sequence[np.ndarray], values: Sequence[object], others: Sequence[object], odd: int
) -> list[np.ndarray]:
    """The first ``odd`` of some masks in other values than the rest."""
    dtype = np.uint16 if max(np.max(values), np.max(others)) > 255 else np.uint8
    return [np.array(others if k < odd else values, dtype)[mask] for k, mask in enumerate(ids)]


def tallied(masks: Sequence[np.ndarray]) -> list[MaskTally]:
    def header(mask: np.ndarray) -> Header:
        return Header(*mask.shape[:2], mask[0, 0].size, str(mask.dtype), 8 * mask.itemsize, "rgb")

    return [tally_mask(f"{k:02}", MaskPicture(mask, None, header(mask))) for k, mask in enumerate(masks)]


def judged(masks: Sequence[np.ndarray]) -> list[Finding]:
    """What the values of some masks show, without files."""
    tallies = tallied(masks)
    kind: MaskKind = "colours" if masks[0].ndim == 3 else "values"
    lines = smoothed_ids(tallies) if kind == "values" else []
    return [*rare_value_findings(tallies, set()), *two_ways_findings(tallies, kind, set()), *lines]


TWO_WAYS = {
    "stretched": ([0, 1, 2], [0, 127, 255], "error"),
    "stretched by 128": ([0, 1, 2], [0, 128, 255], "error"),
    "four ids stretched": ([0, 1, 2, 3, 4], [0, 63, 127, 191, 255], "error"),
    "in tens": ([0, 1, 2, 3], [0, 10, 20, 30], "error"),
    "0 and 1": ([0, 255], [0, 1], "error"),
    "16 bits": ([0, 255], [0, 65535], "error"),
    "other bytes": ([0, 1, 2], [0, 256, 512], "error"),
    "254": ([0, 255], [0, 254], "error"),
    "rounded": ([0, 127, 255], [0, 128, 255], "error"),
    "inverted": ([0, 1], [255, 254], "error"),
    "from 1": ([0, 1, 2], [1, 2, 3], "warning"),
    "two colours of BGR": (RGB[:3], BGR[:3], "warning"),
    "BGR": ([*RGB[:3], (0, 128, 200)], [*BGR[:3], (200, 128, 0)], "error"),
    "near colours": (RGB, [RGB[0], (254, 1, 0), *RGB[2:]], "error"),
    "colours of 0 and 1": (RGB, np.array(RGB) // 255, "error"),
}


@pytest.mark.parametrize("odd", [1, 4])
@pytest.mark.parametrize(("values", "others", "severity"), TWO_WAYS.values(), ids=TWO_WAYS)
def test_two_ways_of_writing_name_the_odd_masks(
    values: Sequence[object], others: Sequence[object], severity: str, odd: int
) -> None:
    rng = np.random.default_rng(odd)
    masks = written([blobs(rng, len(values) - 1) for _ in range(9)], values, others, odd)
    (found,) = judged(masks)
    assert (found.code, found.severity) == ("two-ways", severity)
    assert found.files == tuple(f"{k:02}" for k in range(odd))
    assert "two ways" in found.found
    assert judged(masks[odd:]) == []


def test_three_ways_are_found_together() -> None:
    rng = np.random.default_rng(0)
    masks = [np.array(values, np.uint8)[blobs(rng, 1)] for values in ([0, 255], [0, 255], [0, 255], [0, 1], [0, 254])]
    assert [finding.files for finding in judged(masks)] == [("03",), ("04",)]


def test_the_rest_of_a_set_in_two_ways_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made(tmp_path, written([blobs(rng, 2) for _ in range(10)], [0, 1, 2], [0, 127, 255], 3))
    found = survey(tmp_path)
    error = finding(found, "two-ways")
    assert error.files == ("00", "01", "02")
    assert found.table.values == ((0,), (1,), (2,))
    assert "unknown-value" not in codes(found)
    command = error.repair.split("--classes ")[1].split(",")[0]
    assert command == "0=a 1=b 2=c 127=b 255=c"
    named = survey(tmp_path, MaskOptions(classes=command.split()))
    assert named.errors == ()
    assert named.table.values == ((0,), (1, 127), (2, 255))
    own = survey(tmp_path, MaskOptions(classes=["0=a", "1=b", "2=c", "127=d", "255=e"]))
    assert "two-ways" not in codes(own)


def test_classes_that_never_share_a_picture_are_classes() -> None:
    rng = np.random.default_rng(3)
    for values in ([1, 2], [128, 255], [1, 3, 5], [1, 2, 3, 4]):
        assert judged([(blobs(rng, 1) * values[k % len(values)]).astype(np.uint8) for k in range(12)]) == []


def test_inverted_masks_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    masks = [np.array([0, 255], np.uint8)[blobs(rng, 1)] for _ in range(9)]
    (found,) = judged([*masks, 255 - masks[2]])
    assert (found.code, found.severity, found.files) == ("inverted-masks", "warning", ("09",))
    made(tmp_path, masks)
    for k in (3, 4):
        (tmp_path / "masks" / f"{k:02}.png").unlink()
        tifffile.imwrite(tmp_path / "masks" / f"{k:02}.tif", 255 - masks[k], photometric="miniswhite")
    error = finding(survey(tmp_path), "inverted-masks")
    assert (error.severity, error.files) == ("error", ("03", "04"))
    assert "show 0 as white" in error.found
    table = ClassTable("values", ("a", "b"), ((0,), (255,)), (), distinct_colours(2))
    assert finding(survey(tmp_path, table=table), "inverted-masks") == error


def resized(factor: float, how: Image.Resampling) -> Callable[[np.ndarray], np.ndarray]:
    size = round(COLUMNS * factor), round(ROWS * factor)
    return lambda mask: np.asarray(Image.fromarray(mask).resize(size, how))


SMOOTHED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "scaled up": resized(2, Image.Resampling.BILINEAR),
    "scaled up by 3": resized(3, Image.Resampling.BICUBIC),
    "scaled down": resized(0.7, Image.Resampling.BILINEAR),
    "drawn at twice the size": resized(0.5, Image.Resampling.BOX),
    "rotated": lambda mask: np.asarray(Image.fromarray(mask).rotate(17, Image.Resampling.BILINEAR)),
    "blurred": lambda mask: ndimage.gaussian_filter(mask, (1, 1, 0)[: mask.ndim]),
}
DRAWN = {"two greys": [0, 255], "four greys": [0, 85, 170, 255], "colours": RGB[:3]}


@pytest.mark.parametrize("smooth", SMOOTHED.values(), ids=SMOOTHED)
@pytest.mark.parametrize("values", DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("every", [1, 2])
def test_smoothed_masks_are_found(
    values: Sequence[object], smooth: Callable[[np.ndarray], np.ndarray], every: int
) -> None:
    rng = np.random.default_rng(5)
    masks = [np.array(values, np.uint8)[blobs(rng, len(values) - 1)] for _ in range(8)]
    wrong = rare_value_findings(tallied([m if k % every else smooth(m) for k, m in enumerate(masks)]), set())
    assert [finding.files[0] for finding in wrong] == [f"{k:02}" for k in range(0, 8, every)]
    assert all(finding.code == "smeared-mask" and "along borders" in finding.found for finding in wrong)


@pytest.mark.parametrize("classes", [2, 6])
@pytest.mark.parametrize("factor", [2, 4, 0.7])
def test_smoothed_ids_are_found(classes: int, factor: float) -> None:
    rng = np.random.default_rng(8)
    masks = [regions(rng, classes).astype(np.uint8) for _ in range(8)]
    smooth = resized(factor, Image.Resampling.BILINEAR)
    (found,) = smoothed_ids(tallied([smooth(mask) if k < 3 else mask for k, mask in enumerate(masks)]))
    assert (found.code, found.severity) == ("smoothed-ids", "warning")
    assert {"01"} <= set(found.files) <= {"00", "01", "02"}  # in few masks of three ids do 0 and 2 hardly ever meet


def test_a_set_of_smoothed_masks_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [SMOOTHED["scaled up"](np.array([0, 255], np.uint8)[blobs(rng, 1)]) for _ in range(6)]
    with pytest.raises(DataError, match=r"nobody seems to have drawn: .* and 5 more like it"):
        survey(made(tmp_path, masks))


def street(rng: np.random.Generator) -> np.ndarray:
    """Ids 0 sky, 1 building, 2 pole, 3 road, 4 kerb; poles and kerbs are 1 or 2 pixels wide."""
    ids = np.zeros((ROWS, COLUMNS), int)
    top, road = rng.integers(10, 20), rng.integers(28, 40)
    ids[top:] = 1
    ids[road:] = 3
    ids[road : road + rng.integers(1, 3)] = 4
    for column in rng.integers(2, COLUMNS - 3, 4):
        ids[rng.integers(3, top) : road, column : column + rng.integers(1, 3)] = 2
    return ids


def layers(rng: np.random.Generator) -> np.ndarray:
    """Ids 0..7: layers of a retina, 1 to 4 pixels thick."""
    rows = np.arange(ROWS)[:, None]
    border = 10 + 4 * np.sin(np.arange(COLUMNS) / rng.uniform(8, 20))
    ids = np.zeros((ROWS, COLUMNS), int)
    for thickness in rng.uniform(1.2, 4, 7):
        ids += rows >= border
        border = border + thickness
    return ids


def bordered(rng: np.random.Generator) -> np.ndarray:
    """Ids 0 background, 1 border of one pixel, 2 inside."""
    cells = blobs(rng, 1) > 0
    return cells + ndimage.binary_erosion(cells).astype(int)


def with_rims(rng: np.random.Generator) -> np.ndarray:
    """Ids 0..2 with a rim of 3 around each region, as void."""
    ids = regions(rng, 2)
    return np.where(ndimage.grey_dilation(ids, 3) != ndimage.grey_erosion(ids, 3), 3, ids)


SOUND = {
    "blobs": lambda rng: blobs(rng, 7),
    "regions": lambda rng: regions(rng, 7),
    "street": street,
    "layers": layers,
    "bordered": bordered,
    "with rims": with_rims,
}


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(SOUND)), st.integers(0, 10**6), st.booleans())
def test_masks_that_were_drawn_are_never_refused(scene: str, seed: int, colour: bool) -> None:
    rng = np.random.default_rng(seed)
    palette = rng.choice(64, (8, 3), replace=False)[:, :1] * (4, 4, 4) if not colour else rng.integers(0, 256, (8, 3))
    values = palette.astype(np.uint8) if colour else [np.arange(8), np.sort(palette[:, 0])][seed % 2].astype(np.uint8)
    masks = [values[SOUND[scene](rng)] for _ in range(8)]
    assert judged(masks) == []


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 7), st.sampled_from([10, 25, 30, 36]))
def test_masks_that_were_stretched_are_always_found(seed: int, classes: int, factor: int) -> None:
    rng = np.random.default_rng(seed)
    full = [round(k * 255 / classes) for k in range(classes + 1)]
    others = full if classes == 1 or seed % 2 else [k * factor for k in range(classes + 1)]
    masks = written([blobs(rng, classes) for _ in range(6)], list(range(classes + 1)), others, 1 + seed % 3)
    assert "two-ways" in {found.code for found in judged(masks)}  # a class that others nearly hide may be rare too


def test_colours_that_never_meet_tell_nothing_where_no_class_meets_another() -> None:
    voc = [(128, 0, 0), (0, 128, 0), (0, 0, 128), (128, 128, 0), (0, 128, 128)]
    rng = np.random.default_rng(0)
    alone = [np.array([(0, 0, 0), colour], np.uint8)[blobs(rng, 1)] for colour in voc * 2]
    assert judged(alone) == []
    assert [found.code for found in judged(alone[:1] + alone[2:3])] == ["two-ways"]


def test_rather_near_colours_are_a_warning() -> None:
    rng = np.random.default_rng(0)
    ids = [blobs(rng, 2) for _ in range(6)]
    masks = written(ids, RGB[:3], [(0, 0, 0), (250, 5, 5), (0, 255, 0)], 2)
    assert [(found.severity, found.code) for found in judged(masks)] == [("warning", "two-ways")]


def test_neighbours_by_hand() -> None:
    mask = np.array([[0, 0, 5, 9, 9], [0, 0, 5, 5, 9], [0, 7, 7, 7, 7]], np.uint8)
    found = neighbours(mask, np.unique(mask), False)
    # rows: 5 lies between 0 and 9 twice, as does 7; columns: 5 lies once between 9 and 7, which are both higher
    assert found[5] == Neighbours(runs=4, rim=4, between=3, in_order=0, lines=2, stripes=0)
    assert found[9] == Neighbours(4, 0, 0, 0, 0, 0)
    blends = np.array([[0x000000, 0x400000, 0xFF0000], [0x000000, 0x404000, 0xFF0000]])
    assert {value: n.between for value, n in neighbours(blends, np.unique(blends), True).items()} == {
        0: 0,
        0x400000: 1,
        0x404000: 0,
        0xFF0000: 0,
    }


def test_neighbours_in_large_masks_are_estimated() -> None:
    mask = np.zeros((1500, 1400), np.uint8)
    mask[:, 700:703], mask[:, 703:] = 5, 9
    assert neighbours(mask, np.unique(mask), False)[5] == Neighbours(1503, 4500, 4500, 4500, 0, 1500)


def test_thin_layers_are_no_smoothing() -> None:
    rng = np.random.default_rng(0)
    assert smoothed_values(tallied([layers(rng).astype(np.uint8) for _ in range(6)])) == set()


def objects(rng: np.random.Generator) -> np.ndarray:
    """Numbers 0..n of n separate rectangles."""
    numbers = np.zeros((ROWS, COLUMNS), int)
    places = rng.permutation(20)[: rng.integers(2, 12)]
    for number, place in enumerate(places, 1):
        row, column = 12 * (place // 5), 11 * (place % 5)
        numbers[row + 1 : row + rng.integers(4, 11), column + 1 : column + rng.integers(4, 10)] = number
    return numbers


@pytest.mark.parametrize(
    "numbering", ["numbers", "random greys", "random colours", "one palette", "red", "grey colours"]
)
def test_objects_are_told_from_classes(tmp_path: Path, numbering: str) -> None:
    rng = np.random.default_rng(2)
    palette = rng.integers(1, 256, (12, 3))

    def values() -> np.ndarray:
        table = {
            "numbers": np.arange(12),
            "random greys": rng.permutation(np.arange(1, 255))[:12],
            "random colours": rng.integers(1, 256, (12, 3)),
            "one palette": palette,
            "red": np.arange(12)[:, None] * (1, 0, 0),
            "grey colours": np.arange(12)[:, None] * (1, 1, 1),
        }[numbering]
        table[0] = 0
        return table.astype(np.uint8)

    numbers = [objects(rng) for _ in range(8)]
    made(tmp_path, [values()[mask] for mask in numbers])
    with pytest.raises(DataError, match="--masks instances"):
        survey(tmp_path)
    found = survey(tmp_path, MaskOptions(kind="instances"))
    assert [facts.objects for facts in found.pictures.values()] == [mask.max() for mask in numbers]
    assert found.errors == ()


def test_colours_of_classes_are_no_objects(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(1, 256, (12, 3)).astype(np.uint8)
    colours[0] = 0
    body = np.kron(np.arange(12).reshape(3, 4), np.ones((16, 14), int))  # each class is one region, and some are absent
    masks = [np.where(body > 11 - k % 4, 0, body) for k in range(8)]
    assert survey(made(tmp_path, [colours[mask] for mask in masks])).errors == ()


@pytest.mark.parametrize("colour", [(224, 224, 192), (192, 224, 224)])
def test_the_void_of_pascal_voc_is_ignored(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    rims = [with_rims(rng) for _ in range(6)]
    made(tmp_path / "colours", [np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), colour], np.uint8)[m] for m in rims])
    found = survey(tmp_path / "colours")
    assert found.table.ignore == (colour,)
    assert "void in Pascal VOC" in finding(found, "ignore-value").found
    made(tmp_path / "ids", [np.array([0, 7, 15, 255], np.uint8)[m] for m in rims])
    found = survey(tmp_path / "ids")
    assert found.table.ignore == (255,)
    assert "only a rim" in finding(found, "ignore-value").found
    for path in (tmp_path / "ids" / "masks").iterdir():
        with Image.open(path) as picture:
            picture.load()
        picture.putpalette([*range(255), *range(255), *range(255), *colour])
        picture.save(path)
    assert "its colour" in finding(survey(tmp_path / "ids"), "ignore-value").found


def test_ids_with_gaps_are_noted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made(tmp_path, [np.array([0, 1, 3, 7, 255], np.uint8)[blobs(rng, 3)] for _ in range(6)])
    note = finding(survey(tmp_path), "ids-with-gaps")
    assert (note.severity, note.found) == ("note", "the masks hold the ids 0, 1, 3, 7, and none of 2, 4, 5, 6")


def test_255_that_may_be_a_class_is_asked_about(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made(tmp_path, [np.array([0, 15, 255], np.uint8)[blobs(rng, 2)] for _ in range(6)])
    found = survey(tmp_path)
    assert found.table.values == ((0,), (15,), (255,))
    assert finding(found, "void-or-class").severity == "error"
    assert "--ignore 255" in finding(found, "void-or-class").repair
    assert survey(tmp_path, MaskOptions(ignore=[255])).table.values == ((0,), (15,))


def faulty_tiffs(root: Path, value: float, dtype: type) -> Path:
    made(root, [np.zeros((9, 9), np.uint8)] * 4)
    for k in range(4):
        (root / "masks" / f"{k:02}.png").unlink()
        mask = np.zeros((9, 9), dtype)
        mask[:3], mask[6:] = 1, value
        tifffile.imwrite(root / "masks" / f"{k:02}.tif", mask)
    return root


@pytest.mark.parametrize(
    ("value", "dtype", "found", "repair"),
    [
        (-1, np.int16, "27 mask pixels with values such as -1", "give them a value of their own, such as 255"),
        (np.nan, np.float32, "27 mask pixels with values such as nan", "give them a value of their own, such as 255"),
        (0.5, np.float32, "27 mask pixels with values such as 0.5", "smoothing or scaling"),
        (3e9, np.uint32, "27 mask pixels with values such as 3000000000", "number the classes from 0"),
    ],
)
def test_a_fault_of_all_masks_has_its_own_repair(
    tmp_path: Path, value: float, dtype: type, found: str, repair: str
) -> None:
    with pytest.raises(DataError) as refusal:
        survey(faulty_tiffs(tmp_path, value, dtype))
    assert "no mask can be read" in refusal.value.found
    assert found in refusal.value.found
    assert "and 3 more masks" in refusal.value.found
    assert repair in refusal.value.repair


def test_transparent_masks_have_their_own_repair(tmp_path: Path) -> None:
    mask = np.zeros((9, 9, 4), np.uint8)
    mask[:3] = 255
    with pytest.raises(
        DataError, match=r"54 transparent pixels .* 3 more masks\n.*\n.*give transparent pixels a value"
    ):
        survey(made(tmp_path, [mask] * 4))


def test_masks_of_another_kind_lead_to_that_kind(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made(tmp_path, [np.array(RGB, np.uint8)[blobs(rng, 3)] for _ in range(4)])
    with pytest.raises(DataError, match=r"the masks hold colours\n.*\n.*use --masks colours"):
        survey(tmp_path, MaskOptions(kind="values"))


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
def test_cases() -> None:
    for name in ("aa_ss2", "aa_ss4", "bilin2"):
        with pytest.raises(DataError, match="along borders"):
            survey(CASES / "faults" / "grey-smear-all-masks" / name)
    half = survey(CASES / "faults" / "grey-smear-all-masks" / "x2bilinear_somemask")
    assert len(finding(half, "smeared-mask").files) == 6
    for folder in sorted((CASES / "faults" / "two-encodings").glob("*/")):
        assert {"two-ways", "inverted-masks"} & codes(survey(folder)).keys(), folder
    with pytest.raises(DataError, match="--masks instances"):
        survey(CASES / "doors" / "rgba-object-numbers" / "data")
    assert survey(CASES / "doors" / "voc-void-becomes-class" / "data").table.ignore == (255,)


def test_a_class_and_an_object_number_in_one_value_are_refused(tmp_path: Path) -> None:
    """As Cityscapes' instanceIds: 7 is road, 26001 and 26002 are two cars."""
    mask = np.full((40, 50), 7, np.uint16)
    mask[:5], mask[10:14, 5:9], mask[10:14, 20:25], mask[30:35, 8:12] = 0, 26001, 26002, 24001
    for k in range(4):
        for folder, pixels in (
            ("images", np.random.default_rng(k).integers(0, 255, (40, 50), np.uint8)),
            ("masks", mask),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{k}.png")
    with pytest.raises(DataError, match="a class and an object number in one value, such as 26002"):
        survey(tmp_path)
    assert len(survey(tmp_path, MaskOptions(kind="values")).table) == 5
    mask[36:38, 40:44], mask[20:22, 40:44], mask[20:22, 30:34] = 26001, 26002, 24001  # as codes of land use lie
    for k in range(4):
        Image.fromarray(mask).save(tmp_path / "masks" / f"{k}.png")
    assert len(survey(tmp_path).table) == 5
