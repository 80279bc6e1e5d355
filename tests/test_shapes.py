"""Masks as shapes of other formats, and back: equal pixel for pixel where the format can hold them."""

from __future__ import annotations

import io
import json
import re
import shlex
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import tiny
from conftest import Program
from unpool.checkpoint.models import save_model
from unpool.class_table import ClassTable, distinct_colours
from unpool.cli.main import load_commands
from unpool.dataset.outlines.filling import fill_centres, fill_opencv
from unpool.dataset.pairing.layouts import find_pairs
from unpool.export.shapes.imagej import roi_bytes, roi_zip
from unpool.export.shapes.map_place import map_place
from unpool.export.shapes.regions import class_regions, object_regions, shape_classes
from unpool.export.shapes.rings import ConnectedPart, border_pixels, region_parts
from unpool.io.placement import Placement
from unpool.io.read.masks import read_mask
from unpool.io.write.masks import write_mask, written_as

REAL = Path(__file__).parents[2] / "shared" / "data"
DOCS = Path(__file__).parents[1] / "docs"

TABLE = ClassTable("values", ("background", "cell", "dust"), ((0,), (1,), (2,)), (255,), distinct_colours(3))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def numbers_of(*rows: str) -> NDArray[np.int32]:
    return np.array([[0 if each == "." else int(each) for each in row] for row in rows], np.int32)


def random_numbers(count: int) -> list[NDArray[np.int32]]:
    """Small pictures of noise: every way in which pixels, corners and edges can touch."""
    rng = np.random.default_rng(5)
    found = []
    for k in range(count):
        size = rng.integers(1, 11, 2)
        most = 2 if k % 2 else 4
        found.append(rng.integers(0, most, size).astype(np.int32))
    return found


def drawn(parts: dict[int, list[ConnectedPart]], size: Sequence[int]) -> NDArray[np.int32]:
    """The picture that rings surround, each pixel by one part only."""
    numbers = np.zeros(size, np.int32)
    for number, each in parts.items():
        for part in each:
            patch = fill_centres([ring.astype(float) for ring in (part.border, *part.holes)], (size[0], size[1]))
            rows, columns = patch.inside.shape
            region = numbers[patch.top : patch.top + rows, patch.left : patch.left + columns]
            assert not region[patch.inside].any()
            region[patch.inside] = number
    return numbers


# Rings


def test_a_region_with_a_hole() -> None:
    (part,) = region_parts(numbers_of("111.", "1.1.", "111."))[1]
    assert part.border.tolist() == [[0, 0], [3, 0], [3, 3], [0, 3]]
    (hole,) = part.holes
    assert hole.tolist() == [[1, 2], [2, 2], [2, 1], [1, 1]]


def test_corners_that_touch_part_a_region_or_do_not() -> None:
    numbers = numbers_of("1.", ".1")
    assert [len(part.border) for part in region_parts(numbers)[1]] == [4, 4]
    (part,) = region_parts(numbers, corners=True)[1]
    assert len(part.border) == 8


def test_rings_surround_every_picture_exactly() -> None:
    for numbers in random_numbers(150):
        for corners in (False, True):
            parts = region_parts(numbers, corners=corners)
            structure = np.ones((3, 3)) if corners else None
            for number, each in parts.items():
                assert ndimage.label(numbers == number, structure)[1] == len(each)
            if not corners:
                assert np.array_equal(drawn(parts, numbers.shape), numbers)


def test_rings_are_valid_polygons() -> None:
    geometry = pytest.importorskip("shapely.geometry")
    for numbers in random_numbers(100):
        for number, parts in region_parts(numbers).items():
            polygons = geometry.MultiPolygon([(part.border, part.holes) for part in parts])
            assert polygons.is_valid, numbers
            assert polygons.area == np.count_nonzero(numbers == number)


def test_border_pixels_fill_each_connected_part() -> None:
    for numbers in random_numbers(150):
        for number, parts in region_parts(numbers, corners=True).items():
            found = ndimage.label(numbers == number, np.ones((3, 3)))[0]
            for part in parts:
                pixels = border_pixels(part.border)
                x, y = pixels[0]
                patch = fill_opencv([pixels], (numbers.shape[0], numbers.shape[1]))
                own = ndimage.binary_fill_holes(found == found[y, x])
                assert np.array_equal(patch.inside, own[ndimage.find_objects(own.astype(int))[0]]), numbers


