"""Measurements of objects, the sizes of pixels that files state, and the tables."""

import csv
import json
import struct
import zlib
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from unpool.commands.predict.measurement_tables import write_tables
from unpool.errors import DataError, UsageError
from unpool.io.pixel_size import PixelSize, pixel_size_of, stated_pixel_size
from unpool.io.read.windows import open_picture
from unpool.objects.measurements import PictureMeasurements, measured_objects
from unpool.objects.separation import BY_PROBABILITY, ObjectStream

pytest.importorskip("skimage")

PIXELS = np.random.default_rng(0).integers(0, 255, (24, 30), dtype=np.uint8)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def stated(path: Path) -> PixelSize | None:
    with open_picture(path) as picture:
        return stated_pixel_size(path, picture.placement).size


def reason(path: Path) -> str:
    with open_picture(path) as picture:
        return stated_pixel_size(path, picture.placement).reason


def test_a_rectangle_by_hand() -> None:
    ids = np.zeros((20, 30), np.int64)
    ids[5:9, 10:22] = 3
    pixels = np.stack([np.indices(ids.shape)[1], np.full(ids.shape, 7)], axis=-1).astype(np.float32)
    (found,) = measured_objects(ids, pixels, 100, (400, 30))
    assert found["number"] == 3
    assert found["area"] == 48
    assert (found["centroid_row"], found["centroid_column"]) == (106.5, 15.5)
    assert [found[f"box_{side}"] for side in ("top", "left", "bottom", "right")] == [105, 10, 109, 22]
    assert found["major_axis"] == pytest.approx(4 * np.sqrt((144 - 1) / 12))
    assert found["minor_axis"] == pytest.approx(4 * np.sqrt((16 - 1) / 12))
    assert found["angle"] in (0, 180)
    assert found["solidity"] == 1
    assert found["at_edge"] == 0
    assert (found["mean_1"], found["std_1"]) == (pytest.approx(15.5), pytest.approx(np.sqrt(143 / 12)))
    assert (found["mean_2"], found["std_2"]) == (7, 0)


def test_a_disc_and_a_slanted_bar() -> None:
    rows, columns = np.indices((80, 80))
    disc = ((rows - 40) ** 2 + (columns - 40) ** 2 <= 30**2).astype(np.int64)
    (found,) = measured_objects(disc, disc[..., None], 0, (80, 80))
    assert found["area"] == pytest.approx(pi * 900, rel=0.01)
    assert found["perimeter"] == pytest.approx(2 * pi * 30, rel=0.05)
    rising = (np.abs(rows + columns - 80) < 4).astype(np.int64)  # from the lower left to the upper right
    (found,) = measured_objects(rising, rising[..., None], 0, (80, 80))
    assert found["angle"] == pytest.approx(45, abs=0.5)
    assert found["at_edge"] == 1


def test_a_pixel_and_a_line_are_measured() -> None:
    ids = np.zeros((9, 9), np.int64)
    ids[0, 0], ids[4, 2:7] = 1, 2
    one, line = measured_objects(ids, ids[..., None], 0, (9, 9))
    assert (one["area"], line["area"]) == (1, 5)
    assert line["angle"] in (0, 180)
    assert all(0 < each["solidity"] <= 1 for each in (one, line))


@pytest.mark.parametrize("height", [1, 5, 7, 40])
def test_strips_measure_what_the_whole_does(height: int) -> None:
    random = np.random.default_rng(1)
    prediction = np.zeros((40, 36), np.uint8)
    for top, left in random.integers(0, 30, (9, 2)):
        prediction[top : top + 8, left : left + 6] = random.integers(1, 3)
    pixels = random.integers(0, 255, (40, 36, 3), dtype=np.uint8)
    inside = np.full(prediction.shape, 255, np.uint8)

    def measured(height: int) -> tuple[Any, Any]:
        found, stream = PictureMeasurements((40, 36), 3), ObjectStream(36, BY_PROBABILITY)
        for top in range(0, 40, height):
            part = slice(top, top + height)
            found.add_rows(prediction[part], pixels[part])
            complete = stream.add(prediction[part], inside[part], last=top + height >= 40)
            found.add_objects(complete, lambda region: pixels[region])
            stream.take()
        return found.object_rows(stream.numbers), found.class_rows()

    (objects, classes), (expected, expected_classes) = measured(height), measured(40)
    assert [row[:2] for row in objects] == [row[:2] for row in expected]
    assert [row[0] for row in objects] == list(range(1, len(objects) + 1))
    for (_, class_id, row), (_, _, other) in zip(objects, expected, strict=True):
        assert row == pytest.approx(other)
        assert class_id in (1, 2)
    for row, other in zip(classes, expected_classes, strict=True):
        assert row == pytest.approx(other)
    assert sum(row["share"] for row in classes) == pytest.approx(1)
    of_class = pixels[prediction == 2].astype(float)
    assert classes[2]["mean_3"] == pytest.approx(of_class[:, 2].mean())
    assert classes[2]["std_1"] == pytest.approx(of_class[:, 0].std())


