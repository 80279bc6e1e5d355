"""Stacks: pages of pictures and masks as pairs of slices, their split, and the prediction of every page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import tiny
from unpool.commands.events import finish
from unpool.commands.train.train import TrainedRun
from unpool.data.groups import slices_of
from unpool.dataset.pairing.folder import Folder
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.split import SplitShares, make_split
from unpool.dataset.survey import survey
from unpool.errors import DataError
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.io.read.stack import open_stack, pages_of

GENERATOR = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def slices(pages: int = 6, *behind: int) -> np.ndarray:
    return GENERATOR.integers(0, 255, (pages, 20, 24, *behind)).astype(np.uint8)


def labels(pages: int = 6) -> np.ndarray:
    masks = np.zeros((pages, 20, 24), np.uint8)
    for page in range(pages):
        masks[page, 3 : 8 + page % 9, 4:15] = 255
    return masks


def write(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **options})
    return path


def pages_by_pillow(path: Path, pixels: np.ndarray, compression: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = [Image.fromarray(page) for page in pixels]
    first.save(path, save_all=True, append_images=others, compression=compression)
    return path


def assert_slices(folder: Folder, name: str, pictures: np.ndarray, masks: np.ndarray) -> None:
    """Check that the pairs of a stack are its pages, in their order."""
    pairs = [pair for pair in folder.pairs if pair.name.startswith(f"{name}_page_")]
    assert len(pairs) == len(masks)
    for pair, picture, mask in zip(pairs, pictures, masks, strict=True):
        pixels = read_image(pair.image)
        assert (pixels == picture.reshape(pixels.shape)).all()
        assert (read_mask(pair.mask) == mask).all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"imagej": True},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "TYX"}},
        {"compression": "zlib", "rowsperstrip": 7},
        {"compression": "zlib", "tile": (16, 16), "metadata": None},
        {"bigtiff": True, "byteorder": ">"},
    ],
)
def test_pages_of_both_files_are_slices(tmp_path: Path, options: dict[str, Any]) -> None:
    pictures, masks = slices(), labels()
    write(tmp_path / "d" / "images" / "a.tif", pictures, **options)
    write(tmp_path / "d" / "masks" / "a.tif", masks, **options)
    folder = find_pairs(tmp_path / "d")
    assert "1 stack read as 6 slices, a pair for each page (a.tif)" in folder.layout
    assert_slices(folder, "a", pictures, masks)
    assert {path.name for path in (tmp_path / "d").rglob("*.*")} == {"a.tif"}


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_pages_of_colours(tmp_path: Path, compression: str) -> None:
    pictures, masks = slices(12, 3), labels(12)
    pages_by_pillow(tmp_path / "images" / "a.tif", pictures, compression)
    pages_by_pillow(tmp_path / "masks" / "a.tif", masks, compression)
    assert_slices(find_pairs(tmp_path), "a", pictures, masks)


def test_slices_of_several_channels(tmp_path: Path) -> None:
    pictures, masks = GENERATOR.integers(0, 255, (5, 2, 20, 24)).astype(np.uint16), labels(5)
    write(tmp_path / "images" / "a.tif", pictures, imagej=True, metadata={"axes": "ZCYX"})
    write(tmp_path / "images" / "b.tif", np.moveaxis(pictures, 1, 0), ome=True, metadata={"axes": "CZYX"})
    for name in "ab":
        write(tmp_path / "masks" / f"{name}.tif", masks)
    folder = find_pairs(tmp_path)
    for name in "ab":
        assert_slices(folder, name, np.moveaxis(pictures, 1, -1), masks)


def test_channels_with_one_mask_stay_channels(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", slices(6))
    write(tmp_path / "images" / "b.tif", slices(6))
    for name in "ab":
        write(tmp_path / "masks" / f"{name}.tif", labels(1)[0])
    found = survey(tmp_path)
    assert found.channels == 6
    assert [pair.name for pair in found.folder.pairs] == ["a", "b"]


def test_stacks_of_other_lengths_are_named(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", slices(6))
    write(tmp_path / "masks" / "a.tif", labels(5))
    with pytest.raises(DataError, match=r"images/a\.tif has 6 pages, and its mask .*masks/a\.tif has 5"):
        find_pairs(tmp_path)
    for folder, pixels in (("images", slices(6)), ("masks", labels(6))):
        write(tmp_path / folder / "b.tif", pixels)
    folder = find_pairs(tmp_path)
    assert len(folder.pairs) == 6
    assert [finding.code for finding in folder.findings if finding.severity == "error"] == ["stack-pages"]


@pytest.mark.parametrize(
    ("image", "mask", "rest"),
    [
        ("train-volume", "train-labels", "test-volume"),
        ("training", "training_groundtruth", "testing"),
        ("train-input", "train-labels", "test-input"),
        ("volume", "labels", "other"),
        ("stack", "masks", "other"),
    ],
)
def test_two_stacks_in_one_folder(tmp_path: Path, image: str, mask: str, rest: str) -> None:
    pictures, masks = slices(), labels()
    write(tmp_path / f"{image}.tif", pictures)
    write(tmp_path / f"{mask}.tif", masks)
    write(tmp_path / f"{rest}.tif", slices())
    folder = find_pairs(tmp_path)
    assert_slices(folder, image, pictures, masks)
    assert len(folder.pairs) == 6
    assert folder.unpaired_images == (tmp_path / f"{rest}.tif",)


def test_the_name_of_a_stack_says_its_part(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path / f"{part}-volume.tif", slices())
        write(tmp_path / f"{part}-labels.tif", labels())
    split = survey(tmp_path).split
    assert len(split.test) == 6
    assert all(name.startswith("test-") for name in split.test)
    assert all(name.startswith("train-") for name in (*split.train, *split.val))


def test_stacks_of_numpy(tmp_path: Path) -> None:
    pictures, masks = slices(18, 3), labels(18)
    for name, pixels in (("X_train", pictures), ("y_train", masks), ("X_test", pictures[:4]), ("y_test", masks[:4])):
        np.save(tmp_path / f"{name}.npy", pixels)
    found = survey(tmp_path)
    assert_slices(found.folder, "train/X_train", pictures, masks)
    assert (len(found.split.train) + len(found.split.val), len(found.split.test)) == (18, 4)


def numbers(names: tuple[str, ...], stack: str) -> list[int]:
    return sorted(int(name.rpartition("_")[2]) for name in names if name.startswith(stack))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("stacks", ["a", "ab"])
def test_slices_that_are_neighbours_stay_together(tmp_path: Path, seed: int, stacks: str) -> None:
    for name in stacks:
        write(tmp_path / "images" / f"{name}.tif", slices(20))
        write(tmp_path / "masks" / f"{name}.tif", labels(20))
    split = make_split(find_pairs(tmp_path), seed, SplitShares(0.25, 0.1))
    assert "neighbouring slices at one end" in split.origin
    assert (len(split.val), len(split.test)) == (len(stacks) * round(0.25 * 18), 2 * len(stacks))
    for stack in stacks:
        for part in (split.train, split.val, split.test):
            own = numbers(part, stack)
            assert own == list(range(own[0], own[-1] + 1))
    assert make_split(find_pairs(tmp_path), seed, SplitShares(0.25, 0.1)) == split


def test_whole_stacks_are_left_out_where_there_are_enough(tmp_path: Path) -> None:
    for name in "abcde":
        write(tmp_path / "images" / f"{name}.tif", slices(4))
        write(tmp_path / "masks" / f"{name}.tif", labels(4))
    split = make_split(find_pairs(tmp_path), 0)
    assert len({name[0] for name in split.val}) == 1
    assert len(split.val) == 4


def test_names_of_slices() -> None:
    assert slices_of(["a_z2", "a_z10", "b_page_1"]) == {"a": ("a_z2", "a_z10"), "b": ("b_page_1",)}
    assert slices_of(["a_page_1", "b"]) is None
    assert slices_of(["a_x1_y2"]) is None


def test_a_damaged_page_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "p.tif", slices(), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[3].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[place + 20 : place + 90] = bytes(70)
    path.write_bytes(data)
    assert pages_of(path) == 6
    with open_stack(path) as stack:
        assert stack is not None
        stack.read(2)
        with pytest.raises(DataError, match=r"p\.tif.*strip 0"):
            stack.read(3)
    path.write_bytes(data[:200])
    assert pages_of(path) == 1


def test_every_page_is_predicted(run: TrainedRun, cells: Path, tmp_path: Path) -> None:
    singles = [read_image(cells / "images" / f"{number:02}.png")[:48, :48, 0] for number in (0, 1, 2)]
    stack = np.concatenate([np.stack(singles)] * 2)
    write(tmp_path / "in" / "s.tif", stack)
    write(tmp_path / "in" / "deep.tif", np.concatenate([stack] * 4))
    write(tmp_path / "single.tif", singles[1])
    out = tmp_path / "out"
    result = finish(tiny.predict(run.folder, [str(tmp_path / "in" / "s.tif")], out, device="cpu"))
    assert result.failed == ()
    assert sorted(path.name for path in out.glob("*.*") if path.name[0] != ".") == [
        f"s_page_{k}.png" for k in range(1, 7)
    ]
    finish(tiny.predict(run.folder, [str(tmp_path / "single.tif")], tmp_path / "one", device="cpu"))
    assert (read_mask(out / "s_page_2.png") == read_mask(tmp_path / "one" / "single.png")).all()
    result = finish(tiny.predict(run.folder, [str(tmp_path / "in")], tmp_path / "all", device="cpu"))
    assert len(result.written) == 30
    assert (tmp_path / "all" / "deep_page_24.png").exists()


def test_arrays_are_predicted(run: TrainedRun, cells: Path, tmp_path: Path) -> None:
    pixels = read_image(cells / "images" / "00.png")[..., 0]
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", pixels)
    np.savez(tmp_path / "in" / "b.npz", image=pixels, label=pixels > 90)
    result = finish(tiny.predict(run.folder, [str(tmp_path / "in")], tmp_path / "out", device="cpu"))
    assert result.failed == ()
    assert (read_mask(tmp_path / "out" / "a.png") == read_mask(tmp_path / "out" / "b.png")).all()
