"""Synthetic micrographs: repeatable, exact, not too easy; and never over anyone's files."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from unpool.data.synthetic import SIZES, separated_mask, synthetic_cells, write_synthetic_set
from unpool.errors import UsageError


@pytest.fixture(scope="module")
def pictures():
    return list(synthetic_cells(5, seed=11))  # in the last, a cell falls in two and must lose a piece


def dice(truth, guess):
    return 2 * np.count_nonzero(truth & guess) / (np.count_nonzero(truth) + np.count_nonzero(guess))


def test_the_seed_makes_the_picture_and_the_count_does_not(pictures):
    again = list(synthetic_cells(2, seed=11))
    for first, second in zip(pictures, again, strict=False):
        assert first.name == second.name
        assert (first.image == second.image).all()
        assert (first.instances == second.instances).all()
    other = next(synthetic_cells(1, seed=8))
    assert (other.image != pictures[0].image).any()


def test_sizes_names_and_types(pictures):
    assert [p.name for p in pictures] == ["00", "01", "02", "03", "04"]
    assert [p.image.shape for p in pictures] == list(SIZES)
    assert [p.instances.shape for p in pictures] == list(SIZES)
    assert {p.image.dtype.name for p in pictures} == {"uint8"}
    assert {p.instances.dtype.name for p in pictures} == {"uint16"}
    assert next(synthetic_cells(1, sizes=[(61, 90)])).image.shape == (61, 90)


def test_every_cell_is_one_piece_and_numbered_without_gaps(pictures):
    for picture in pictures:
        numbers = np.unique(picture.instances)
        assert numbers.tolist() == list(range(len(numbers)))
        assert len(numbers) > 10
        assert all(ndimage.label(picture.instances == n)[1] == 1 for n in numbers[1:])


def test_many_cells_touch(pictures):
    for picture in pictures:
        clumps = ndimage.label(picture.instances > 0)[1]
        assert clumps < 0.6 * picture.instances.max()


def test_the_mask_keeps_touching_cells_apart(pictures):
    for picture in pictures:
        mask = separated_mask(picture.instances)
        pieces, count = ndimage.label(mask, structure=np.ones((3, 3)))
        for number in range(1, count + 1):
            assert len(np.unique(picture.instances[pieces == number])) == 1
        assert set(np.unique(picture.instances[mask > 0])) == set(range(1, int(picture.instances.max()) + 1))


def test_separated_mask_by_hand():
    instances = np.array([[1, 1, 1, 2, 2, 0], [1, 1, 1, 2, 2, 0]], dtype=np.uint16)
    assert separated_mask(instances).tolist() == [[255, 255, 0, 0, 255, 0]] * 2


def test_no_threshold_solves_them(pictures):
    image = np.concatenate([p.image.ravel() for p in pictures])
    truth = np.concatenate([separated_mask(p.instances).ravel() > 0 for p in pictures])
    best = max(dice(truth, image > level) for level in range(0, 255, 3))
    assert 0.6 < best < 0.88


def test_pictures_use_the_grey_scale(pictures):
    for picture in pictures:
        assert np.percentile(picture.image, 99) > 120
        assert np.count_nonzero(picture.image == 255) < 0.04 * picture.image.size


def test_a_set_on_disk(tmp_path, pictures):
    folder = tmp_path / "new" / "cells"
    write_synthetic_set(folder, 2, seed=11)
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png")) == [
        "images/00.png",
        "images/01.png",
        "masks/00.png",
        "masks/01.png",
    ]
    assert (np.asarray(Image.open(folder / "images" / "01.png")) == pictures[1].image).all()
    mask = np.asarray(Image.open(folder / "masks" / "01.png"))
    assert set(np.unique(mask)) == {0, 255}
    assert (mask == separated_mask(pictures[1].instances)).all()


def test_a_set_begun_is_completed_and_nothing_replaced(tmp_path):
    write_synthetic_set(tmp_path, 2, seed=11)
    (tmp_path / "images" / "00.png").unlink()
    (tmp_path / "masks" / "01.png").write_bytes(b"mine")
    write_synthetic_set(tmp_path, 2, seed=11)
    assert (tmp_path / "images" / "00.png").is_file()
    assert (tmp_path / "masks" / "01.png").read_bytes() == b"mine"


def test_a_folder_of_someone_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match=r"already holds 'thesis\.txt'\n  expected: a new or empty folder"):
        write_synthetic_set(tmp_path, 1, seed=0)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_synthetic_set_and_a_file_are_refused(tmp_path):
    write_synthetic_set(tmp_path / "set", 1, seed=0)
    with pytest.raises(UsageError, match="already holds another synthetic set"):
        write_synthetic_set(tmp_path / "set", 1, seed=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file is a file"):
        write_synthetic_set(tmp_path / "file", 1, seed=0)