def test_deviations_of_an_object_far_from_zero_are_exact() -> None:
    pixels = (1e7 + np.random.default_rng(1).random((40, 36, 1))).astype(np.float32)
    (found,) = measured_objects(np.ones((40, 36), np.int64), pixels, 0, (40, 36))
    values = pixels.astype(np.float64)
    assert found["mean_1"] == pytest.approx(values.mean(), rel=1e-12)
    assert found["std_1"] == pytest.approx(values.std(), rel=1e-9)


def test_deviations_of_values_far_from_zero_are_exact() -> None:
    random = np.random.default_rng(1)
    pixels = (1e7 + random.random((40, 36, 2)) * (1, 4)).astype(np.float32)
    found = PictureMeasurements((40, 36), 1)
    for top in range(0, 40, 7):
        found.add_rows(np.zeros((len(pixels[top : top + 7]), 36), np.uint8), pixels[top : top + 7])
    (row,) = found.class_rows()
    values = pixels.astype(np.float64).reshape(-1, 2)
    assert [row["mean_1"], row["mean_2"]] == pytest.approx(values.mean(axis=0))
    assert [row["std_1"], row["std_2"]] == pytest.approx(values.std(axis=0), rel=1e-9)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0.65um", PixelSize(0.65, 0.65)),
        ("0.65 µm", PixelSize(0.65, 0.65)),
        ("650nm", PixelSize(0.65, 0.65)),
        ("2e-3 mm", PixelSize(2, 2)),
        ("0.5m", PixelSize(0.5, 0.5, "m")),
    ],
)
def test_a_person_gives_a_size(text: str, size: PixelSize) -> None:
    found = pixel_size_of(text)
    assert found is not None
    assert found.unit == size.unit
    assert found[:2] == pytest.approx(size[:2])