# Round trips


def blobs(seed: int, size: tuple[int, int] = (60, 80), most: int = 2) -> NDArray[np.uint8]:
    """A mask of smooth regions with holes, of several classes."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal(size), 2.5) for _ in range(most)]
    mask = np.zeros(size, np.uint8)
    for value, each in enumerate(fields, 1):
        mask[np.abs(each) > 0.08] = value
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two masks of three classes, one in a sub-folder, with a class file; pictures are in ``pictures``."""
    for k, name in enumerate(("a", "sub/b")):
        for place in ("masks", "pictures"):
            (tmp_path / place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blobs(k)).save(tmp_path / "masks" / f"{name}.png")
        noise = np.random.default_rng(k).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "pictures" / f"{name}.jpg")
    (tmp_path / "masks" / "classes.txt").write_text("0: background\n1: cell\n2: dust\n")
    return tmp_path


def masks_again(root: Path, *, objects: bool = False) -> dict[str, NDArray[Any]]:
    return {pair.name: read_mask(pair.mask) for pair in find_pairs(root, objects).pairs}


def move_into(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)


@pytest.mark.parametrize("objects", [True, False])
@pytest.mark.parametrize("to", ["geojson", "coco"])
def test_geojson_and_coco_come_back_exactly(to: str, objects: bool, folder: Path, program: Program) -> None:
    options = ["--objects"] if objects else []
    names = ["--pictures", folder / "pictures"] if to == "coco" else []
    said = program("shapes", folder / "masks", "--to", to, "--out", folder / "out", *options, *names)
    assert said.code == 0, said.err
    move_into(folder / "out", folder / "pictures")
    found = masks_again(folder / "pictures")
    assert np.array_equal(found["a"], blobs(0))
    assert np.array_equal(found["sub/b"], blobs(1))
    if objects:
        count = sum(ndimage.label(blobs(0) == value, np.ones((3, 3)))[1] for value in (1, 2))
        again = masks_again(folder / "pictures", objects=True)["a"]
        assert len(np.unique(again[again > 0])) == count


def test_yolo_comes_back_with_holes_filled(folder: Path, program: Program) -> None:
    said = program("shapes", folder / "masks", "--to", "yolo", "--out", folder / "labelled")
    assert said.code == 0, said.err
    assert "are filled" in said.out
    move_into(folder / "pictures", folder / "labelled" / "images")
    found = masks_again(folder / "labelled")
    for k, name in enumerate(("a", "sub/b")):
        own, other = blobs(k), found[name]
        assert np.array_equal(other[own > 0] > 0, own[own > 0] > 0)  # nothing is lost
        filled = ndimage.binary_fill_holes(own > 0)
        assert not other[~filled].any()


def test_yolo_without_holes_comes_back_exactly(tmp_path: Path, program: Program) -> None:
    mask = np.zeros((50, 70), np.uint8)
    mask[3:9, 4:20], mask[9:20, 10], mask[30, 30], mask[31, 31:33], mask[0:2, 60:70] = 1, 1, 2, 2, 1
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    assert program("shapes", tmp_path / "masks", "--to", "yolo", "--objects", "--out", tmp_path / "set").code == 0
    (tmp_path / "set" / "images").mkdir()
    Image.fromarray(np.dstack([mask * 40] * 3)).save(tmp_path / "set" / "images" / "a.png")
    assert np.array_equal(masks_again(tmp_path / "set")["a"], mask)


def test_imagej_rois_come_back_exactly() -> None:
    roifile = pytest.importorskip("roifile")
    regions = class_regions(blobs(3), shape_classes(TABLE), objects=True)
    found = np.zeros(regions.numbers.shape, np.int32)
    with zipfile.ZipFile(io.BytesIO(roi_zip(regions))) as archive:
        names = archive.namelist()
        for number, name in enumerate(names, 1):
            roi = roifile.ImagejRoi.frombytes(archive.read(name))
            assert roi.name == name.removesuffix(".roi")
            rings = roi.coordinates(multi=True)
            rings = [np.asarray(ring, float) for ring in (rings if isinstance(rings, list) else [rings])]
            patch = fill_centres(rings, (60, 80))
            rows, columns = patch.inside.shape
            found[patch.top : patch.top + rows, patch.left : patch.left + columns][patch.inside] = number
    assert len(names) == len(set(names)) == len(regions.regions)
    assert np.array_equal(found, regions.numbers)


