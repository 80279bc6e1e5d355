"""The files of ``predict``: the form of the masks, what they keep of a picture, overlays, and the last lines."""

import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import tiny
from conftest import Program
from unpool.checkpoint import models
from unpool.checkpoint.models import load_model, save_model
from unpool.class_table import ClassTable, MaskForm, distinct_colours
from unpool.commands.events import Message, finish
from unpool.commands.predict import predict as predicting
from unpool.commands.predict.ending import PredictCommand
from unpool.commands.predict.overlays import OverlayDrawing
from unpool.commands.predict.targets import ExtraOutputs, Outputs
from unpool.dataset.survey import survey
from unpool.errors import DataError, ModelFileError, RunError, UsageError
from unpool.io.pixel_size import pixel_size_of
from unpool.io.place_files import place_files
from unpool.io.placement import Axis, Placement
from unpool.io.read.masks import mask_palette, read_mask
from unpool.io.read.windows import open_picture
from unpool.io.write.band_form import BandForm
from unpool.io.write.bands import BandWriter, open_band_writer
from unpool.io.write.images import write_image
from unpool.io.write.masks import write_mask
from unpool.io.write.whole import write_whole
from unpool.prediction.averaging import Averaging
from unpool.report.legend import legend_picture
from unpool.report.pictures import overlay

IDS = np.random.default_rng(0).integers(0, 3, (60, 70), dtype=np.uint8)
COLOURS = ((0, 0, 0), (250, 10, 10), (10, 10, 250))
NAMES = ("ground", "cell", "edge")
VALUES = ClassTable("values", NAMES, ((0,), (128,), (255,)), (), COLOURS)
RGB = ClassTable("colours", NAMES, tuple((colour,) for colour in COLOURS), (), COLOURS)
TWO = ClassTable("values", ("ground", "cell"), ((0,), (1,)), (), COLOURS[:2])


def stored(path: Path) -> tuple[str, NDArray[Any]]:
    """Return the mode and the pixels of a file as Pillow reads them."""
    with Image.open(path) as picture:
        return picture.mode, np.asarray(picture)