@pytest.mark.parametrize("text", ["0.65", "um", "0um", "-1um", "nan um", "1px", "1 um 2", "1e999um"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--pixel-size 0\.65um"):
        pixel_size_of(text)


def test_ome_and_imagej_state_sizes(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif", PIXELS, metadata={"axes": "YX", "PhysicalSizeX": 650, "PhysicalSizeXUnit": "nm",
                                                  "PhysicalSizeY": 0.7, "PhysicalSizeYUnit": "µm"},
    )  # fmt: skip
    found = stated(tmp_path / "a.ome.tif")
    assert found is not None
    assert found == (pytest.approx(0.7), pytest.approx(0.65), "um")
    assert not found.isotropic
    for unit, size in (("micron", 0.25), ("um", 0.25), ("\\u00B5m", 0.25), ("nm", 0.00025), ("mm", 250)):
        path = tmp_path / "b.tif"
        tifffile.imwrite(path, PIXELS, imagej=True, resolution=(4, 4), metadata={"unit": unit})
        found = stated(path)
        assert found is not None, unit
        assert found[:2] == pytest.approx((size, size), rel=1e-5)
    tifffile.imwrite(path, PIXELS, imagej=True, resolution=(4, 4), metadata={"unit": "parsec"})
    assert stated(path) is None
    assert "parsec" in reason(path)
    tifffile.imwrite(path, PIXELS, imagej=True)
    assert (stated(path), reason(path)) == (None, "")


def test_resolutions_of_screens_are_no_sizes(tmp_path: Path) -> None:
    path = tmp_path / "c.tif"
    tifffile.imwrite(path, PIXELS, resolution=(20000, 10000), resolutionunit=3)
    assert stated(path) == (1.0, 0.5, "um")
    tifffile.imwrite(path, PIXELS, resolution=(72, 72), resolutionunit=2)
    assert stated(path) is None
    assert "72 pixels an inch" in reason(path)


def png(path: Path, across: int, down: int, unit: int) -> Path:
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    body = b"pHYs" + struct.pack(">IIB", across, down, unit)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(content[:33] + chunk + content[33:])
    return path


def test_a_png_states_a_size(tmp_path: Path) -> None:
    found = stated(png(tmp_path / "d.png", 2_000_000, 2_000_000, 1))
    assert found is not None
    assert found[:2] == pytest.approx((0.5, 0.5))
    assert stated(png(tmp_path / "e.png", 3780, 3780, 1)) is None
    assert "96" in reason(tmp_path / "e.png")
    assert stated(png(tmp_path / "f.png", 2_000_000, 2_000_000, 0)) is None
    Image.fromarray(PIXELS).save(tmp_path / "g.png")
    assert (stated(tmp_path / "g.png"), reason(tmp_path / "g.png")) == (None, "")


def geotiff(path: Path, model: int, unit: int | None, system: int = 25832) -> Path:
    keys = [(1024, 0, 1, model), (3072, 0, 1, system), *([(3076, 0, 1, unit)] if unit else [])]
    directory = [1, 1, 0, len(keys), *(number for key in keys for number in key)]
    tags = [
        (33550, 12, 3, (0.2, 0.3, 0.0), True),
        (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True),
        (34735, 3, len(directory), tuple(directory), True),
    ]
    tifffile.imwrite(path, PIXELS, extratags=tags)
    return path


def test_a_geotiff_states_metres(tmp_path: Path) -> None:
    assert stated(geotiff(tmp_path / "a.tif", 1, 9001)) == (0.3, 0.2, "m")
    for name, given, words in (
        ("b.tif", (2, None), "degrees"),
        ("f.tif", (0, None), "does not name the system"),
        ("c.tif", (1, 9003), "metre"),
        ("d.tif", (1, None), "metre"),
        ("e.tif", (1, 9001, 3857), "Mercator"),
    ):
        path = geotiff(tmp_path / name, *given)  # type: ignore[arg-type]
        assert stated(path) is None
        assert words in reason(path)


def part(path: Path, picture: str, size: PixelSize | None, *areas: float, channels: int = 1) -> Path:
    row = {"perimeter": 10.0, "centroid_row": 2.0, "centroid_column": 4.0, "major_axis": 6.0, "minor_axis": None}
    means = {f"mean_{k + 1}": 0.5 for k in range(channels)}
    lines: list[dict[str, Any]] = [
        {
            "picture": picture,
            "pixel_size": size._asdict() if size else None,
            "channels": channels,
            "classes": [{"class": "=cell", "area": sum(areas), "share": 0.25, "objects": len(areas), **means}],
        }
    ]
    lines += [{"object": k + 1, "class": "=cell", "area": area, **row, **means} for k, area in enumerate(areas)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_tables_name_their_units(tmp_path: Path) -> None:
    files = [
        part(tmp_path / "a.jsonl", "a", PixelSize(0.5, 0.5), 10, 20),
        part(tmp_path / "b.jsonl", "sub/b", PixelSize(0.5, 2.0), 30, channels=3),
        part(tmp_path / "c.jsonl", "c", None),
        part(tmp_path / "d.jsonl", "d", PixelSize(0.1, 0.1, "m"), 7),
    ]
    objects, classes = write_tables(tmp_path, files)
    rows = rows_of(objects)
    assert [(row["picture"], row["object"], row["area_px"]) for row in rows] == [
        ("a", "1", "10"), ("a", "2", "20"), ("sub/b", "1", "30"), ("d", "1", "7"),
    ]  # fmt: skip
    first, _, flat, metres = rows
    assert (first["area_um2"], first["perimeter_um"], first["centroid_row_um"], first["area_m2"]) == (
        "2.5",
        "5",
        "1",
        "",
    )
    assert (flat["area_um2"], flat["perimeter_um"], flat["centroid_row_um"], flat["centroid_column_um"]) == (
        "30", "", "1", "8",
    )  # fmt: skip
    assert (metres["area_um2"], metres["area_m2"]) == ("", "0.07")
    assert (first["mean_1"], first["mean_3"], first["minor_axis_px"], flat["mean_3"]) == ("0.5", "", "", "0.5")
    assert first["class"] == "'=cell"
    rows = rows_of(classes)
    assert [(row["picture"], row["objects"], row["share"]) for row in rows] == [
        ("a", "2", "0.25"), ("sub/b", "1", "0.25"), ("c", "0", "0.25"), ("d", "1", "0.25"),
    ]  # fmt: skip


@pytest.mark.parametrize("content", ["", "{}\n", "no json\n", '{"classes": [], "channels": 1}\n'])
def test_damaged_measurements_are_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(DataError, match=r"a\.jsonl"):
        write_tables(tmp_path, [tmp_path / "a.jsonl"])