def test_classes_whose_names_differ_by_one_sign_have_rois_of_their_own() -> None:
    table = ClassTable("values", ("ground", "a/b", "a:b"), ((0,), (1,), (2,)), (), distinct_colours(3))
    labels = np.array([[0, 1, 1, 2]], np.uint8)
    regions = class_regions(labels, shape_classes(table), objects=False)
    with zipfile.ZipFile(io.BytesIO(roi_zip(regions))) as archive:
        assert archive.namelist() == ["a_b.roi", "a_b-2.roi"]


def test_a_roi_far_out_in_a_large_picture_is_exact() -> None:
    roifile = pytest.importorskip("roifile")
    square = np.array([[70000, 40000], [70003, 40000], [70003, 40002], [70000, 40002]])
    roi = roifile.ImagejRoi.frombytes(roi_bytes([ConnectedPart(square, ())], "käse", (1, 2, 3)))
    assert (roi.name, roi.stroke_color) == ("käse", b"\xff\x01\x02\x03")
    (ring,) = roi.coordinates(multi=True)
    assert np.array_equal(np.unique(ring, axis=0), np.unique(square, axis=0))


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_pycocotools_reads_the_same(folder: Path, program: Program) -> None:
    masks = pytest.importorskip("pycocotools.mask")
    assert program("shapes", folder / "masks", "--to", "coco", "--objects").code == 0
    data = json.loads((folder / "masks-coco.json").read_text())
    assert [image["file_name"] for image in data["images"]] == ["a.png", "sub/b.png"]
    assert [(each["id"], each["name"]) for each in data["categories"]] == [(1, "cell"), (2, "dust")]
    found = np.zeros((2, 60, 80), np.uint8)
    for each in data["annotations"]:
        inside = masks.decode(each["segmentation"]) > 0
        assert each["area"] == inside.sum() == masks.area(each["segmentation"])
        assert each["bbox"] == masks.toBbox(each["segmentation"]).tolist()
        found[each["image_id"] - 1][inside] = each["category_id"]
    assert np.array_equal(found, np.stack([blobs(0), blobs(1)]))


def test_rasterio_draws_the_same(folder: Path, program: Program) -> None:
    features = pytest.importorskip("rasterio.features")
    assert program("shapes", folder / "masks" / "a.png", "--to", "geojson").code == 0
    data = json.loads((folder / "masks" / "a.geojson").read_text())
    drawn_ = features.rasterize(
        [(each["geometry"], each["properties"]["value"]) for each in data["features"]], (60, 80)
    )
    assert np.array_equal(drawn_, blobs(0))


GEO_KEYS = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632)


def geotiff(path: Path, mask: NDArray[Any], keys: tuple[int, ...] = GEO_KEYS) -> Path:
    tags = [(33550, 12, 3, (0.5, 0.25, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 500000.0, 5200000.0, 0.0), True),
            (34735, 3, len(keys), keys, True)]  # fmt: skip
    tifffile.imwrite(path, mask, photometric="minisblack", extratags=tags)
    return path


