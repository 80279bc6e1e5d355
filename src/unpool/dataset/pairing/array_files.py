"""Pictures and masks in files of arrays (.npy, .npz, .mat), for folders without pairs of picture files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from unpool.data.samples import Pair
from unpool.dataset.pairing.folder import Folder, FolderContents
from unpool.dataset.pairing.matching import Match, paired_folder
from unpool.dataset.pairing.stacks import page_mark
from unpool.dataset.pairing.words import folder_role
from unpool.errors import DataError
from unpool.io.read.arrays import StoredArray, picture_of_array, several_arrays, stored_arrays
from unpool.io.read.formats import open_file
from unpool.io.read.images import as_displayed
from unpool.io.read.masks import stored_values
from unpool.io.read.raster import Raster
from unpool.io.read.stack import stack_of_array
from unpool.io.write.assembled import assembled_file
from unpool.wording import count_text, first_of


class _Roles(NamedTuple):
    """The arrays of a file that hold a picture, or a stack of pictures, and its mask."""

    image: StoredArray
    mask: StoredArray
    split: str | None


def pair_in_array_files(contents: FolderContents) -> Folder | None:
    """Pair the arrays of files that hold a picture and its mask, such as ``image`` and ``label`` in each .npz.

    Returns a folder in which each file is the picture and the mask of a pair, until ``with_arrays`` takes its arrays
    out; None where the first file has no such arrays.

    Raises
    ------
    DataError: a file is broken.
    """
    files = [file for file in contents.files if file.path.suffix.lower() in (".npz", ".mat") and file.kind != "mask"]
    if not files:
        return None
    with open_file(files[0].path) as opened:
        roles = _roles(stored_arrays(opened, files[0].path))
    if not roles:
        return None
    names = first_of([f"'{each.image.name}' with '{each.mask.name}'" for each in roles], 3)
    layout = f"pictures and masks as arrays in {count_text(len(files), 'file')}: {names}"
    return paired_folder(contents.root, layout, Match(tuple((file, file) for file in files), (), (), ""))


def with_arrays(folder: Folder) -> Folder:
    """Return the folder with the arrays of ``pair_in_array_files`` as pictures and masks in the cache folder.

    Raises
    ------
    DataError: a file is broken, or its arrays are not named as picture and mask; the message lists them.
    """
    pairs: list[Pair] = []
    for pair in folder.pairs:
        if pair.image != pair.mask:
            pairs.append(pair)
            continue
        with open_file(pair.image) as opened:
            arrays = stored_arrays(opened, pair.image)
            roles = _roles(arrays)
            if not roles:
                raise several_arrays(pair.image, arrays)
            for each in roles:
                pairs += _pairs(pair, each, named=len(roles) > 1)
    return replace(folder, pairs=tuple(sorted(pairs, key=lambda pair: pair.name)))


def pictures_in(path: Path) -> list[tuple[str, Path]]:
    """Return the pictures, or the slices of pictures, in a file of arrays that holds their masks too; else none.

    Each has the end of its name, such as ``_page_1``; empty for a picture alone.

    Raises
    ------
    DataError: the file is broken.
    """
    with open_file(path) as opened:
        roles = _roles(stored_arrays(opened, path))
        pair = Pair("", path, path, None)
        pairs = [each for role in roles for each in _pairs(pair, role, named=len(roles) > 1)]
        return [(each.name.replace("/", "_"), each.image) for each in pairs]


def _roles(arrays: Sequence[StoredArray]) -> list[_Roles]:
    """Return the pictures and masks among the arrays of a file, by their names; none where that is unclear."""
    by_split: dict[str | None, dict[str | None, list[StoredArray]]] = {}
    for array in arrays:
        role = folder_role(array.name)
        by_split.setdefault(role.split, {}).setdefault(role.kind, []).append(array)
    found = []
    for split, kinds in by_split.items():
        masks, images = kinds.get("mask", []), kinds.get("image", []) or kinds.get(None, [])
        if len(masks) != 1 or len(images) != 1:
            return []
        found.append(_Roles(images[0], masks[0], split))
    return found


def _pairs(pair: Pair, roles: _Roles, *, named: bool) -> list[Pair]:
    """Return the pair of a file, or its pairs of slices. Raises DataError where the arrays do not fit each other."""
    path, split = pair.image, pair.split or roles.split
    name = f"{pair.name}/{roles.split}" if named else pair.name
    masks = stack_of_array(roles.mask, path)
    if masks is None:
        image = _picture_file(path, roles.image, partial(picture_of_array, roles.image, path))
        return [Pair(name, image, _mask_file(path, roles.mask, partial(picture_of_array, roles.mask, path)), split)]
    images = stack_of_array(roles.image, path)
    if images is None or images.pages != masks.pages:
        raise DataError(
            f"{path}: {roles.image} and {roles.mask} are no picture with its mask, and no slices of one stack",
            "a picture and a mask of one size, or as many slices of both",
            "save a mask for each picture",
        )
    pairs = []
    for page in range(images.pages):
        mark = page_mark(page, images.pages)
        image = _picture_file(path, roles.image, partial(images.read, page), mark)
        mask = _mask_file(path, roles.mask, partial(masks.read, page), mark)
        pairs.append(Pair(name + mark, image, mask, split))
    return pairs


def _picture_file(path: Path, array: StoredArray, read: Callable[[], Raster], mark: str = "") -> Path:
    return assembled_file(
        [path], f"picture in array {array.name!r}{mark}, 1", path.stem + mark, lambda: as_displayed(read(), path)[0]
    )


def _mask_file(path: Path, array: StoredArray, read: Callable[[], Raster], mark: str = "") -> Path:
    return assembled_file(
        [path], f"mask in array {array.name!r}{mark}, 1", path.stem + mark, lambda: stored_values(read(), path)
    )
