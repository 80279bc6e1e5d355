"""A picture written by bands is the one written at once, also after a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unpool.class_table import ClassTable
from unpool.errors import DataError, RunError, UsageError
from unpool.io.placement import Axis, Placement
from unpool.io.read.images import read_image
from unpool.io.read.masks import mask_palette, read_mask
from unpool.io.read.windows import open_picture
from unpool.io.write import tiff as tiff_writing
from unpool.io.write.band_form import BandForm
from unpool.io.write.bands import open_band_writer, open_mask_writer
from unpool.io.write.masks import write_mask
from unpool.io.write.unfinished import RECORD, UnfinishedBands

COLOURS = ((200, 0, 0), (0, 200, 0), (0, 0, 200))
NAMES = ("a", "b", "c")
TABLES = (
    ClassTable("values", NAMES, ((0,), (7,), (200,)), (), COLOURS),
    ClassTable("values", NAMES, ((0,), (7,), (2000,)), (), COLOURS),
    ClassTable("colours", NAMES, (((9, 9, 9),), ((10, 10, 10),), ((30, 3, 3),)), (), COLOURS),
    ClassTable("instances", ("a", "b"), ((0,), (1,)), (), COLOURS[:2]),
)
IDS = np.random.default_rng(0).integers(0, 2, (90, 70), dtype=np.uint8)


def write(path: Path, pixels: np.ndarray, height: int = 40, **facts: object) -> None:
    """Write pixels (rows, columns, channels) by bands."""
    form = BandForm(*pixels.shape, dtype=pixels.dtype.name, **facts)
    with open_band_writer(path, form) as writer:
        for top in range(0, len(pixels), height):
            writer.write(pixels[top : top + height])
        writer.finish()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("table", TABLES, ids=["values", "deep", "colours", "instances"])
def test_a_mask_by_bands_is_the_mask(tmp_path: Path, table: ClassTable, suffix: str) -> None:
    path, whole = tmp_path / f"m{suffix}", tmp_path / "whole.png"
    write_mask(whole, IDS, table)
    with open_mask_writer(path, IDS.shape, table) as writer:
        for top in range(0, 90, 25):
            assert writer.done == top
            writer.write(IDS[top : top + 25])
        writer.finish()
    assert (read_mask(path) == read_mask(whole)).all()
    assert (read_image(path) == read_image(whole)).all()
    assert read_mask(path).dtype == read_mask(whole).dtype
    assert (mask_palette(path) or ())[: len(mask_palette(whole) or ())] == (mask_palette(whole) or ())
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([path.name, "whole.png"])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_form_reads_back(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    channels, dtype = data.draw(st.integers(1, 5)), data.draw(st.sampled_from(["uint8", "uint16", "float32"]))
    png = (dtype == "uint8" and channels in (1, 3)) or (dtype == "uint16" and channels == 1)
    suffix = data.draw(st.sampled_from([".png", ".tif"] if png else [".tif"]))
    pixels = (np.random.default_rng(0).random((rows, columns, channels)) * 250).astype(dtype)
    path = tmp_path_factory.mktemp("forms") / f"p{suffix}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiff_writing, "TILE_SIDE", 32)
        placement = Placement(
            levels=data.draw(st.integers(0, 1)),
            space=data.draw(st.sampled_from([None, (Axis("mm", 3), Axis("mm", 2))])),
        )
        write(path, pixels, data.draw(st.integers(1, 80)), placement=placement)
    assert (read_image(path) == pixels).all()
    assert read_image(path).dtype == dtype


def test_a_tiff_keeps_where_the_picture_lies(tmp_path: Path) -> None:
    placement = Placement(
        resolution=(300.0, 150.0),
        unit=2,
        geography=(
            (33550, 12, 3, (0.5, 0.5, 0.0)),
            (33922, 12, 6, (0.0, 0.0, 0.0, 100.0, 200.0, 0.0)),
            (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 2)),
            (34737, 2, 8, "WGS 84|"),
        ),
        tiled=True,
        levels=2,
    )
    pixels = np.random.default_rng(0).integers(0, 3, (1500, 1100, 1), dtype=np.uint8)
    write(tmp_path / "m.tif", pixels, placement=placement, palette=COLOURS)
    with open_picture(tmp_path / "m.tif") as picture:
        assert picture.placement == placement
        assert picture.block == (512, 512)
    with tifffile.TiffFile(tmp_path / "m.tif") as file:
        levels = [level.asarray() for level in file.series[0].levels]
        assert not file.is_bigtiff
    assert [level.shape for level in levels] == [(1500, 1100), (750, 550), (375, 275)]
    assert all((level == pixels[:: 2**k, :: 2**k, 0]).all() for k, level in enumerate(levels))


def test_odd_tags_of_a_picture_do_no_harm(tmp_path: Path) -> None:
    tags = [
        (33550, "H", 3, (1, 2, 3), True),
        (34736, "d", 1, 2.5, True),
        (34737, "s", 0, "Zürich|".encode("cp1252"), True),
        (42113, "s", 0, "0", True),
    ]
    tifffile.imwrite(tmp_path / "p.tif", IDS, extratags=tags, metadata=None, resolution=(3, 4), resolutionunit=3)
    with open_picture(tmp_path / "p.tif") as picture:
        placement = picture.placement
    assert placement.geography == ((34736, 12, 1, (2.5,)), (34737, 2, 8, "Z?rich|"))
    write(tmp_path / "m.tif", IDS[..., None], placement=placement)
    with open_picture(tmp_path / "m.tif") as picture:
        assert picture.placement.geography == placement.geography
        assert (picture.placement.resolution, picture.placement.unit) == ((3.0, 4.0), 3)


def test_a_rotated_picture_keeps_no_place(tmp_path: Path) -> None:
    tags = [(33550, "d", 3, (0.5, 0.5, 0.0), True), (274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "p.tif", IDS, extratags=tags, metadata=None, resolution=(3, 4))
    with open_picture(tmp_path / "p.tif") as picture:
        assert picture.placement == Placement()


def test_a_png_keeps_its_resolution(tmp_path: Path) -> None:
    write(tmp_path / "m.png", IDS[..., None], placement=Placement(resolution=(300.0, 300.0), unit=2))
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_a_large_tiff_is_a_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_writing, "BIG", IDS.size)
    write(tmp_path / "m.tif", IDS[..., None])
    with tifffile.TiffFile(tmp_path / "m.tif") as file:
        assert file.is_bigtiff
    assert (read_image(tmp_path / "m.tif") == IDS[..., None]).all()


def test_wide_pictures_have_low_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_writing, "ROW_OF_TILES", 70 * 100)
    write(tmp_path / "m.tif", IDS[..., None])
    with open_picture(tmp_path / "m.tif") as picture:
        assert picture.block == (64, 512)


def test_unfinished_work_leaves_its_bands_and_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(b"old")
    with open_mask_writer(path, IDS.shape, TABLES[0], key="k") as writer:
        writer.write(IDS[:30])
        with pytest.raises(UsageError, match="30 rows"):
            writer.finish()
        assert writer.unfinished_folder == tmp_path / "m.png.part"
    assert path.read_bytes() == b"old"
    with open_mask_writer(path, IDS.shape, TABLES[0], key="k") as writer:
        assert writer.done == 30
        writer.write(IDS[30:])
    with open_mask_writer(path, IDS.shape, TABLES[0], key="k") as writer:
        assert writer.done == 90
        writer.finish()
        assert writer.unfinished_folder is None
    assert (read_image(path) == read_image_of(tmp_path)).all()


def read_image_of(folder: Path) -> np.ndarray:
    write_mask(folder / "whole.png", IDS, TABLES[0])
    return read_image(folder / "whole.png")


@pytest.mark.parametrize("change", ["key", "size", "type"])
def test_bands_of_another_picture_are_deleted(tmp_path: Path, change: str) -> None:
    with open_mask_writer(tmp_path / "m.tif", IDS.shape, TABLES[0], key="a") as writer:
        writer.write(IDS[:30])
    table, size = TABLES[1 if change == "type" else 0], (91, 70) if change == "size" else IDS.shape
    with open_mask_writer(tmp_path / "m.tif", size, table, key="b" if change == "key" else "a") as writer:
        assert writer.done == 0
        assert writer.started_over


@pytest.mark.parametrize("damage", ["cut", "flip", "head", "junk"])
def test_a_torn_band_is_written_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.tif"
    with open_mask_writer(path, IDS.shape, TABLES[0]) as writer:
        writer.write(IDS[:30])
        first = (tmp_path / "m.tif.part" / "bands").stat().st_size
        writer.write(IDS[30:50])
    bands = tmp_path / "m.tif.part" / "bands"
    content = bytearray(bands.read_bytes())
    if damage == "flip":
        content[first + RECORD.size + 9] ^= 1
    if damage == "head":
        content[first + 3] ^= 1
    content = {"cut": content[:-5], "junk": content + bytes(100)}.get(damage, content)
    bands.write_bytes(content)
    with open_mask_writer(path, IDS.shape, TABLES[0]) as writer:
        done = writer.done
        assert done == (50 if damage == "junk" else 30)
        writer.write(IDS[done:])
        writer.finish()
    assert (read_image(path) == read_image_of(tmp_path)).all()


def test_writing_continues_after_any_cut_of_the_bands(tmp_path: Path) -> None:
    shape, dtype = (90, 70, 1), np.dtype(np.uint8)
    part = UnfinishedBands(tmp_path / "bands", shape, dtype, "k")
    ends = [0]
    for top in range(0, 90, 30):
        part.add(IDS[top : top + 30, :, None])
        ends.append((tmp_path / "bands").stat().st_size)
    part.close()
    whole = (tmp_path / "bands").read_bytes()
    for length in (20, *range(0, len(whole), 101)):
        (tmp_path / "bands").write_bytes(whole[:length])
        part = UnfinishedBands(tmp_path / "bands", shape, dtype, "k")
        assert part.done == 30 * sum(0 < end <= length for end in ends)
        assert not part.started_over
        part.add(IDS[part.done :, :, None])
        assert (np.concatenate(list(part.read(7)))[..., 0] == IDS).all()
        assert (np.concatenate(list(part.read(7, 4)))[..., 0] == IDS[::4, ::4]).all()
        part.close()
        part = UnfinishedBands(tmp_path / "bands", shape, dtype, "k")
        assert part.done == 90
        part.close()


WRITING = """
import json, os, sys, time
import numpy as np
from pathlib import Path
from unpool.io.placement import Axis, Placement
from unpool.io.write.band_form import BandForm
from unpool.io.write.bands import open_band_writer
path, stop = Path(sys.argv[1]), int(sys.argv[2])
pixels = np.random.default_rng(1).integers(0, 3, (4000, 900, 1), dtype=np.uint8)
with open_band_writer(path, BandForm(4000, 900, placement=Placement(levels=1)), key="k") as writer:
    print(json.dumps(writer.done), flush=True)
    for top in range(writer.done, 4000, 50):
        writer.write(pixels[top:top + 50])
        if writer.done == stop:
            os.kill(os.getpid(), 9)
    print("finishing", flush=True)
    writer.finish()