@pytest.mark.filterwarnings("ignore:Use `@` matmul")
def test_a_geotiff_keeps_its_place_on_the_earth(tmp_path: Path, program: Program) -> None:
    mask = blobs(1)
    said = program("shapes", geotiff(tmp_path / "a.tif", mask), "--to", "geojson")
    assert said.code == 0, said.err
    assert "place on the earth" in said.out
    data = json.loads((tmp_path / "a.geojson").read_text())
    assert data["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32632"
    points = np.array([p for f in data["features"] for polygon in
                       ([f["geometry"]["coordinates"]] if f["geometry"]["type"] == "Polygon"
                        else f["geometry"]["coordinates"]) for ring in polygon for p in ring])  # fmt: skip
    assert (points.min(axis=0) >= [500000.0, 5200000.0 - 60 * 0.25]).all()
    assert (points.max(axis=0) <= [500000.0 + 80 * 0.5, 5200000.0]).all()
    features = pytest.importorskip("rasterio.features")
    from rasterio.transform import from_origin

    shapes = [(each["geometry"], each["properties"]["value"]) for each in data["features"]]
    found = features.rasterize(shapes, mask.shape, transform=from_origin(500000.0, 5200000.0, 0.5, 0.25))
    assert np.array_equal(found, mask)


def test_places_by_centres_and_by_a_matrix_and_of_no_known_system() -> None:
    tags = ((33550, 12, 3, (2.0, 2.0, 0.0)), (33922, 12, 6, (0.0, 0.0, 0.0, 10.0, 20.0, 0.0)))
    point = (34735, 3, 8, (1, 1, 0, 1, 1025, 0, 1, 2))
    place = map_place(Placement(geography=(*tags, point)))
    assert place is not None
    assert place.of(np.array([[0, 0], [1, 1]])).tolist() == [[9.0, 21.0], [11.0, 19.0]]
    assert place.epsg is None
    matrix = (34264, 12, 16, (1.0, 0.5, 0.0, 7.0, 0.0, -1.0, 0.0, 8.0, *[0.0] * 8))
    area = (34735, 3, 8, (1, 1, 0, 1, 2048, 0, 1, 4326))
    place = map_place(Placement(geography=(matrix, area)))
    assert place is not None
    assert (place.epsg, place.of(np.array([[2, 2]])).tolist()) == (4326, [[10.0, 6.0]])
    assert map_place(Placement()) is None


def test_a_system_without_a_number_is_refused_with_a_way_on(tmp_path: Path, program: Program) -> None:
    path = geotiff(tmp_path / "a.tif", blobs(1), (1, 1, 0, 1, 3072, 0, 1, 32767))
    said = program("shapes", path, "--to", "geojson")
    assert said.code == 3
    assert "--coordinates pixels" in said.err
    assert program("shapes", path, "--to", "geojson", "--coordinates", "pixels").code == 0
    Image.fromarray(blobs(1)).save(tmp_path / "b.png")
    assert program("shapes", tmp_path / "b.png", "--to", "geojson", "--coordinates", "map").code == 3


# Objects, classes and names


def test_object_numbers_are_shapes_each(tmp_path: Path, program: Program) -> None:
    mask = np.zeros((30, 40), np.int32)
    mask[2:8, 2:9], mask[2:8, 9:14], mask[20, 20], mask[22, 22] = 7, 70000, 9, 9
    tifffile.imwrite(tmp_path / "a.tif", mask, photometric="minisblack")
    said = program("shapes", tmp_path / "a.tif", "--to", "geojson")
    assert said.code == 0, said.err
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [each["properties"]["object"] for each in features] == [7, 9, 70000]
    assert [each["geometry"]["type"] for each in features] == ["Polygon", "MultiPolygon", "Polygon"]
    assert {each["properties"]["objectType"] for each in features} == {"detection"}
    small = Image.fromarray(np.minimum(mask, 3).astype(np.uint8))
    small.save(tmp_path / "b.png")
    said = program(
        "shapes", tmp_path / "b.png", "--to", "geojson", "--masks", "instances", "--classes", "ground", "cell"
    )
    assert said.code == 0, said.err
    assert "1 of cell" in said.out


def test_the_classes_are_those_of_the_model(tmp_path: Path, program: Program) -> None:
    segmenter = tiny.segmenter()
    save_model(tmp_path / "model.safetensors", segmenter, {})
    values = [first[0] for first in segmenter.classes.values]
    mask = np.full((20, 20), values[0], np.uint8)
    mask[4:9, 4:9] = values[1]
    Image.fromarray(mask).save(tmp_path / "a.png")
    said = program("shapes", tmp_path / "a.png", "--to", "geojson", "--model", tmp_path, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["shapes"] == {segmenter.classes.names[1]: 1}
    tifffile.imwrite(tmp_path / "c.tif", np.arange(9, dtype=np.int32).reshape(3, 3), photometric="minisblack")
    said = program("shapes", tmp_path / "c.tif", "--to", "geojson", "--model", tmp_path, "--json")
    assert sum(json.loads(said.out)["shapes"].values()) == 8
    said = program("shapes", tmp_path / "a.png", "--to", "coco", "--model", tmp_path, "--classes", "a", "b")
    assert (said.code, "leave one of them out" in said.err) == (2, True)
    mask[0, 0] = 99
    Image.fromarray(mask).save(tmp_path / "b.png")
    said = program("shapes", tmp_path / "b.png", "--to", "geojson", "--model", tmp_path)
    assert said.code == 3
    assert "mask value 99 is in no class" in said.err
    assert not (tmp_path / "b.geojson").exists()


@pytest.mark.parametrize("form", ["rgb", "grey", "palette"])
def test_masks_of_a_model_with_colours_are_read_in_every_form(form: str, tmp_path: Path, program: Program) -> None:
    colours = ((9, 9, 9), (250, 10, 10), (0, 0, 0))
    table = ClassTable("colours", ("a", "b", "c"), tuple((colour,) for colour in colours), (), colours)
    save_model(tmp_path / "model.safetensors", tiny.segmenter(classes=table), {})
    labels = np.zeros((20, 30), np.uint8)
    labels[4:9, 4:9], labels[12:18, 10:20] = 1, 2
    written = table if form == "rgb" else written_as(table, form)  # type: ignore[arg-type]
    write_mask(tmp_path / "a.tif", labels, written, Placement(missing=7.0))
    said = program("shapes", tmp_path / "a.tif", "--to", "coco", "--model", tmp_path)
    assert said.code == 0, said.err
    found = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert [(each["category_id"], each["area"]) for each in found] == [(1, 25), (2, 60)]


@pytest.mark.parametrize("to", ["geojson", "yolo", "imagej", "coco"])
def test_nothing_is_left_where_one_mask_is_refused(to: str, tmp_path: Path, program: Program) -> None:
    save_model(tmp_path / "model.safetensors", tiny.segmenter(), {})
    (tmp_path / "masks" / "below").mkdir(parents=True)
    for name, value in (("below/a.png", 255), ("below/b.png", 255), ("c.png", 255), ("below/d.png", 77)):
        Image.fromarray(np.eye(9, dtype=np.uint8) * value).save(tmp_path / "masks" / name)
    words = ["shapes", tmp_path / "masks", "--to", to, "--model", tmp_path]
    said = program(*words)
    assert (said.code, "mask value 77" in said.err) == (3, True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".png", ".safetensors")]
    Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(tmp_path / "masks" / "below" / "d.png")
    said = program(*words)
    assert said.code == 0, said.err


def test_values_to_ignore_are_not_dropped_beside_a_model(tmp_path: Path, program: Program) -> None:
    save_model(tmp_path / "model.safetensors", tiny.segmenter(), {})
    Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(tmp_path / "a.png")
    said = program("shapes", tmp_path / "a.png", "--to", "coco", "--model", tmp_path, "--ignore", "255")
    assert (said.code, "--ignore 255" in said.err, "leave one of them out" in said.err) == (2, True, True)


@pytest.mark.parametrize("by_model", [True, False])
def test_pixels_without_data_are_in_no_shape(by_model: bool, tmp_path: Path, program: Program) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[4:9, 4:9], mask[12:18, 10:20] = 255, 254
    save_model(tmp_path / "model.safetensors", tiny.segmenter(), {})
    (tmp_path / "masks").mkdir()
    for name, pixels in (("a.tif", mask), ("b.tif", np.full_like(mask, 254))):
        tifffile.imwrite(tmp_path / "masks" / name, pixels, extratags=[(42113, 2, 0, "254", True)], metadata=None)
    model = ["--model", tmp_path] if by_model else []
    said = program("shapes", tmp_path / "masks", "--to", "coco", "--json", *model)
    assert said.code == 0, said.err
    assert list(json.loads(said.out)["shapes"].values()) == [1]
    (found,) = json.loads((tmp_path / "masks-coco.json").read_text())["annotations"]
    assert (found["area"], found["bbox"]) == (25, [4, 4, 5, 5])
    said = program("shapes", tmp_path / "masks" / "b.tif", "--to", "coco", "--out", tmp_path / "b.json")
    assert (said.code, "no pixel with data" in said.err) == (3, True)


def test_object_numbers_without_data_are_no_object(tmp_path: Path, program: Program) -> None:
    mask = np.zeros((20, 30), np.int32)
    mask[4:9, 4:9], mask[12:14], mask[15:18, 10:20] = 1, 7, 65535
    tifffile.imwrite(tmp_path / "a.tif", mask, extratags=[(42113, 2, 0, "65535", True)], metadata=None)
    said = program("shapes", tmp_path / "a.tif", "--to", "coco", "--json")
    assert sum(json.loads(said.out)["shapes"].values()) == 2


def test_a_background_without_data_is_the_background(tmp_path: Path, program: Program) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[4:9, 4:9], mask[12:18, 10:20] = 1, 2
    tifffile.imwrite(tmp_path / "a.tif", mask, extratags=[(42113, 2, 0, "0", True)], metadata=None)
    said = program("shapes", tmp_path / "a.tif", "--to", "coco", "--json")
    assert list(json.loads(said.out)["shapes"].values()) == [1, 1]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_place_without_a_system_gives_pixels_and_a_note(name: str, tmp_path: Path, program: Program) -> None:
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("0.5\n0\n0\n-0.5\n1000\n2000\n")
    place = [(33550, "d", 3, (2.0, 2.0, 0.0), True), (33922, "d", 6, (0, 0, 0, 1000.0, 2000.0, 0), True)]
    tifffile.imwrite(tmp_path / "a.tif", np.eye(9, dtype=np.uint8), extratags=place, metadata=None)
    said = program("shapes", tmp_path / name, "--to", "geojson", "--json")
    assert said.code == 0, said.err
    (note,) = json.loads(said.out)["notes"]
    assert "1 mask with a place that names no system of a map, as a world file does not" in note
    again = ["--to", "geojson", "--out", tmp_path / "b.geojson", "--coordinates"]
    said = program("shapes", tmp_path / name, *again, "map")
    assert (said.code, "in a system of a map that is named" in said.err) == (3, True)
    said = program("shapes", tmp_path / name, *again, "pixels", "--json")
    assert json.loads(said.out)["notes"] == []


def test_extra_folders_of_predict_hold_no_masks(folder: Path, program: Program) -> None:
    (folder / "masks" / "overlays").mkdir()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "masks" / "overlays" / "a.png")
    said = program("shapes", folder / "masks", "--to", "imagej", "--json")
    assert json.loads(said.out)["masks"] == 2
    assert sorted(path.name for path in (folder / "masks-imagej").rglob("*.zip")) == ["a.zip", "b.zip"]


