"""``predict --objects``: numbers and tables, exact over tiles, continued after a stop, and as ``test`` scores them."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import tiny
import unpool
from conftest import Program
from test_borders import bordered
from unpool.checkpoint.models import save_model
from unpool.class_table import ClassTable, distinct_colours
from unpool.commands.events import Event, Message, Progress, finish
from unpool.commands.predict.predict import Predicted
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import test as score
from unpool.commands.train.train import TrainedRun
from unpool.data.synthetic import synthetic_cells
from unpool.errors import UsageError
from unpool.io.pixel_size import PixelSize
from unpool.io.read.masks import read_mask
from unpool.io.write.images import write_image
from unpool.metrics.objects import object_counts
from unpool.normalisation import Normalisation

pytest.importorskip("skimage")

SMALL = (64, 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random small model that learned borders. Read only."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, bordered(3), {"citation": "none"})
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A tiled OME-TIFF of a size that no tile divides. Writable."""
    (cells,) = synthetic_cells(1, 0, ((233, 175),))
    path = tmp_path / "slide.ome.tif"
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(path, cells.image, tile=(64, 64), metadata={"axes": "YX", **size})
    return path


def small_tiles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("unpool.commands.predict.predict.TILE", SMALL)
    for sides in ("SIDES", "WIDE"):
        patch.setattr(f"unpool.prediction.tile_plan.{sides}", (16, 32, 48, 64))
    patch.setattr("unpool.commands.predict.object_files.STRIP_PIXELS", 3000)