"""


def started(path: Path, stop: int) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": ":".join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", WRITING, str(path), str(stop)], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_writing_continues_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    with started(path, 1500) as first:
        assert first.wait() == -signal.SIGKILL
    assert not path.exists()
    with started(path, -1) as second:
        assert second.stdout is not None
        assert json.loads(second.stdout.readline()) == 1500
        assert second.stdout.readline() == "finishing\n"
        second.kill()  # while it makes the file
    assert not path.exists()
    with started(path, -1) as third:
        out, _ = third.communicate()
    assert (third.returncode, out.split("\n")[0]) == (0, "4000")
    pixels = np.random.default_rng(1).integers(0, 3, (4000, 900, 1), dtype=np.uint8)
    assert (read_image(path) == pixels).all()
    assert [each.name for each in tmp_path.iterdir()] == ["m.tif"]


def test_two_writers_of_one_picture(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    first, second = (open_mask_writer(tmp_path / "m.png", IDS.shape, TABLES[0]) for _ in range(2))
    with first, pytest.raises(RunError, match="another process is writing it"), second:
        pass


def test_pixels_that_the_form_cannot_hold_are_refused(tmp_path: Path) -> None:
    for name, form in (
        ("m.png", BandForm(9, 9, 1, "float32")),
        ("m.jpg", BandForm(9, 9)),
        ("m.png", BandForm(9, 9, 2)),
    ):
        refused = pytest.raises(UsageError, match=r"(?s)pixels with . channels.*write a \.tif instead")
        with refused, open_band_writer(tmp_path / name, form):
            pass
    with open_band_writer(tmp_path / "m.tif", BandForm(9, 8)) as writer:
        for band, message in (
            (np.zeros((3, 9), np.uint8), r"m\.tif: a band of shape \(3, 9\) after 0 rows"),
            (np.zeros((10, 8), np.uint8), r"a band of shape \(10, 8\)"),
            (np.zeros((3, 8), np.uint16), "a band of type uint16"),
        ):
            with pytest.raises(UsageError, match=message):
                writer.write(band)
        writer.write(np.zeros((3, 8), np.uint8))
        with pytest.raises(UsageError, match=r"(?s)m\.tif: 3 rows.*9 rows of 8 columns"):
            writer.finish()


def test_a_band_damaged_while_it_is_used(tmp_path: Path) -> None:
    with open_band_writer(tmp_path / "m.tif", BandForm(90, 70)) as writer:
        writer.write(IDS)
        bands = tmp_path / "m.tif.part" / "bands"
        with bands.open("rb+") as file:
            file.seek(-400, os.SEEK_END)
            file.write(bytes(400))
        with pytest.raises(DataError, match="bands: a damaged band"):
            writer.finish()
    assert not (tmp_path / "m.tif").exists()


ON_LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")

MEMORY = """
import sys
import numpy as np
from pathlib import Path
from unpool.io.placement import Axis, Placement
from unpool.io.write.band_form import BandForm
from unpool.io.write.bands import open_band_writer
path, side = Path(sys.argv[1]), int(sys.argv[2])
form = BandForm(side, 6000, placement=Placement(levels=1 if path.suffix == ".tif" else 0))
band = np.repeat(np.random.default_rng(0).integers(0, 3, (500, 100), dtype=np.uint8), 60, axis=1)
with open_band_writer(path, form) as writer:
    while writer.done < side:
        writer.write(band)
    writer.finish()
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])  # ru_maxrss would be the parent's
"""


def peak(path: Path, side: int) -> float:
    """Return the most memory, in MB, of writing ``side`` rows of 6000 pixels."""
    call = [sys.executable, "-c", MEMORY, str(path), str(side)]
    done = subprocess.run(call, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    return int(done.stdout) / 1024


@ON_LINUX
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_memory_does_not_grow_with_the_picture(tmp_path: Path, suffix: str) -> None:
    assert peak(tmp_path / f"b{suffix}", 6000) < peak(tmp_path / f"a{suffix}", 1000) + 15  # the larger one is 36 MB


@ON_LINUX
@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_memory_of_a_very_large_picture(tmp_path: Path, suffix: str) -> None:
    assert peak(tmp_path / f"b{suffix}", 66_500) < 120  # 400 MB of pixels


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_zarr_by_bands(tmp_path: Path, version: int, channels: int) -> None:
    zarr = pytest.importorskip("zarr")
    pixels = np.random.default_rng(0).integers(0, 3, (700, 1900, channels), dtype=np.uint8)
    placement = Placement(zarr=version, tiled=True, levels=2, space=(Axis("micrometer", 0.25), Axis("micrometer", 0.5)))
    for _ in range(2):  # the second replaces the first
        write(tmp_path / "m.zarr", pixels, 128, placement=placement, palette=COLOURS)
    with open_picture(tmp_path / "m.zarr") as picture:
        assert (picture.window(slice(None), slice(None)) == pixels).all()
        assert picture.placement == placement
    group = zarr.open(tmp_path / "m.zarr", mode="r")
    small = pixels[::4, ::4] if channels == 3 else pixels[::4, ::4, 0]
    assert (group["2"][...] == (np.moveaxis(small, 2, 0) if channels == 3 else small)).all()
    facts = group.attrs.asdict() if version == 2 else group.attrs["ome"]
    assert facts["image-label"]["colors"][1]["rgba"] == [0, 200, 0, 255]
    assert [each.name for each in tmp_path.iterdir()] == ["m.zarr"]