def test_nothing_is_replaced(folder: Path, program: Program) -> None:
    for to, place in (("geojson", "out"), ("coco", "out.json"), ("yolo", "set")):
        assert program("shapes", folder / "masks", "--to", to, "--out", folder / place).code == 0
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        said = program("shapes", folder / "masks", "--to", to, "--out", folder / place)
        assert (said.code, "exists" in said.err) == (2, True)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_masks_that_differ_by_their_suffix_have_files_of_their_own(tmp_path: Path, program: Program) -> None:
    for name in ("a.png", "a.bmp"):
        Image.fromarray(blobs(2)).save(tmp_path / name)
    assert program("shapes", tmp_path, "--to", "geojson", "--out", tmp_path / "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.geojson", "a.png.geojson"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere", "--to", "coco"], 3, "no such file"),
        (["empty", "--to", "coco"], 3, "no mask in it"),
        (["masks", "--to", "geojson", "--out", "x.geojson"], 2, "a folder of masks"),
        (["masks", "--to", "coco", "--pictures", "empty"], 3, "no picture with its name"),
        (["masks", "--to", "svg"], 2, "svg"),
    ],
)
def test_what_is_refused(words: list[str], code: int, said: str, folder: Path, program: Program,
                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    answer = program("shapes", *words)
    assert answer.code == code
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_regions_of_ignored_pixels_have_no_shape() -> None:
    labels = np.array([[0, 1, 255], [2, 2, 255]], np.uint8)
    regions = class_regions(labels, shape_classes(TABLE), objects=False)
    assert regions.numbers.tolist() == [[0, 1, 0], [2, 2, 0]]
    assert [region.of_class.name for region in regions.regions] == ["cell", "dust"]
    empty = object_regions(np.zeros((3, 4), np.int32), shape_classes(TABLE)[0])
    assert (empty.regions, region_parts(empty.numbers)) == ((), {})


def test_the_commands_of_the_page_can_be_typed() -> None:
    blocks = re.findall(r"```[a-z]*\n(.*?)```", (DOCS / "shapes.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split("  #")[0] for block in blocks for line in block.splitlines() if line.startswith("unpool ")]
    assert len(lines) > 3
    for line in lines:
        load_commands().parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data sets are not here")
def test_real_objects_come_back_exactly() -> None:
    for path in sorted((REAL / "nuclei" / "instances").iterdir())[:4]:
        mask = read_mask(path).astype(np.int32)
        regions = object_regions(mask, shape_classes(TABLE)[0])
        found = drawn(region_parts(regions.numbers), mask.shape)
        originals = np.array([0, *(region.object_number for region in regions.regions)])
        assert np.array_equal(originals[found], mask)
