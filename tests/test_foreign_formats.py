"""Formats that are not read: each is named, with a line that converts it; lines without further packages are run."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unpool.commands.predict.targets import find_targets
from unpool.dataset.pairing.foreign_formats import FOREIGN_FORMATS
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.survey import survey
from unpool.errors import DataError

IDS = (np.arange(20 * 24).reshape(20, 24) // 300).astype(np.uint8)
PICTURE = np.random.default_rng(0).integers(0, 255, (20, 24, 3)).astype(np.uint8)


def code_of(repair: str) -> str:
    """Return the line of Python in a repair."""
    return repair.partition('python -c "')[2].partition('"')[0]


def run(repair: str, *words: object) -> None:
    subprocess.run([sys.executable, "-c", code_of(repair), *map(str, words)], check=True, timeout=60)


@pytest.mark.parametrize("suffix", sorted(FOREIGN_FORMATS))
def test_each_format_is_named_with_a_line_that_is_python(tmp_path: Path, suffix: str) -> None:
    written = suffix.upper()
    (tmp_path / "it's here").mkdir()
    repair = FOREIGN_FORMATS[suffix].repair_text(tmp_path / "it's here", written)
    assert FOREIGN_FORMATS[suffix].what
    assert repair
    if code := code_of(repair):
        compile(code, "repair", "exec")
        assert f"'/**/*{written}'" in code
        assert repair.endswith("""it'"'"'s here'""")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_unpacked(tmp_path: Path, kind: str) -> None:
    pictures = {}
    for folder, pixels in (("images", PICTURE), ("masks", IDS)):
        (tmp_path / "source" / folder).mkdir(parents=True)
        for number in range(3):
            pictures[f"{folder}/{number}.png"] = tmp_path / "source" / folder / f"{number}.png"
            Image.fromarray(pixels).save(pictures[f"{folder}/{number}.png"])
    (tmp_path / "d").mkdir()
    path = tmp_path / "d" / f"data.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, source in pictures.items():
                archive.write(source, name)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for name, source in pictures.items():
                tar.add(source, name)
    with pytest.raises(DataError, match=rf"holds 1 \.{kind} file \(an archive\), which is not read") as error:
        find_pairs(tmp_path / "d")
    run(error.value.repair, tmp_path / "d")
    assert len(find_pairs(tmp_path / "d").pairs) == 3
    with pytest.raises(DataError, match="this is an archive") as error:
        find_pairs(path)
    assert error.value.repair.endswith(f"then give {tmp_path / 'd' / 'data'}")


def test_pictures_that_pillow_converts(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        Image.fromarray(PICTURE).save(tmp_path / "images" / f"{number}.TGA")
        Image.fromarray(IDS).save(tmp_path / "masks" / f"{number}.png")
    with pytest.raises(DataError, match=r"3 masks and no pictures, but images/ holds 3 \.tga files") as error:
        find_pairs(tmp_path)
    with pytest.raises(DataError, match=r"no picture found, but the folder itself holds 3 \.tga files"):
        find_targets([str(tmp_path / "images")], tmp_path / "out")
    run(error.value.repair, tmp_path)
    assert len(survey(tmp_path).pictures) == 3


def test_two_formats_have_two_repairs(tmp_path: Path) -> None:
    for folder, suffix in (("images", ".dcm"), ("labels", ".nii.gz")):
        (tmp_path / folder).mkdir()
        for number in range(3):
            (tmp_path / folder / f"{number}{suffix}").touch()
    with pytest.raises(DataError) as error:
        find_pairs(tmp_path)
    assert "pip install pydicom, then python -c" in error.value.repair
    assert "pip install nibabel, then python -c" in error.value.repair


def test_one_such_file_is_not_predicted(tmp_path: Path) -> None:
    (tmp_path / "a.NII.GZ").write_bytes(b"\x1f\x8b" + bytes(90))
    Image.fromarray(PICTURE).save(tmp_path / "b.lsm", format="TIFF")
    with pytest.raises(DataError, match=r"a\.NII\.GZ: NIfTI, volumes of medical scanners, which is not read") as error:
        find_targets([str(tmp_path / "a.NII.GZ")], tmp_path / "out")
    assert "pip install nibabel" in error.value.repair
    assert "'/**/*.NII.GZ'" in error.value.repair
    assert find_targets([str(tmp_path / "b.lsm")], tmp_path / "out").targets[0].source == tmp_path / "b.lsm"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x.tif").touch()
    with pytest.raises(DataError, match="this is a file") as error:
        find_pairs(tmp_path / "x.tif")
    assert error.value.repair == "give the folder that holds it"


def test_dicom_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "P 1").mkdir()
    for name in ("IM0001", "1.2.840.10008"):
        (tmp_path / "P 1" / name).write_bytes(bytes(128) + b"DICM" + bytes(40))
    with pytest.raises(DataError, match=r"P 1/ holds 2 DICOM files \(pictures of medical scanners") as error:
        find_pairs(tmp_path)
    compile(code_of(error.value.repair), "repair", "exec")
    assert error.value.repair.endswith(f" {tmp_path}")


def test_shapes_on_a_map_are_named(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.tif")
    (tmp_path / "buildings.shp").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds 1 \.shp file \(shapes on a map\), which is not read") as error:
        find_pairs(tmp_path)
    assert "gdal_rasterize" in error.value.repair
