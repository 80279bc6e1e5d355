"""Channels in files of their own, as nnU-Net has them: stacked for surveys and predictions alike."""

import json
from pathlib import Path

import numpy as np
import pytest

from made_pairs import box, picture, saved
from unpool.commands.predict.targets import find_targets
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.survey import survey
from unpool.errors import DataError
from unpool.io.read.images import read_image


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def cases(root: Path, folder: str, names: str, channels: int = 2) -> Path:
    for name in names:
        for number in range(channels):
            picture(root / folder / f"{name}_{number:04}.png", "L")
        saved(root / "labelsTr" / f"{name}.png", box(3, 3, value=1))
    return root


def with_names(root: Path, *names: str) -> None:
    data = {"channel_names": {str(k): name for k, name in enumerate(names)}, "labels": {"background": 0, "cell": 1}}
    (root / "dataset.json").write_text(json.dumps(data))


@pytest.mark.parametrize("channels", [2, 3, 4, 5])
def test_channels_are_stacked(tmp_path: Path, channels: int) -> None:
    root = cases(tmp_path / "set", "imagesTr", "abc", channels)
    surveyed = survey(root)
    assert (surveyed.channels, surveyed.errors, surveyed.folder.unpaired_images) == (channels, (), ())
    for pair in surveyed.folder.pairs:
        files = [root / "imagesTr" / f"{pair.name[-6]}_{number:04}.png" for number in range(channels)]
        assert np.array_equal(read_image(pair.image), np.concatenate([read_image(path) for path in files], axis=2))


def test_the_names_are_from_the_dataset(tmp_path: Path) -> None:
    root = cases(tmp_path / "set", "imagesTr", "abc")
    with_names(root, "DAPI", "GFP")
    notes = {finding.code: finding.found for finding in find_pairs(root).findings}
    assert "2 channels in files of their own" in notes["channels-in-files"]
    assert "0000 DAPI, 0001 GFP" in notes["channels-in-files"]


def test_one_file_with_all_channels_is_a_picture(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in "abc":
        picture(root / "imagesTr" / f"{name}_0000.png")
        saved(root / "labelsTr" / f"{name}.png", box(3, 3, value=1))
    with_names(root, "R", "G", "B")
    surveyed = survey(root)
    assert (surveyed.channels, surveyed.errors) == (3, ())
    assert targets(root, 3)[0] == [f"imagesTr/{name}_0000" for name in "abc"]


def test_channels_that_no_case_has_are_an_error(tmp_path: Path) -> None:
    root = cases(tmp_path / "set", "imagesTr", "abc", 1)
    with_names(root, "DAPI", "GFP", "RFP")
    with pytest.raises(DataError, match="channels 0001 and 0002 are missing, of 3 channels"):
        survey(root)
    with pytest.raises(DataError, match="channels 0001 and 0002 are missing, of 3 channels"):
        targets(root)


def test_a_case_without_a_channel_is_an_error(tmp_path: Path) -> None:
    root = cases(tmp_path / "set", "imagesTr", "abc")
    (root / "imagesTr" / "b_0001.png").unlink()
    (error,) = survey(root).errors
    assert (error.code, error.files) == ("channel-missing", ("train/b_0000",))
    assert "b: channel 0001 is missing, of 2 channels in files" in error.found
    (root / "imagesTr" / "b_0000.png").unlink()
    assert survey(root).errors == ()


def test_channels_of_two_sizes_are_an_error(tmp_path: Path) -> None:
    root = cases(tmp_path / "set", "imagesTr", "abc")
    saved(root / "imagesTr" / "c_0001.png", box(2, 2)[:9])
    assert "another channel of it, 9 x 32" in survey(root).errors[0].found


def test_films_with_masks_are_no_channels(tmp_path: Path) -> None:
    for k in range(3):
        picture(tmp_path / f"images/f_{k:04}.png")
        saved(tmp_path / f"masks/f_{k:04}.png", box(3, 3))
    assert "channels-in-files" not in {finding.code for finding in find_pairs(tmp_path).findings}


def targets(folder: Path, channels: int | None = None) -> tuple[list[str], str]:
    found = find_targets([str(folder)], folder.parent / "out", channels)
    return [target.name.as_posix() for target in found.targets], " ".join(found.notes)


def test_predictions_stack_the_same_files(tmp_path: Path) -> None:
    root = cases(tmp_path / "set", "imagesTs", "de")
    names, note = targets(root / "imagesTs")
    assert (names, "2 channels in files of their own are stacked" in note) == (["d", "e"], True)
    first = find_targets([str(root / "imagesTs")], tmp_path / "out").targets[0].source
    channels = [read_image(root / "imagesTs" / f"d_{k:04}.png") for k in range(2)]
    assert np.array_equal(read_image(first), np.concatenate(channels, axis=2))
    assert targets(root)[0] == ["imagesTs/d", "imagesTs/e"]
    pattern = find_targets([str(root / "imagesTs" / "*.png")], tmp_path / "out")
    assert [target.name.as_posix() for target in pattern.targets] == ["d", "e"]
    (root / "imagesTs" / "e_0000.png").unlink()
    with pytest.raises(DataError, match="e: channel 0000 is missing"):
        targets(root / "imagesTs")


def test_other_folders_are_stacked_where_the_network_or_the_dataset_says_so(tmp_path: Path) -> None:
    root = cases(tmp_path / "set", "new", "de")
    assert targets(root / "new")[0] == ["d_0000", "d_0001", "e_0000", "e_0001"]
    assert "if they are channels of one, rename their folder to imagesTs" in targets(root / "new")[1]
    assert targets(root / "new", 2)[0] == ["d", "e"]
    assert targets(root / "new", 3)[0] == ["d_0000", "d_0001", "e_0000", "e_0001"]
    with_names(root, "DAPI", "GFP", "RFP")
    with pytest.raises(DataError, match="d: channel 0002 is missing, of 3 channels"):
        targets(root / "new")
