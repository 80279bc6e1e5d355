"""A new folder layout takes one word in a list, or one function and one line in a table."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from test_survey import made, squares
from unpool.dataset.pairing import layouts, matching, words
from unpool.dataset.pairing.folder import Folder, FolderContents
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.pairing.matching import Match, paired_folder
from unpool.dataset.survey import survey
from unpool.errors import DataError


def moved(root: Path, image: str, mask: str) -> Path:
    """Make a folder of three pairs, and move pair ``n`` to these paths, in which ``{n}`` is its number."""
    made(root / "made", [squares([0, 255])] * 3)
    for folder, place in (("images", image), ("masks", mask)):
        for path in sorted((root / "made" / folder).iterdir()):
            target = root / "set" / place.format(n=path.stem)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    return root / "set"


def pair_one_folder_per_sample(contents: FolderContents) -> Folder | None:
    """Pair folders of the form ``NAME/photo-1.png`` and ``NAME/drawing-2.png``; None for other folders."""
    photos = {file.path.parent: file for file in contents.files if file.path.stem.startswith("photo")}
    drawings = {file.path.parent: file for file in contents.files if file.path.stem.startswith("drawing")}
    pairs = tuple((photos[parent], drawings[parent]) for parent in photos if parent in drawings)
    alone = tuple(photos[parent] for parent in photos if parent not in drawings)
    match = Match(pairs, alone, (), "'photo' with 'drawing'")
    return paired_folder(contents.root, "one folder for each sample", match) if pairs else None


def test_a_layout_is_one_function_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = moved(tmp_path, "s{n}/photo-1{n}.png", "s{n}/drawing-2{n}.png")
    with pytest.raises(DataError, match="no masks among them"):
        find_pairs(folder)
    monkeypatch.setattr(layouts, "LAYOUTS", (pair_one_folder_per_sample, *layouts.LAYOUTS))
    surveyed = survey(folder)
    assert list(surveyed.pictures) == ["s00/photo-100", "s01/photo-101", "s02/photo-102"]
    assert surveyed.folder.layout == "one folder for each sample"
    assert surveyed.errors == ()


def test_other_folders_keep_their_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = moved(tmp_path, "images/{n}.png", "masks/{n}.png")
    monkeypatch.setattr(layouts, "LAYOUTS", (pair_one_folder_per_sample, *layouts.LAYOUTS))
    assert [pair.name for pair in find_pairs(folder).pairs] == ["00", "01", "02"]


@pytest.fixture
def _fresh_roles() -> Iterator[None]:
    words.folder_role.cache_clear()
    yield
    words.folder_role.cache_clear()


@pytest.mark.usefixtures("_fresh_roles")
def test_a_folder_name_is_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = moved(tmp_path, "val/{n}.png", "val-Drawings/{n}.png")
    monkeypatch.setattr(words, "MASK_FOLDERS", words.MASK_FOLDERS | {"drawings"})
    assert [pair.name for pair in find_pairs(folder).pairs] == ["val/00", "val/01", "val/02"]


def test_a_mask_name_is_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = moved(tmp_path, "{n}.png", "{n}-drawing.png")
    assert "known by their few values" in find_pairs(folder).layout
    monkeypatch.setattr(matching, "MASK_AFFIXES", words.affixes([*words.MASK_WORDS, "drawing"]))
    found = find_pairs(folder)
    assert found.layout == "pictures and masks in one folder, paired by 'x' with 'x-drawing'"
    assert len(found.pairs) == 3
