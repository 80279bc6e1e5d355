"""Files of arrays: .npy, .npz and .mat as pictures and masks, and what is refused in them."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from unpool.dataset.survey import survey
from unpool.errors import DataError
from unpool.io.read import arrays
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.io.read.windows import open_picture

GENERATOR = np.random.default_rng(0)
IDS = np.arange(20 * 24).reshape(20, 24) // 100


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def picture(channels: int = 1) -> np.ndarray:
    pixels = GENERATOR.integers(0, 255, (20, 24, channels)).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">u2", "float32", "float64", "bool"])
@pytest.mark.parametrize("order", "CF")
def test_npy(tmp_path: Path, dtype: str, order: str) -> None:
    for channels in (1, 3, 5):
        pixels = np.array(picture(channels), dtype, order=order)  # type: ignore[call-overload]
        np.save(tmp_path / "p.npy", pixels)
        expected = pixels * 255 if dtype == "bool" else pixels
        found = read_image(tmp_path / "p.npy")
        assert (found == (expected[..., None] if channels == 1 else expected)).all()
        with open_picture(tmp_path / "p.npy") as opened:
            assert (opened.window(slice(2, 9), slice(1, 8)) == found[2:9, 1:8]).all()
    np.save(tmp_path / "m.npy", IDS.astype(dtype))
    assert (read_mask(tmp_path / "m.npy") == IDS.astype(dtype)).all()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 20, 24), (20, 24, 1)),
        ((20, 24, 1), (20, 24, 1)),
        ((3, 20, 24), (20, 24, 3)),
        ((1, 20, 24, 3), (20, 24, 3)),
        ((12, 9, 3), (12, 9, 3)),
        ((16, 40, 24), (40, 24, 16)),
        ((20, 24, 30), None),
        ((24, 24, 30), None),
        ((5, 6, 7), None),
        ((2, 20, 24, 3), None),
        ((20,), None),
    ],
)
def test_the_axes_of_an_array(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...] | None) -> None:
    pixels = GENERATOR.integers(0, 255, shape).astype(np.uint8)
    np.save(tmp_path / "p.npy", pixels)
    if expected is None:
        with pytest.raises(DataError, match="is no picture of rows, columns"):
            read_image(tmp_path / "p.npy")
        return
    found = read_image(tmp_path / "p.npy")
    moved = np.moveaxis(pixels, 0, -1) if found.shape[2] == shape[0] > 1 else pixels.reshape(expected)
    assert found.shape == expected
    assert (found == moved).all()


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return pytest.fail, ("unpickled",)

    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": (20, 24)})
    (tmp_path / "p.npy").write_bytes(buffer.getvalue() + pickle.dumps(Trap()))
    with pytest.raises(DataError, match="Python objects, which may run code and are not opened"):
        read_image(tmp_path / "p.npy")


def test_what_an_array_announces_is_bounded(tmp_path: Path) -> None:
    for shape, message in (
        ((60_000, 60_000), "take 3.6 GB of memory"),
        ((300, 300), "it has 50 of 90,000 bytes"),
        ((10**30, 300), "at most 1.0 GB|cannot be read|take"),
    ):
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
        head = buffer.getvalue()
        (tmp_path / "p.npy").write_bytes(head + bytes(50))
        with zipfile.ZipFile(tmp_path / "p.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("image.npy", head + bytes(50))
        for name in ("p.npy", "p.npz"):
            with pytest.raises(DataError, match=message):
                read_image(tmp_path / name)
    (tmp_path / "p.npy").write_bytes(b"\x93NUMPY\x02\0\xff\xff\xff\x7f" + bytes(90))
    with pytest.raises(DataError, match="a head of 2,147,483,647 bytes"):
        read_image(tmp_path / "p.npy")


def write_mat(path: Path, **values: Any) -> None:
    scipy.io.savemat(path, values, do_compression=True)


def test_the_one_array_of_a_mat_file(tmp_path: Path) -> None:
    write_mat(tmp_path / "m.mat", inst_map=IDS.astype(np.uint16), note="cells", scale=0.5)
    assert (read_mask(tmp_path / "m.mat") == IDS).all()
    write_mat(tmp_path / "s.mat", groundTruth={"Segmentation": IDS.astype(np.uint8)})
    assert (read_mask(tmp_path / "s.mat") == IDS).all()


def test_a_mat_file_inflates_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mat(tmp_path / "m.mat", mask=np.zeros((3000, 3000), np.uint8))
    monkeypatch.setattr(arrays, "_MOST_MAT", 1 << 20)
    with pytest.raises(DataError, match=r"inflates to more than 1\.0 MB"):
        read_mask(tmp_path / "m.mat")
    whole = (tmp_path / "m.mat").read_bytes()
    (tmp_path / "m.mat").write_bytes(whole[:-9])
    with pytest.raises(DataError, match="ends before"):
        read_mask(tmp_path / "m.mat")
    (tmp_path / "m.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: x".ljust(512))
    with pytest.raises(DataError, match=r"version 7\.3, which is HDF5.*\n.*\n.*save\(\.\.\., '-v7'\)"):
        read_mask(tmp_path / "m.mat")


@pytest.mark.parametrize("parts", [[""], ["train", "val"]])
def test_truth_of_several_arrays_is_listed_and_its_repair_leads_on(tmp_path: Path, parts: list[str]) -> None:
    segments = np.where(IDS > 2, 2, 1).astype(np.uint8)
    for number in range(4):
        for folder in ("image", "groundTruth"):
            (tmp_path / "d" / folder / parts[number % len(parts)]).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "d" / "image" / parts[number % len(parts)] / f"{number}.npy", picture(3))
        truth = {"Segmentation": segments, "Boundaries": (IDS == 2).astype(np.uint8)}
        write_mat(tmp_path / "d" / "groundTruth" / parts[number % len(parts)] / f"{number}.mat", groundTruth=truth)
    with pytest.raises(DataError) as error:
        survey(tmp_path / "d")
    assert "groundTruth.Segmentation (20 x 24, uint8) with the values 1, 2" in error.value.found
    assert "groundTruth.Boundaries (20 x 24, uint8) with the values 0, 1" in error.value.found
    assert "a['groundTruth']['Segmentation'][0,0]) for f in" in error.value.repair
    code = error.value.repair.partition('-c "')[2].partition('"')[0]
    folder = str(tmp_path / "d" / "groundTruth")
    assert error.value.repair.endswith(f" {folder}")
    exec(code.replace("sys.argv[1]", repr(folder)), {})
    found = survey(tmp_path / "d")
    assert len(found.pictures) == 4
    assert found.table.values == ((1,), (2,))


def save_npz(path: Path, **values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("image", "mask"), [("image", "label"), ("x", "y"), ("data", "seg"), ("img", "gt")])
def test_a_picture_and_its_mask_in_one_file(tmp_path: Path, image: str, mask: str) -> None:
    pictures = {name: picture(3) for name in "abc"}
    for name, pixels in pictures.items():
        save_npz(tmp_path / "d" / f"{name}.npz", **{image: pixels, mask: IDS, "spacing": np.array([1.0, 2.0])})
    found = survey(tmp_path / "d")
    assert f"pictures and masks as arrays in 3 files: '{image}' with '{mask}'" in found.folder.layout
    assert [pair.name for pair in found.folder.pairs] == ["a", "b", "c"]
    for pair in found.folder.pairs:
        assert (read_image(pair.image) == pictures[pair.name]).all()
        assert (read_mask(pair.mask) == IDS).all()
        assert not pair.image.is_relative_to(tmp_path / "d")


def test_stacks_and_parts_in_one_file(tmp_path: Path) -> None:
    pictures = GENERATOR.integers(0, 255, (6, 20, 24)).astype(np.uint8)
    masks = np.stack([IDS + k for k in range(6)]).astype(np.uint8)
    save_npz(
        tmp_path / "d" / "set.npz",
        **{"train_images": pictures, "train_masks": masks, "val_images": pictures[:2], "val_masks": masks[:2]},
    )
    found = survey(tmp_path / "d")
    assert len(found.folder.pairs) == 8
    assert (len(found.split.train), len(found.split.val)) == (6, 2)
    third = next(pair for pair in found.folder.pairs if pair.name == "set/train_page_3")
    assert (read_image(third.image)[..., 0] == pictures[2]).all()
    assert (read_mask(third.mask) == masks[2]).all()


def test_arrays_that_are_named_unclearly_are_listed(tmp_path: Path) -> None:
    for name in "ab":
        save_npz(tmp_path / "images" / f"{name}.npz", arr_0=picture(), arr_1=IDS)
        save_npz(tmp_path / "masks" / f"{name}.npz", arr_0=IDS)
    (error,) = survey(tmp_path).errors
    assert "a.npz: 2 arrays: arr_0 (20 x 24, uint8), arr_1 (20 x 24, int64)" in error.found
    assert "a['arr_0']) for f in" in error.repair


def test_masks_of_arrays_beside_picture_files(tmp_path: Path) -> None:
    from unpool.io.write.images import write_image

    for number in range(3):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        write_image(tmp_path / "images" / f"{number}.png", picture(3))
        np.save(tmp_path / "masks" / f"{number}.npy", IDS.astype(np.int64))
    found = survey(tmp_path)
    assert len(found.pictures) == 3
    assert found.table.values == tuple((value,) for value in range(5))
