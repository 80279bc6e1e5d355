from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from unpool.class_table import ClassTable, MaskForm, distinct_colours
from unpool.errors import DataError, UsageError
from unpool.io.read.masks import mask_palette, read_mask
from unpool.io.write.masks import write_mask

IDS = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
COLOURS = ((0, 0, 0), (200, 10, 10), (10, 10, 200))


def palette_file(path: Path, indices: np.ndarray = IDS) -> Path:
    picture = Image.fromarray(indices)
    picture.putpalette([part for colour in COLOURS for part in colour])
    picture.save(path)
    return path


def test_palette_masks_are_read_as_indices(tmp_path: Path) -> None:
    path = palette_file(tmp_path / "p.png")
    assert (read_mask(path) == IDS).all()
    assert mask_palette(path)[:3] == COLOURS
    assert (read_mask(path, "colours") == np.array(COLOURS, np.uint8)[IDS]).all()


def test_grey_16_bit_and_one_bit_masks_keep_their_values(tmp_path: Path) -> None:
    deep = IDS.astype(np.uint16) * 30_000
    Image.fromarray(deep).save(tmp_path / "d.png")
    assert (read_mask(tmp_path / "d.png") == deep).all()
    Image.fromarray(IDS > 0).save(tmp_path / "b.png")
    assert (read_mask(tmp_path / "b.png") == (IDS > 0)).all()
    assert read_mask(tmp_path / "b.png").dtype == np.uint8
    assert mask_palette(tmp_path / "d.png") is None


def test_small_greys_are_not_stretched(tmp_path: Path) -> None:
    from test_io_images import png

    two = png(tmp_path / "two.png", (1, 4), 2, 0, b"\0\x1b")
    assert read_mask(two).tolist() == [[0, 1, 2, 3]]
    four = png(tmp_path / "four.png", (1, 4), 4, 0, b"\0\x01\x0f")
    assert read_mask(four).tolist() == [[0, 1, 0, 15]]


def test_rgb_masks_by_kind(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([IDS] * 3)).save(tmp_path / "equal.png")
    assert read_mask(tmp_path / "equal.png").shape == (2, 3, 3)
    assert (read_mask(tmp_path / "equal.png", "values") == IDS).all()
    coloured = np.array(COLOURS, np.uint8)[IDS]
    Image.fromarray(coloured).save(tmp_path / "c.png")
    assert (read_mask(tmp_path / "c.png", "values") == coloured).all()
    Image.fromarray(IDS).save(tmp_path / "g.png")
    assert (read_mask(tmp_path / "g.png", "colours")[..., 1] == IDS).all()


def test_transparent_masks_are_refused(tmp_path: Path) -> None:
    whole = np.dstack([np.array(COLOURS, np.uint8)[IDS], np.full_like(IDS, 255)])
    Image.fromarray(whole).save(tmp_path / "o.png")
    assert (read_mask(tmp_path / "o.png") == whole[..., :3]).all()
    whole[0, 0, 3] = 254
    Image.fromarray(whole).save(tmp_path / "t.png")
    with pytest.raises(DataError, match="1 transparent pixels"):
        read_mask(tmp_path / "t.png")


def test_exif_orientation_of_masks_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(IDS).save(tmp_path / "e.png", exif=exif)
    assert (read_mask(tmp_path / "e.png") == np.rot90(IDS, -1)).all()


def test_float_masks_must_be_whole_numbers(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", IDS.astype(np.float32))
    assert (read_mask(tmp_path / "f.tif") == IDS).all()
    assert read_mask(tmp_path / "f.tif").dtype.kind == "i"
    for wrong in (0.5, np.nan, -1.0):
        tifffile.imwrite(tmp_path / "f.tif", np.array([[0, wrong]], np.float32))
        with pytest.raises(DataError, match="1 mask pixel with"):
            read_mask(tmp_path / "f.tif")


def test_masks_of_many_channels_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", np.zeros((4, 5, 7), np.uint8), planarconfig="contig", photometric="minisblack")
    with pytest.raises(DataError, match="7 channels"):
        read_mask(tmp_path / "m.tif")


def test_a_binary_palette_mask_is_written_as_0_and_255_in_colour(tmp_path: Path) -> None:
    table = ClassTable("values", ("a", "b"), ((0,), (255,)), (), ((1, 2, 3), (4, 5, 6)), form=MaskForm("palette"))
    write_mask(tmp_path / "w.png", np.array([[0, 1]], np.uint8), table)
    with Image.open(tmp_path / "w.png") as picture:
        assert picture.mode == "P"
        assert np.asarray(picture).tolist() == [[0, 255]]
        assert np.asarray(picture.convert("RGB")).tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_values_stay_as_stored_where_0_is_shown_white(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "w.tif", IDS, photometric="miniswhite")
    assert (read_mask(tmp_path / "w.tif") == IDS).all()


def test_greys_of_16_bits_are_no_colours(tmp_path: Path) -> None:
    Image.fromarray(IDS.astype(np.uint16) * 128).save(tmp_path / "d.png")
    with pytest.raises(DataError, match=r"d\.png: mask value 256 among colour masks"):
        read_mask(tmp_path / "d.png", "colours")


def test_values_beyond_16_bits_are_not_written(tmp_path: Path) -> None:
    table = ClassTable("values", ("a", "b"), ((0,), (70000,)), (), distinct_colours(2))
    with pytest.raises(UsageError, match="mask value 70000"):
        write_mask(tmp_path / "w.png", np.array([[0, 1]], np.uint8), table)


@st.composite
def tables(draw: st.DrawFn) -> ClassTable:
    count = draw(st.integers(2, 8))
    names = tuple(f"c{k}" for k in range(count))
    kind = draw(st.sampled_from(["values", "large", "colours", "instances"]))
    if kind == "instances":
        return ClassTable("instances", names[:2], ((0,), (1,)), (), distinct_colours(2))
    if kind == "colours":
        byte = st.integers(0, 255)
        drawn = draw(st.lists(st.tuples(byte, byte, byte), min_size=count, max_size=count, unique=True))
        return ClassTable("colours", names, tuple((c,) for c in drawn), (), tuple(drawn))
    top = 255 if kind == "values" else 65535
    numbers = draw(st.lists(st.integers(0, top), min_size=count, max_size=count, unique=True))
    return ClassTable("values", names, tuple((v,) for v in numbers), (), distinct_colours(count))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), table=tables())
def test_a_written_mask_reads_back_as_the_prediction(tmp_path: Path, data: st.DataObject, table: ClassTable) -> None:
    shape = arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)
    prediction = data.draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, len(table) - 1)))
    write_mask(tmp_path / "m.png", prediction, table)
    again = table.encode(read_mask(tmp_path / "m.png", table.kind), "m.png")
    assert (again == prediction).all()