def predicted(model: Path, picture: Path, out: Path, **options: object) -> tuple[Predicted, list[Event]]:
    given: dict[str, Any] = {"precision": "float32", **options}
    steps = tiny.predict(model, [str(picture)], out, device="cpu", objects=True, **given)
    events: list[Event] = []
    return finish(steps, events.append), events


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tiles_and_strips_give_the_objects_of_one_piece(
    model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = predicted(model, picture, tmp_path / "whole")
    with monkeypatch.context() as patch:
        small_tiles(patch)
        _, events = predicted(model, picture, tmp_path / "tiles")
    assert any(isinstance(event, Progress) and event.work == "rows of tiles" and event.total > 3 for event in events)
    one, other = (tifffile.imread(tmp_path / name / "objects" / "slide.ome.tif") for name in ("whole", "tiles"))
    assert one.dtype == np.int32
    assert one.max() > 5
    np.testing.assert_array_equal(one, other)
    predicted(model, picture, tmp_path / "auto", precision="auto")  # a loaded model computes as the machine is fastest
    numbers = tifffile.imread(tmp_path / "auto" / "objects" / "slide.ome.tif")
    np.testing.assert_array_equal(unpool.load(model, "cpu").objects(picture), numbers)
    assert [path.name for path in whole.tables] == ["objects.csv", "classes.csv"]
    for name in ("objects.csv", "classes.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "tiles" / name).read_bytes()
    rows = rows_of(tmp_path / "whole" / "objects.csv")
    areas = np.bincount(one.ravel())[1:]
    assert [int(row["area_px"]) for row in rows] == areas.tolist()
    assert [float(row["area_um2"]) for row in rows] == pytest.approx((areas * 0.25).tolist())
    with tifffile.TiffFile(tmp_path / "whole" / "objects" / "slide.ome.tif") as file:
        assert 'PhysicalSizeX="0.5"' in (file.ome_metadata or "")
    assert not list(tmp_path.rglob("*.part"))


def test_an_interrupted_command_goes_on_and_its_tables_are_complete(
    model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_tiles(monkeypatch)
    steps = tiny.predict(model, [str(picture)], tmp_path / "out", device="cpu", precision="float32", objects=True)
    for event in steps:
        if isinstance(event, Progress) and event.done == 2:
            break
    steps.close()
    _, events = predicted(model, picture, tmp_path / "out", resume=True)
    assert any(isinstance(event, Message) and "continuing from row" in event.text for event in events)
    predicted(model, picture, tmp_path / "unbroken")
    one, other = (tifffile.imread(tmp_path / name / "objects" / "slide.ome.tif") for name in ("out", "unbroken"))
    np.testing.assert_array_equal(one, other)
    for name in ("objects.csv", "classes.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes(), name
    again, _ = predicted(model, picture, tmp_path / "out", resume=True)
    assert len(again.tables) == 2


def test_tables_have_the_pictures_that_were_not_refused(model: Path, tmp_path: Path) -> None:
    for cells in synthetic_cells(2, 0, ((48, 56),)):
        write_image(tmp_path / "in" / f"{cells.name}.png", cells.image)
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    result, _ = predicted(model, tmp_path / "in", tmp_path / "out", pixel_size=PixelSize(0.5, 0.5))
    assert [path.name for path, _ in result.failed] == ["broken.png"]
    assert {row["picture"] for row in rows_of(tmp_path / "out" / "classes.csv")} == {"00", "01"}
    assert {row["pixel_width_um"] for row in rows_of(tmp_path / "out" / "classes.csv")} == {"0.5"}
    with pytest.raises(UsageError, match="exists already"):
        predicted(model, tmp_path / "in", tmp_path / "out")
    (tmp_path / "out" / "objects.csv").write_text("mine")
    with pytest.raises(UsageError, match="somebody changed it"):
        predicted(model, tmp_path / "in", tmp_path / "out", resume=True, pixel_size=PixelSize(0.5, 0.5))


def test_a_size_that_differs_is_noted(model: Path, picture: Path, tmp_path: Path) -> None:
    _, events = predicted(model, picture, tmp_path / "out", pixel_size=PixelSize(2.0, 2.0))
    notes = [event.text for event in events if isinstance(event, Message) and "states pixels of 0.5 um" in event.text]
    assert len(notes) == 1
    assert rows_of(tmp_path / "out" / "objects.csv")[0]["pixel_width_um"] == "2"


def test_what_does_not_fit_into_memory_is_refused(
    model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_tiles(monkeypatch)
    monkeypatch.setattr("unpool.commands.predict.object_files.HELD_BYTES", 1e9)
    result, _ = predicted(model, picture, tmp_path / "out")
    ((_, reason),) = result.failed
    assert "objects that touch reach over more than" in reason
    assert "--memory" in reason
    assert not (tmp_path / "out" / "objects" / "slide.ome.tif").exists()


def test_scores_are_those_of_what_predict_writes(model: Path, tmp_path: Path) -> None:
    for cells in synthetic_cells(2, 1, ((64, 72),)):
        write_image(tmp_path / "set" / "images" / f"{cells.name}.png", cells.image)
        write_image(tmp_path / "set" / "instances" / f"{cells.name}.png", cells.instances)
    predicted(model, tmp_path / "set" / "images", tmp_path / "out")
    counts = [
        object_counts(
            read_mask(tmp_path / "set" / "instances" / f"{name}.png").astype(np.int32),
            tifffile.imread(tmp_path / "out" / "objects" / f"{name}.tif"),
        )
        for name in ("00", "01")
    ]
    options = TestOptions("all", "cpu", "float32")
    result = finish(score(model, tmp_path / "set", options, out=tmp_path / "report"))
    by_key = {each.measure.key: each for each in result.measured}
    scored = by_key["separated_objects"]
    assert scored.value("predicted") == sum(each.predicted for each in counts)
    assert scored.value("seg") == pytest.approx(
        sum(each.overlap for each in counts) / sum(each.true for each in counts)
    )
    assert by_key["objects"].value("true") == scored.value("true")


def test_a_table_of_values_has_objects_too(run: TrainedRun, cells: Path, tmp_path: Path) -> None:
    image = cells / "images" / "00.png"
    predicted(run.folder, image, tmp_path / "out")
    found = tifffile.imread(tmp_path / "out" / "objects" / "00.tif")
    model = unpool.load(run.folder, "cpu")
    assert ((found > 0) == (model.predict(image) > 0)).all()
    np.testing.assert_array_equal(found, model.objects(image))


def test_the_command_line(program: Program, model: Path, picture: Path, tmp_path: Path) -> None:
    refused = program("predict", model, picture, "--out", tmp_path / "out", "--pixel-size", "1um")
    assert refused.code == 2
    assert "--pixel-size without --objects" in refused.err
    done = program("predict", model, picture, "--out", tmp_path / "out", "--objects", "--device", "cpu")
    assert done.code == 0
    assert "objects.csv" in done.out + done.err


def test_pixels_without_data_are_in_no_object_and_in_no_measurement(model: Path, tmp_path: Path) -> None:
    (cells,) = synthetic_cells(1, 0, ((96, 80),))
    pixels = cells.image.astype(np.float32)
    pixels[30:60, 20:50] = -9999
    tifffile.imwrite(tmp_path / "a.tif", pixels, extratags=[(42113, 2, 0, "-9999", True)], metadata=None)
    segmenter = bordered(3)
    constants = {"float32": segmenter.normalisation.constants["uint8"]}
    save_model(tmp_path / "m", replace(segmenter, normalisation=Normalisation(1, constants)), {"citation": "none"})
    predicted(tmp_path / "m", tmp_path / "a.tif", tmp_path / "out")
    numbers, mask = tifffile.imread(tmp_path / "out" / "objects" / "a.tif"), read_mask(tmp_path / "out" / "a.tif")
    lacking = pixels == -9999
    assert numbers.max() > 3
    assert not numbers[lacking].any()
    assert ((numbers > 0) == ((mask == 1) & ~lacking)).all()
    for row in rows_of(tmp_path / "out" / "classes.csv"):
        own = pixels[(mask == {"background": 0, "cell": 1}[row["class"]]) & ~lacking]
        assert int(row["area_px"]) == own.size
        assert float(row["share"]) == pytest.approx(own.size / (~lacking).sum())
        assert float(row["mean_1"]) == pytest.approx(own.mean(), rel=1e-5)
    for row in rows_of(tmp_path / "out" / "objects.csv"):
        own = pixels[numbers == int(row["object"])]
        assert int(row["area_px"]) == own.size
        assert float(row["mean_1"]) == pytest.approx(own.mean(), rel=1e-5)


def test_a_picture_without_any_data_has_empty_measurements(model: Path, tmp_path: Path) -> None:
    pixels = np.zeros((20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, extratags=[(42113, 2, 0, "0", True)], metadata=None)
    predicted(model, tmp_path / "a.tif", tmp_path / "out")
    assert not tifffile.imread(tmp_path / "out" / "objects" / "a.tif").any()
    assert [(row["area_px"], row["share"]) for row in rows_of(tmp_path / "out" / "classes.csv")] == [("0", "")] * 2


def test_tables_of_some_pictures_name_those_that_are_not_in_them(model: Path, tmp_path: Path) -> None:
    for cells in synthetic_cells(2, 0, ((48, 56),)):
        write_image(tmp_path / "in" / f"{cells.name}.png", cells.image)
    _, events = predicted(model, tmp_path / "in", tmp_path / "out")
    assert not any("not in them" in event.text for event in events if isinstance(event, Message))
    _, events = predicted(model, tmp_path / "in" / "00.png", tmp_path / "out", resume=True)
    notes = [event.text for event in events if isinstance(event, Message) and "not in them (01)" in event.text]
    assert len(notes) == 1
    assert {row["picture"] for row in rows_of(tmp_path / "out" / "classes.csv")} == {"00"}
    _, events = predicted(model, tmp_path / "in", tmp_path / "out", resume=True)
    assert {row["picture"] for row in rows_of(tmp_path / "out" / "classes.csv")} == {"00", "01"}
    assert not any("not in them" in event.text for event in events if isinstance(event, Message))


def test_a_resolution_beside_a_world_file_is_no_size_on_the_ground(model: Path, tmp_path: Path) -> None:
    (cells,) = synthetic_cells(1, 0, ((48, 56),))
    Image.fromarray(cells.image).save(tmp_path / "a.png", dpi=(2540, 2540))
    (tmp_path / "a.pgw").write_text("0.5\n0\n0\n-0.5\n1000\n2000\n")
    _, events = predicted(model, tmp_path / "a.png", tmp_path / "out")
    assert any("its world file does not state the unit" in event.text for event in events if isinstance(event, Message))
    assert not any(name.endswith("_um2") for name in rows_of(tmp_path / "out" / "classes.csv")[0])
    predicted(model, tmp_path / "a.png", tmp_path / "metres", pixel_size=PixelSize(0.5, 0.5, "m"))
    assert float(rows_of(tmp_path / "metres" / "classes.csv")[0]["area_m2"]) > 0


def test_the_table_of_classes_names_no_mask_values(program: Program, tmp_path: Path) -> None:
    table = ClassTable("values", ("ground", "cell", "edge"), ((0,), (2,), (1,)), (), distinct_colours(3))
    save_model(tmp_path / "m", tiny.segmenter(classes=table), {"citation": "none"})
    (cells,) = synthetic_cells(1, 0, ((48, 56),))
    write_image(tmp_path / "a.png", cells.image)
    predicted(tmp_path / "m", tmp_path / "a.png", tmp_path / "out")
    measured = tmp_path / "out" / "classes.csv"
    for number, masks in enumerate((tmp_path / "out", tmp_path / "out" / "a.png", tmp_path / "out" / "a.png")):
        if number == 2:  # as a spreadsheet saves it
            measured.write_text(measured.read_text().replace(",", ";"), encoding="utf-8-sig")
        said = program("shapes", masks, "--to", "coco", "--out", tmp_path / f"{number}.json")
        assert "classes.csv" not in said.out
        assert "by the masks' values" in said.out


def test_a_channel_without_data_in_some_pixels_has_no_mean(tmp_path: Path) -> None:
    (cells,) = synthetic_cells(1, 0, ((48, 56),))
    pixels = np.dstack([cells.image] * 2)
    pixels[:, :, 0] = np.where(cells.image == 7, 8, cells.image)
    pixels[:6, :, 1] = 7
    facts: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", pixels, extratags=[(42113, 2, 0, "7", True)], **facts)
    save_model(tmp_path / "m", tiny.segmenter(channels=2), {"citation": "none"})
    predicted(tmp_path / "m", tmp_path / "a.tif", tmp_path / "out")
    numbers = tifffile.imread(tmp_path / "out" / "objects" / "a.tif")
    lacking = 0
    for row in rows_of(tmp_path / "out" / "objects.csv"):
        own = numbers == int(row["object"])
        assert float(row["mean_1"]) == pytest.approx(pixels[own, 0].mean(), rel=1e-6)
        lacking += (pixels[own, 1] == 7).any()
        assert (row["mean_2"] == "") == (row["std_2"] == "") == bool((pixels[own, 1] == 7).any())
    assert lacking
    mask = read_mask(tmp_path / "out" / "a.tif")
    for row, value in zip(rows_of(tmp_path / "out" / "classes.csv"), (0, 255), strict=True):
        assert (row["mean_2"] == "") == bool((pixels[mask == value, 1] == 7).any())