def colours_of(path: Path) -> NDArray[Any]:
    """Return the colours in which a file is shown."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@contextmanager
def by_gdal(path: Path) -> Iterator[Any]:
    """Open a file by rasterio, which warns of pictures without a place on the earth."""
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as opened:
            yield opened


def of_form(table: ClassTable, form: str, palette: tuple[tuple[int, int, int], ...] = ()) -> ClassTable:
    return replace(table, form=MaskForm(form, palette))  # type: ignore[arg-type]


def written(path: Path, table: ClassTable, ids: NDArray[np.uint8] = IDS, **facts: Any) -> Path:
    write_mask(path, ids, table, Placement(**facts))
    return path


def train_set(folder: Path, masks: dict[str, Any], **options: Any) -> Path:
    """Write four pictures with one mask each, made by Pillow from arrays or pictures."""
    (folder / "masks").mkdir(parents=True)
    for number in range(4):
        write_image(
            folder / "images" / f"{number}.png", np.random.default_rng(number).integers(0, 255, (60, 70), np.uint8)
        )
        for suffix, mask in masks.items():
            mask.save(folder / "masks" / f"{number}{suffix}", **options)
    return folder


def palette_picture(colours: tuple[tuple[int, int, int], ...]) -> Image.Image:
    picture = Image.fromarray(IDS)
    picture.putpalette([sample for colour in colours for sample in colour])
    return picture


def model_file(folder: Path, table: ClassTable = VALUES, **structure: Any) -> Path:
    path = folder / "model.safetensors"
    save_model(path, tiny.segmenter(classes=table, **structure), {"citation": "none"})
    return path


def predicted(folder: Path, picture: Path, table: ClassTable = VALUES, **options: Any) -> list[str]:
    """Predict one picture into ``out``; return the messages. A model that is there is used again."""
    folder.mkdir(exist_ok=True)
    model = folder / "model.safetensors"
    model = model if model.exists() else model_file(folder, table)
    given = {"device": "cpu", "precision": "float32", **options}
    events = tiny.predict(model, [str(picture)], folder / "out", **given)
    return [event.text for event in events if isinstance(event, Message)]


def picture_of(path: Path, size: tuple[int, int] = (60, 70), **options: Any) -> Path:
    pixels = np.random.default_rng(1).integers(1, 255, size, dtype=np.uint8)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, **options)
    else:
        Image.fromarray(pixels).save(path, **options)
    return path


# The form of the training masks, which the card remembers.


@pytest.mark.parametrize(
    ("picture", "stored"),
    [
        (Image.fromarray(IDS * np.uint8(127)), "grey"),
        (Image.fromarray(IDS.astype(np.uint16) * 300), "grey"),
        (Image.fromarray(np.dstack([IDS * np.uint8(127)] * 3)), "grey"),
        (Image.fromarray(np.array(COLOURS, np.uint8)[IDS]), "rgb"),
        (Image.fromarray(IDS > 0), "one-bit"),
    ],
    ids=["grey", "deep", "equal channels", "rgb", "one bit"],
)
def test_the_form_of_the_masks_is_found(picture: Image.Image, stored: str, tmp_path: Path) -> None:
    form = survey(train_set(tmp_path, {".png": picture})).table.form
    assert form == MaskForm(stored)  # type: ignore[arg-type]


def test_a_palette_is_found_with_all_its_colours(tmp_path: Path) -> None:
    train_set(tmp_path, {".png": palette_picture((*COLOURS, (9, 9, 9), (7, 7, 7)))})
    palette_picture(COLOURS).save(tmp_path / "masks" / "2.png")  # without those that no pixel shows
    form = survey(tmp_path).table.form
    assert form is not None
    assert form.stored == "palette"
    assert form.palette[:5] == (*COLOURS, (9, 9, 9), (7, 7, 7))


def test_one_grey_mask_among_palettes_makes_the_set_grey(tmp_path: Path) -> None:
    train_set(tmp_path, {".png": palette_picture(COLOURS)})
    Image.fromarray(IDS).save(tmp_path / "masks" / "2.png")
    assert survey(tmp_path).table.form == MaskForm("grey")


def test_the_card_keeps_the_form_and_older_cards_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = of_form(VALUES, "palette", COLOURS)
    loaded = load_model(model_file(tmp_path, table))
    assert loaded.segmenter.classes.form == table.form
    assert loaded.card["mask_form"] == {"stored": "palette", "palette": ["#000000", "#fa0a0a", "#0a0afa"]}
    plain = models.card_of
    monkeypatch.setattr(models, "card_of", lambda *given: {k: v for k, v in plain(*given).items() if k != "mask_form"})
    old = load_model(model_file(tmp_path, table))
    assert (old.segmenter.classes.form, old.card["mask_form"]) == (None, None)
    messages = predicted(tmp_path / "p", picture_of(tmp_path / "a.png"), table)
    assert any("does not say how its training masks were stored; --mask-form" in each for each in messages)
    assert stored(tmp_path / "p" / "out" / "a.png")[0] == "L"


@pytest.mark.parametrize(
    "form", [{"stored": "oil", "palette": []}, {"stored": "palette", "palette": ["red"]}, {"palette": []}, [], 3,
             {"stored": "palette", "palette": ["#000000"] * 257}],
)  # fmt: skip
def test_an_odd_form_on_a_card_is_refused(form: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = models.card_of
    monkeypatch.setattr(models, "card_of", lambda *given: {**plain(*given), "mask_form": form})
    with pytest.raises(ModelFileError, match="did not write this card"):
        load_model(model_file(tmp_path))


# Grey in, grey out; and what other libraries read.


def test_grey_masks_are_grey_in_every_library(tmp_path: Path) -> None:
    expected = np.array([0, 128, 255], np.uint8)[IDS]
    for suffix in (".png", ".tif"):
        path = written(tmp_path / f"m{suffix}", of_form(VALUES, "grey"))
        mode, pixels = stored(path)
        assert mode == "L"
        assert (pixels == expected).all()
        for name, read in (("skimage.io", "imread"), ("imageio.v3", "imread")):
            library = pytest.importorskip(name)
            assert np.array_equal(getattr(library, read)(path), expected), name
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    for suffix in (".png", ".tif"):
        path = str(tmp_path / f"m{suffix}")
        assert np.array_equal(cv2.imread(path, -1), expected)
        assert np.array_equal(cv2.imread(path, 0), expected)


def test_values_above_255_are_grey_of_16_bits(tmp_path: Path) -> None:
    table = of_form(ClassTable("values", NAMES, ((0,), (7,), (2000,)), (), COLOURS), "grey")
    mode, pixels = stored(written(tmp_path / "m.png", table))
    assert mode == "I;16"
    assert (pixels == np.array([0, 7, 2000])[IDS]).all()


def test_palettes_come_back_with_their_colours(tmp_path: Path) -> None:
    own = tuple((k, 255 - k, 3) for k in range(256))
    for suffix in (".png", ".tif"):
        path = written(tmp_path / f"m{suffix}", of_form(VALUES, "palette", own))
        assert stored(path)[0] == "P"
        assert mask_palette(path) == own
        assert (read_mask(path) == np.array([0, 128, 255])[IDS]).all()
    written(tmp_path / "d.png", of_form(VALUES, "palette"))
    assert [(mask_palette(tmp_path / "d.png") or ())[value] for value in (0, 128, 255)] == list(COLOURS)


def test_rgb_masks_come_back_rgb(tmp_path: Path) -> None:
    expected = np.array(COLOURS, np.uint8)[IDS]
    for suffix in (".png", ".tif"):
        for table in (RGB, of_form(RGB, "rgb")):
            mode, pixels = stored(written(tmp_path / f"m{suffix}", table))
            assert mode == "RGB"
            assert (pixels == expected).all()
    written(tmp_path / "p.png", of_form(RGB, "palette"))
    assert stored(tmp_path / "p.png")[0] == "P"
    assert (colours_of(tmp_path / "p.png") == expected).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("columns", [1, 7, 8, 70])
def test_one_bit_masks_come_back_with_one_bit(suffix: str, columns: int, tmp_path: Path) -> None:
    ids = (IDS[:, :columns] > 0).astype(np.uint8)
    path = written(tmp_path / f"m{suffix}", of_form(TWO, "one-bit"), ids)
    mode, pixels = stored(path)
    assert mode == "1"
    assert (pixels == ids).all()
    assert (read_mask(path) == ids).all()
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    assert np.array_equal(cv2.imread(str(path), 0), ids * 255)


def test_objects_come_back_grey(tmp_path: Path) -> None:
    table = ClassTable("instances", ("ground", "cell"), ((0,), (1,)), (), COLOURS[:2])
    mode, pixels = stored(written(tmp_path / "m.png", table, IDS.clip(0, 1)))
    assert mode == "L"
    assert (pixels == IDS.clip(0, 1)).all()


def test_a_form_can_be_asked_for(tmp_path: Path) -> None:
    picture = picture_of(tmp_path / "a.png")
    predicted(tmp_path / "p", picture, of_form(VALUES, "grey"), mask_form="palette")
    assert stored(tmp_path / "p" / "out" / "a.png")[0] == "P"
    messages = predicted(tmp_path / "g", picture, RGB, mask_form="grey")
    mode, pixels = stored(tmp_path / "g" / "out" / "a.png")
    assert mode == "L"
    assert set(np.unique(pixels)) <= {0, 1, 2}
    assert "grey, 0 ground, 1 cell, 2 edge" in messages[-1]
    deep = ClassTable("values", NAMES, ((0,), (7,), (2000,)), (), COLOURS)
    with pytest.raises(UsageError, match="mask value 2000, and a palette"):
        predicted(tmp_path / "d", picture, deep, mask_form="palette")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_form_reads_back_by_the_table(tmp_path: Path, data: st.DataObject) -> None:
    stored = data.draw(st.sampled_from(["grey", "palette", "rgb", "one-bit"]))
    kind = data.draw(st.sampled_from(["values", "colours"] if stored in ("rgb", "palette") else ["values"]))
    numbers = data.draw(st.lists(st.integers(0, 255), min_size=3, max_size=3, unique=True))
    given_values: Any = tuple((v,) for v in numbers) if kind == "values" else tuple((colour,) for colour in COLOURS)
    table = of_form(ClassTable(kind, NAMES, given_values, (), COLOURS), stored)  # type: ignore[arg-type]
    path = written(tmp_path / f"m{data.draw(st.sampled_from(['.png', '.tif']))}", table)
    assert (table.encode(read_mask(path, table.kind), "m") == IDS).all()


# What a mask keeps of its picture.


IMAGEJ = {"imagej": True, "resolution": (5.0, 4.0), "metadata": {"unit": "um"}}


def test_a_mask_of_imagej_opens_with_its_pixel_size(tmp_path: Path) -> None:
    predicted(tmp_path, picture_of(tmp_path / "a.tif", **IMAGEJ), of_form(VALUES, "grey"), probabilities="uint8")
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as mask:
        assert mask.is_imagej
        assert mask.imagej_metadata is not None
        assert mask.imagej_metadata["unit"] == "um"
        page = mask.pages[0]
        assert not page.is_tiled  # ImageJ reads no tiles
        assert [page.tags[name].value for name in ("XResolution", "YResolution")] == [(5, 1), (4, 1)]
        assert (page.tags["ResolutionUnit"].value, page.photometric.name) == (1, "MINISBLACK")
    with tifffile.TiffFile(tmp_path / "out" / "probabilities" / "a.tif") as likely:
        assert likely.is_ome
        assert 'PhysicalSizeX="0.2" PhysicalSizeXUnit="µm"' in str(likely.ome_metadata)
        assert likely.series[0].axes == "CYX"


@pytest.mark.parametrize(
    ("unit", "symbol"),
    [("um", "µm"), ("\\u00B5m", "µm"), ("micron", "µm"), ("mm", "mm"), ("mile", None)],
)
def test_units_of_imagej(unit: str, symbol: str | None, tmp_path: Path) -> None:
    description = f"ImageJ=1.54f\nimages=1\nunit={unit}\n"
    path = picture_of(tmp_path / "a.tif", description=description, metadata=None, resolution=(5, 5), resolutionunit=1)
    with open_picture(path) as picture:
        assert picture.placement.imagej_unit == unit
        assert (picture.placement.space or (None,))[0] == (Axis(symbol, 0.2) if symbol else None)
        placement = picture.placement
    write_mask(tmp_path / "m.tif", IDS, VALUES, placement)
    with open_picture(tmp_path / "m.tif") as again:
        assert again.placement == placement


def test_a_palette_is_written_for_imagej_too(tmp_path: Path) -> None:
    placement = Placement(resolution=(5.0, 5.0), imagej_unit="um", space=(Axis("µm", 0.2), Axis("µm", 0.2)))
    for form in ("grey", "palette", "one-bit"):
        write_mask(tmp_path / "m.tif", IDS.clip(0, 1), of_form(TWO, form), placement)
        assert (read_mask(tmp_path / "m.tif") == IDS.clip(0, 1)).all()
        with tifffile.TiffFile(tmp_path / "m.tif") as mask:
            assert mask.is_imagej == (form != "one-bit")
            assert mask.is_ome == (form == "one-bit")


def test_pixels_are_no_unit_of_length(tmp_path: Path) -> None:
    path = picture_of(tmp_path / "a.tif", imagej=True, resolution=(5, 5), metadata={"unit": "pixel"})
    with open_picture(path) as picture:
        assert picture.placement.imagej_unit is picture.placement.space is None


@pytest.mark.parametrize(("name", "options"), [
    ("a.png", {"dpi": (300, 150)}), ("a.jpg", {"dpi": (300, 150)}), ("a.bmp", {"dpi": (300, 150)}),
    ("a.tif", {"resolution": (300, 150), "resolutionunit": 2, "metadata": None}),
])  # fmt: skip
def test_a_resolution_is_kept(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    predicted(tmp_path, picture_of(tmp_path / name, **options))
    with Image.open(tmp_path / "out" / "a.png") as mask:
        assert mask.info["dpi"] == pytest.approx((300, 150), abs=0.2)


def test_a_resolution_without_a_unit_and_one_of_a_rotated_picture_are_not_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, options in (("a.jpg", {"dpi": (300, 150), "exif": exif}), ("b.jpg", {})):
        with open_picture(picture_of(tmp_path / name, **options)) as picture:
            assert picture.placement == Placement()


def test_ome_sizes_are_kept_for_every_reader(tmp_path: Path) -> None:
    sizes = {
        "axes": "YX",
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.25,
        "PhysicalSizeYUnit": "µm",
    }
    predicted(tmp_path, picture_of(tmp_path / "a.ome.tif", ome=True, metadata=sizes))
    with tifffile.TiffFile(tmp_path / "out" / "a.ome.tif") as mask:
        assert 'PhysicalSizeX="0.5" PhysicalSizeXUnit="µm"' in str(mask.ome_metadata)
        across, down = (np.divide(*mask.pages[0].tags[name].value) for name in ("XResolution", "YResolution"))
        assert (across, down, mask.pages[0].tags["ResolutionUnit"].value) == (20_000, 40_000, 3)


WORLD = b"0.3\n0\n0\n-0.3\n500000.15\n4649776.1\n"


@pytest.mark.parametrize(
    ("picture", "beside", "copy"),
    [
        ("a.png", "a.pgw", "a.pgw"),
        ("a.png", "a.PGW", "a.pgw"),
        ("a.png", "a.pngw", "a.pgw"),
        ("a.jpg", "a.jgw", "a.pgw"),
        ("a.jpeg", "a.jgw", "a.pgw"),
        ("a.jpeg", "a.jpegw", "a.pgw"),
        ("a.tif", "a.tfw", "a.pgw"),
        ("a.bmp", "a.bpw", "a.pgw"),
        ("a.b.png", "a.b.wld", "a.b.wld"),
        ("a.png", "a.prj", "a.prj"),
    ],
)
def test_world_files_are_copied_by_the_rule_of_the_mask(picture: str, beside: str, copy: str, tmp_path: Path) -> None:
    path = picture_of(tmp_path / picture)
    (tmp_path / beside).write_bytes(WORLD)
    predicted(tmp_path, path, overlays=True, probabilities="uint8")
    assert (tmp_path / "out" / copy).read_bytes() == WORLD
    stem = copy.rpartition(".")[0]
    assert (tmp_path / "out" / "overlays" / copy).exists()
    expected = copy.replace(".pgw", ".tfw")
    assert (tmp_path / "out" / "probabilities" / expected).exists()
    seen = stored(tmp_path / "out" / "overlays" / f"{stem}.png")[1]
    assert seen.shape == (60, 70, 3)  # a place on the earth allows no other size
    assert (tmp_path / "out" / "overlays" / f"{stem}.legend.png").exists()


def test_only_the_place_is_taken_from_gdals_file(tmp_path: Path) -> None:
    path = picture_of(tmp_path / "a.png")
    srs = '<SRS dataAxisToSRSAxisMapping="1,2">PROJCS["WGS 84 / UTM zone 32N"]</SRS>'.replace('["', "[&quot;").replace(
        '"]', "&quot;]"
    )
    place = "<GeoTransform> 5.0e+05, 0.3, 0.0, 4.6e+06, 0.0, -0.3</GeoTransform>"
    rest = (
        '<PAMRasterBand band="1"><NoDataValue>0</NoDataValue><Metadata><MDI key="STATISTICS_MEAN">9</MDI></Metadata>'
        "</PAMRasterBand>"
    )
    (tmp_path / "a.png.aux.xml").write_text(f"<PAMDataset>\n{srs}\n{place}\n{rest}</PAMDataset>")
    predicted(tmp_path, path)
    copied = (tmp_path / "out" / "a.png.aux.xml").read_text()
    assert srs in copied
    assert place in copied
    assert "NoData" not in copied
    assert "STATISTICS" not in copied
    (tmp_path / "a.png.aux.xml").write_text(f"<PAMDataset>{rest}</PAMDataset>")
    assert place_files(path) == ()


def test_place_files_of_a_rotated_picture_are_not_copied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = picture_of(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.jgw").write_bytes(WORLD)
    messages = predicted(tmp_path, path)
    assert any("1 picture with an EXIF orientation" in each for each in messages)
    assert not (tmp_path / "out" / "a.pgw").exists()


def test_a_broken_world_file_is_refused_with_its_name(tmp_path: Path) -> None:
    path = picture_of(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("hello")
    with pytest.raises(DataError, match=r"a\.pgw: not the six numbers of a world file"):
        predicted(tmp_path, path)


def test_a_world_file_that_exists_is_not_replaced(tmp_path: Path) -> None:
    path = picture_of(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_bytes(WORLD)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.pgw").write_text("precious")
    with pytest.raises(UsageError, match=r"a\.pgw exists already"):
        predicted(tmp_path, path)
    predicted(tmp_path, path, overwrite=True)
    assert (tmp_path / "out" / "a.pgw").read_bytes() == WORLD
    predicted(tmp_path, path, resume=True)


def test_masks_beside_their_pictures_keep_the_place_files_that_are_there(tmp_path: Path) -> None:
    path = picture_of(tmp_path / "a.jpg")
    (tmp_path / "a.jgw").write_bytes(WORLD)
    (tmp_path / "a.prj").write_text("PROJCS[]")
    finish(tiny.predict(model_file(tmp_path / "m"), [str(path)], tmp_path, device="cpu"))
    assert (tmp_path / "a.pgw").read_bytes() == WORLD
    assert (tmp_path / "a.prj").read_text() == "PROJCS[]"


def test_overlays_of_masks_beside_their_pictures_have_place_files(tmp_path: Path) -> None:
    path = picture_of(tmp_path / "a.jpg")
    (tmp_path / "a.wld").write_bytes(WORLD)
    (tmp_path / "a.prj").write_text("PROJCS[]")
    finish(tiny.predict(model_file(tmp_path / "m"), [str(path)], tmp_path, overlays=True, device="cpu"))
    assert (tmp_path / "overlays" / "a.wld").read_bytes() == WORLD
    assert (tmp_path / "overlays" / "a.prj").read_text() == "PROJCS[]"


# What the masks of slices and of stacked channels keep of the person's files.


def placement_of(path: Path) -> Placement:
    with open_picture(path) as picture:
        return picture.placement


@pytest.mark.parametrize("colour", [False, True])
def test_slices_keep_the_size_that_imagej_wrote(colour: bool, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (2, 60, 70, 3), dtype=np.uint8)
    axes = {"axes": "ZYXS" if colour else "ZYX", "unit": "um"}
    stack = pixels if colour else pixels[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(5.0, 4.0), metadata=axes)
    save_model(tmp_path / "model.safetensors", tiny.segmenter(channels=3 if colour else 1), {"citation": "none"})
    predicted(tmp_path, tmp_path / "a.tif")
    for page in (1, 2):
        with tifffile.TiffFile(tmp_path / "out" / f"a_page_{page}.tif") as mask:
            assert mask.is_imagej
        kept = placement_of(tmp_path / "out" / f"a_page_{page}.tif")
        assert (kept.imagej_unit, kept.resolution) == ("um", (5, 4))


def test_slices_keep_place_size_and_missing_data(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (2, 60, 70), dtype=np.uint8)
    pixels[:, 10:20] = 0
    facts: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    scale = (33550, "d", 3, (0.5, 0.5, 0.0), True)
    tifffile.imwrite(tmp_path / "geo.tif", pixels, extratags=[scale, (42113, 2, 0, "0", True)], **facts)
    tifffile.imwrite(tmp_path / "dense.tif", pixels, resolution=(10000, 10000), resolutionunit=3, **facts)
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(tmp_path / "o.ome.tif", pixels, metadata={"axes": "ZYX", **sizes})
    for name in ("geo.tif", "dense.tif", "o.ome.tif"):
        predicted(tmp_path, tmp_path / name)
    out = tmp_path / "out"
    assert placement_of(out / "geo_page_2.tif").geography[0][3] == (0.5, 0.5, 0)
    assert ((read_mask(out / "geo_page_2.tif") == 254) == (pixels[1] == 0)).all()
    assert placement_of(out / "dense_page_1.png").resolution == pytest.approx((10000, 10000))
    assert placement_of(out / "o.ome_page_1.tif").space == (Axis("µm", 0.25), Axis("µm", 0.5))


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_stacked_channels_keep_place_and_size(suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "imagesTs"
    folder.mkdir()
    options = {"resolution": (10000, 10000), "resolutionunit": 3} if suffix == ".tif" else {"dpi": (25400, 25400)}
    for number in range(2):
        picture_of(folder / f"a_{number:04}{suffix}", **options)
    (folder / f"a_0000.{suffix[1]}{suffix[-1]}w").write_bytes(WORLD)
    save_model(tmp_path / "model.safetensors", tiny.segmenter(channels=2), {"citation": "none"})
    predicted(tmp_path, folder, probabilities="uint8")
    assert placement_of(tmp_path / "out" / "a.png").resolution == pytest.approx((10000, 10000))
    assert (tmp_path / "out" / "a.pgw").read_bytes() == WORLD
    assert (tmp_path / "out" / "probabilities" / "a.tfw").read_bytes() == WORLD


def test_enlarged_overlays_state_no_size_of_other_pixels(tmp_path: Path) -> None:
    options = {"imagej": False, "resolution": (10000, 10000), "resolutionunit": 3, "metadata": None}
    path = picture_of(tmp_path / "a.tif", extratags=[(42113, 2, 0, "0", True)], **options)
    predicted(tmp_path, path, overlays=True)
    assert placement_of(tmp_path / "out" / "a.tif").resolution == (10000, 10000)
    assert placement_of(tmp_path / "out" / "overlays" / "a.png").resolution is None


def nodata(path: Path, value: str, pixels: NDArray[Any]) -> Path:
    tifffile.imwrite(path, pixels, extratags=[(42113, 2, 0, value, True)], metadata=None)
    return path


@pytest.mark.parametrize(
    ("table", "stands_for"),
    [
        (VALUES, 254),  # 255 is a class
        (replace(VALUES, ignore=(7,)), 7),
        (TWO, 255),
        (of_form(TWO, "one-bit"), 255),
        (of_form(TWO, "palette"), 255),
        (ClassTable("values", NAMES, ((0,), (7,), (2000,)), (), COLOURS), 65535),
        (replace(RGB, ignore=((1, 2, 3),)), None),
    ],
)
def test_pixels_without_data_are_none_in_the_mask(table: ClassTable, stands_for: int | None, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (60, 70, 3), dtype=np.uint8)
    pixels[10:20, 5:9] = 0
    pixels[30, 30, 0] = 0  # the other channels have data
    path = nodata(tmp_path / "a.tif", "0", pixels)
    save_model(tmp_path / "model.safetensors", tiny.segmenter(channels=3, classes=table), {"citation": "none"})
    events = tiny.predict(
        tmp_path / "model.safetensors", [str(path)], tmp_path / "out", precision="float32", overlays=True
    )
    messages = [event.text for event in events if isinstance(event, Message)]
    mask = read_mask(tmp_path / "out" / "a.tif")
    expected = np.zeros((60, 70), bool)
    expected[10:20, 5:9] = True
    found = (mask == (1, 2, 3)).all(axis=2) if stands_for is None else mask == stands_for
    assert (found == expected).all()
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        tag = file.pages[0].tags.get(42113)
        assert tag is None if stands_for is None else tag.value == str(stands_for)
    assert any("pixels without data (0 in the picture) are" in each for each in messages)
    if stands_for is not None:
        with by_gdal(tmp_path / "out" / "a.tif") as opened:
            assert opened.nodata == stands_for
            assert ((opened.read_masks(1) == 0) == expected).all()


@pytest.mark.parametrize("placed", [False, True])
def test_transparent_pixels_of_a_placed_picture_have_no_data(placed: bool, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (60, 70, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[10:20, 5:9, 3] = 0
    pixels[30, 30, 3] = 9  # half transparent
    tags = [(33550, "d", 3, (0.5, 0.5, 0.0), True)] if placed else []
    facts: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"], "extratags": tags, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **facts)
    save_model(tmp_path / "model.safetensors", tiny.segmenter(channels=3, classes=TWO), {"citation": "none"})
    finish(
        tiny.predict(tmp_path / "model.safetensors", [str(tmp_path / "a.tif")], tmp_path / "out", precision="float32")
    )
    found = read_mask(next((tmp_path / "out").glob("a.*"))) == 255
    expected = np.zeros((60, 70), bool)
    expected[10:20, 5:9] = placed
    assert (found == expected).all()


def test_a_colour_mask_without_an_ignored_colour_has_no_hole(tmp_path: Path) -> None:
    path = nodata(tmp_path / "a.tif", "0", np.zeros((60, 70), np.uint8))
    messages = predicted(tmp_path, path, RGB)
    assert any("without data (0 in the picture) have predicted classes in its mask" in each for each in messages)
    assert stored(tmp_path / "out" / "a.tif")[0] == "RGB"


# Probabilities.


@pytest.mark.parametrize("pixel_type", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("tiled", [False, True])
def test_probabilities_are_channels_with_the_names_of_the_classes(pixel_type: str, tiled: bool, tmp_path: Path) -> None:
    table = ClassTable("values", ("a & b", "żółw", "edge"), ((0,), (1,), (2,)), (), COLOURS)
    options = {"tile": (32, 32), "metadata": None} if tiled else {}
    path = picture_of(tmp_path / ("a.tif" if tiled else "a.png"), **options)
    predicted(tmp_path, path, table, probabilities=pixel_type)
    file = tmp_path / "out" / "probabilities" / "a.tif"
    with tifffile.TiffFile(file) as likely:
        assert (len(likely.pages), likely.series[0].axes, likely.series[0].shape) == (1, "CYX", (3, 60, 70))
        assert likely.pages[0].photometric.name == "MINISBLACK"
        assert likely.shaped_metadata is not None
        assert likely.shaped_metadata[0]["Channel"] == {"Name": list(table.names)}
        pixels = likely.asarray()
    mask = read_mask(tmp_path / "out" / ("a.tif" if tiled else "a.png"))
    assert (pixels.max(axis=0) == np.take_along_axis(pixels, mask[None].astype(np.int64), 0)[0]).all()
    with by_gdal(file) as opened:
        assert (opened.count, opened.descriptions) == (3, table.names)
        assert (opened.read() == pixels).all()


def test_channels_of_an_ome_picture_are_named_pages(tmp_path: Path) -> None:
    sizes = {
        "axes": "YX",
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.5,
        "PhysicalSizeYUnit": "µm",
    }
    path = picture_of(tmp_path / "a.tif", ome=True, metadata=sizes)
    predicted(tmp_path, path, VALUES, probabilities="uint8")
    with tifffile.TiffFile(tmp_path / "out" / "probabilities" / "a.tif") as likely:
        assert (len(likely.pages), likely.series[0].axes) == (3, "CYX")
        assert all(f'Name="{name}"' in str(likely.ome_metadata) for name in NAMES)


@pytest.mark.parametrize(("levels", "space"), [(1, None), (0, (Axis("mm", 3), Axis("mm", 2)))])
def test_planes_by_bands_are_the_planes_at_once(levels: int, space: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((600, 530, 3)).astype(np.float32)
    form = BandForm(600, 530, 3, "float32", placement=Placement(levels=levels, space=space), names=tuple("abc"))
    with open_band_writer(tmp_path / "b.tif", form) as writer:
        for top in range(0, 600, 90):
            writer.write(pixels[top : top + 90])
        writer.finish()
    write_whole(tmp_path / "w.tif", form, pixels)
    for name in ("b.tif", "w.tif"):
        with tifffile.TiffFile(tmp_path / name) as file:
            assert (file.asarray() == np.moveaxis(pixels, 2, 0)).all()
            assert len(file.series[0].levels) == 1 + levels
            if levels:
                assert (file.series[0].levels[1].asarray() == np.moveaxis(pixels[::2, ::2], 2, 0)).all()


# What is left.


def test_nothing_is_left_of_a_file_that_is_refused(tmp_path: Path) -> None:
    path = picture_of(tmp_path / "a.tif", (60, 70, 5), tile=(16, 16), photometric="minisblack", planarconfig="contig")
    messages = predicted(tmp_path, path, probabilities="uint8", overlays=True)
    assert any(each.startswith("skipped: ") for each in messages)
    assert not list((tmp_path / "out").rglob("*.part"))
    assert {each.name for each in (tmp_path / "out").rglob("*") if each.is_file()} <= {
        ".unpool-output",
        ".unpool-predictions.jsonl",
    }


def test_rows_of_a_picture_that_turns_out_damaged_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting, "TILE", (64, 64))
    for sides in ("SIDES", "WIDE"):
        monkeypatch.setattr(f"unpool.prediction.tile_plan.{sides}", (16, 32, 48, 64))
    path = picture_of(tmp_path / "a.tif", (270, 70), tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        start, size = tiff.pages[0].dataoffsets[-1], tiff.pages[0].databytecounts[-1]
    content = bytearray(path.read_bytes())
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    messages = predicted(tmp_path, path)
    assert any("a.tif: cannot be read as a picture" in each for each in messages)
    assert not any("are kept in" in each for each in messages)
    assert not list((tmp_path / "out").glob("*.part"))


def _fail_after(rows: int, writer: BandWriter) -> None:
    if rows:
        writer.write(np.zeros((rows, 70), np.uint8))
    raise RunError("a", "b", "c")


def test_rows_that_can_be_continued_stay_only_where_all_files_have_some(tmp_path: Path) -> None:
    form = BandForm(90, 70)
    for rows, stays in ((0, False), (30, True)):
        with pytest.raises(RunError), open_band_writer(tmp_path / "m.tif", form) as writer:
            _fail_after(rows, writer)
        assert (tmp_path / "m.tif.part").exists() == stays
    with open_band_writer(tmp_path / "m.tif", form) as writer:
        assert writer.done == 30
        writer.drop()
    assert not (tmp_path / "m.tif.part").exists()


# The last lines.


def test_the_ending_names_the_places_and_a_command_that_can_be_typed(tmp_path: Path, program: Program) -> None:
    model, path = model_file(tmp_path, of_form(VALUES, "grey")), picture_of(tmp_path / "a b.png")
    first = program("predict", model, path, "-o", tmp_path / "out", "--device", "cpu")
    *_, place, why, command = first.out.splitlines()
    assert place == f"1 mask in {tmp_path / 'out'} (grey, 0 ground, 128 cell, 255 edge)"
    assert why == "to see a mask on its picture:"
    second = program(*shlex.split(command)[1:])
    assert second.code == 0, second.err
    assert (tmp_path / "out-overlay" / "overlays" / "a b.png").exists()
    assert f"overlays in {tmp_path / 'out-overlay' / 'overlays'}" in second.out
    third = program(*shlex.split(second.out.splitlines()[-1])[1:])
    assert third.code == 0, third.err
    assert f"uncertainty in {tmp_path / 'out-overlay-uncertainty' / 'uncertainty'}" in third.out


def test_after_a_failure_the_command_goes_on(tmp_path: Path, program: Program) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    picture_of(folder / "a.png")
    (folder / "b.png").write_bytes(b"broken")
    words = ["predict", model_file(tmp_path), folder, "-o", tmp_path / "out", "--device", "cpu", "--overlay"]
    first = program(*words, "--opacity", "0.5", "--probabilities", "uint8", "--memory", "8GB")
    assert first.code == 3
    picture_of(folder / "b.png")
    again = program(*shlex.split(first.out.splitlines()[-1])[1:])
    assert again.code == 0, again.err
    assert "1 of them is finished already" in again.out


def test_a_command_is_written_with_its_options() -> None:
    extras = ExtraOutputs(True, "uint16", True, objects=True, mask_form="palette", opacity=0.5)
    averaging, size = Averaging("flips", 3), pixel_size_of("0.65um")
    command = PredictCommand(Path("m"), ["a b", "c"], Path("out"), extras, averaging, 2e9, "cpu", "float32", size)
    assert command.again() == (
        "unpool predict m 'a b' c --out out --mask-form palette --overlay --opacity 0.5 --probabilities uint16 "
        "--uncertainty --objects --pixel-size 0.65um --tta flips --samples 3 --memory 2000MB --device cpu "
        "--precision float32 --resume"
    )


# Overlays.


def drawing(path: Path, table: ClassTable, **outputs: Any) -> OverlayDrawing:
    with open_picture(path) as picture:
        return OverlayDrawing(picture, table, Outputs(path, path, None, None, **outputs))


def test_small_pictures_are_enlarged_with_the_legend_below(tmp_path: Path) -> None:
    predicted(tmp_path, picture_of(tmp_path / "a.png"), overlays=True, opacity=0.0)
    seen, shown = stored(tmp_path / "out" / "overlays" / "a.png")[1], stored(tmp_path / "a.png")[1]
    times = 6  # 6 x 70 is the first above 400
    assert seen.shape[1] == 70 * times
    assert seen.shape[0] > 60 * times
    middle = seen[times // 2 : 60 * times : times, times // 2 : 70 * times : times]
    labels = read_mask(tmp_path / "out" / "a.png")
    inside = np.ones((60, 70), bool)
    for axis in (0, 1):
        for step in (1, -1):
            inside &= np.roll(labels, step, axis) == labels
    assert (middle[1:-1, 1:-1][inside[1:-1, 1:-1]] == shown[1:-1, 1:-1][inside[1:-1, 1:-1]][:, None]).all()
    assert (seen[-1] == 255).all()


def test_an_overlay_by_bands_is_the_overlay_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture_of(tmp_path / "a.png", (90, 70))
    predicted(tmp_path / "one", path, overlays=True)
    monkeypatch.setattr(predicting, "TILE", (32, 32))
    predicted(tmp_path / "two", path, overlays=True)
    one, two = (stored(tmp_path / each / "out" / "overlays" / "a.png")[1] for each in ("one", "two"))
    assert one.shape == two.shape
    assert (one != two).any(axis=2).mean() < 0.05  # borders between bands are drawn from one side


@pytest.mark.parametrize("pixel_type", ["uint16", "float32"])
def test_a_picture_is_seen_beside_pixels_without_data(pixel_type: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (60, 70)).astype(pixel_type)
    missing = {"uint16": 65535, "float32": -9999}[pixel_type]
    pixels[:20] = missing
    path = nodata(tmp_path / "a.tif", str(missing), pixels)
    with open_picture(path) as picture:
        drawn = OverlayDrawing(picture, VALUES, Outputs(path, path, None, None, opacity=0.0))
        seen = drawn.band(np.zeros((60, 70), np.uint8), 0)[20 * drawn.times : 60 * drawn.times]
    assert len(np.unique(seen)) > 100
    assert 100 < seen.mean() < 150


def test_an_overlay_without_any_data_is_drawn(tmp_path: Path) -> None:
    path = nodata(tmp_path / "a.tif", "0", np.zeros((60, 70), np.uint8))
    predicted(tmp_path, path, overlays=True)
    assert (tmp_path / "out" / "overlays" / "a.png").exists()


def test_opacity_without_overlays_is_refused(tmp_path: Path, program: Program) -> None:
    words = ["predict", model_file(tmp_path), picture_of(tmp_path / "a.png"), "-o", tmp_path / "out"]
    said = program(*words, "--opacity", "0.5")
    assert (said.code, "--opacity without --overlay" in said.err) == (2, True)


def test_two_files_of_one_name_are_the_persons_own(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (2, 60, 70), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "s.tif", pixels, photometric="minisblack")
    picture_of(tmp_path / "in" / "s_page_1.png")
    with pytest.raises(UsageError, match=r"in/s\.tif and .*in/s_page_1\.png would both be written"):
        predicted(tmp_path, tmp_path / "in")


def test_a_stack_is_never_replaced_by_the_mask_of_a_page(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (2, 60, 70), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    for name in ("a.tif", "a_page_1.tif"):
        tifffile.imwrite(tmp_path / "in" / name, pixels, **IMAGEJ)
    before = (tmp_path / "in" / "a_page_1.tif").read_bytes()
    model = model_file(tmp_path)
    steps = tiny.predict(model, [str(tmp_path / "in")], tmp_path / "in", overwrite=True, device="cpu")
    messages = [event.text for event in steps if isinstance(event, Message)]
    assert any("its mask would replace the picture" in each for each in messages)
    assert (tmp_path / "in" / "a_page_1.tif").read_bytes() == before


def test_the_legend_fits_every_width() -> None:
    names, colours = ("a", "b" * 300, "Ωж"), distinct_colours(3)
    narrow, wide = legend_picture(names, colours, 10, 12), legend_picture(names, colours, 2000, 12)
    assert narrow.shape[1] > 10
    assert wide.shape[1] == 2000
    assert narrow.shape[0] > wide.shape[0]
    for colour in colours[1:]:
        assert (wide == colour).all(axis=2).sum() >= 100
    assert not (wide == colours[0]).all(axis=2).any()  # class 0 in black is not drawn
    assert (legend_picture(names, ((9, 8, 7), *colours[1:]), 2000, 12) == (9, 8, 7)).all(axis=2).any()


def test_large_pictures_have_wide_outlines(tmp_path: Path) -> None:
    for rows, outline in ((900, 5), (40, 1)):  # of a long and narrow picture something stays
        drawn = drawing(picture_of(tmp_path / f"{rows}.png", (rows, 3500)), VALUES)
        assert (drawn.times, drawn.outline) == (1, outline)
    labels = np.zeros((9, 40), np.uint8)
    labels[:, 20:] = 1
    seen = overlay(np.full((9, 40), 200, np.uint8), labels, COLOURS, 0.0, None, 3)
    assert (seen[:, 20:23] == COLOURS[1]).all()
    assert (seen[:, :20] == 200).all()
    assert (seen[:, 23:] == 200).all()


def test_outlines_differ_from_the_picture() -> None:
    labels = np.zeros((3, 8), np.uint8)
    labels[:, 4:] = 1
    for ground, expected in ((20, 148), (230, 120)):
        seen = overlay(
            np.full((3, 8, 3), ground, np.uint8), labels, (COLOURS[0], (40 if ground < 99 else 240,) * 3), 0.0
        )
        assert (seen[:, 4] == expected).all()
