"""Stacks in a folder: a picture and a mask file of as many pages become pairs of slices.

A mask's page is a map of classes. So the mask shows that the pages of both files are slices, and no channels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unpool.data.samples import Pair
from unpool.dataset.findings import Finding
from unpool.dataset.pairing.folder import Folder, FolderContents, PlacedFile
from unpool.dataset.pairing.matching import Match, paired_folder
from unpool.dataset.pairing.words import folder_role
from unpool.errors import DataError
from unpool.io.read.images import as_displayed
from unpool.io.read.masks import stored_values
from unpool.io.read.raster import Raster
from unpool.io.read.stack import STACK_SUFFIXES, Stack, open_stack, pages_of
from unpool.io.write.assembled import assembled_file
from unpool.wording import count_text, first_of


def with_slices(folder: Folder) -> Folder:
    """Return the folder with each pair of stacks as pairs of slices, ``a_page_01`` for the first page of ``a``.

    A slice is kept as a file in the cache folder. The slices of a stack are in the part of the split that the stack's
    folder or its name says, as ``train-volume`` does.

    Raises
    ------
    DataError: every pair has a mask of several pages, and none of them fits its picture.
    """
    pairs: list[Pair] = []
    read: list[tuple[Pair, int]] = []
    findings: list[Finding] = []
    for pair in folder.pairs:
        found = _slices(pair) if pair.mask.suffix.lower() in STACK_SUFFIXES else None
        if isinstance(found, Finding):
            findings.append(found)
        else:
            pairs += found or [pair]
            read += [(pair, len(found))] if found else []
    if findings and not pairs:
        raise DataError(findings[0].found, findings[0].expected, findings[0].repair)
    if not read:
        return replace(folder, pairs=tuple(pairs), findings=(*folder.findings, *findings))
    return replace(
        folder,
        layout=f"{folder.layout}; {_read_text(read)}",
        pairs=tuple(sorted(pairs, key=lambda pair: pair.name)),
        findings=(*folder.findings, *findings),
    )


def _read_text(read: list[tuple[Pair, int]]) -> str:
    total = sum(count for _, count in read)
    names = first_of([pair.image.name for pair, _ in read], 3)
    return f"{count_text(len(read), 'stack')} read as {count_text(total, 'slice')}, a pair for each page ({names})"


def _slices(pair: Pair) -> list[Pair] | Finding | None:
    """Return the slices of a pair; the error of a stack whose picture has other pages; None for no stack."""
    try:
        with open_stack(pair.mask) as masks:
            if masks is None:
                return None
            with open_stack(pair.image) as images:
                if images is None:
                    return None
                if images.pages != masks.pages:
                    return _unequal(pair, images.pages, masks.pages)
                return list(_pairs(pair, images, masks))
    except DataError:
        return None  # the inspection of the pair reports it


def _pairs(pair: Pair, images: Stack, masks: Stack) -> Iterator[Pair]:
    split = pair.split or folder_role(pair.image.stem).split
    for page in range(images.pages):
        mark = page_mark(page, images.pages)
        image = _slice_file(pair.image, images, page, lambda raster: as_displayed(raster, pair.image)[0])
        mask = _slice_file(pair.mask, masks, page, lambda raster: stored_values(raster, pair.mask))
        yield Pair(pair.name + mark, image, mask, split)


def page_mark(page: int, pages: int) -> str:
    """Return the end of a slice's name: ``_page_01`` for page 0 of 24."""
    return f"_page_{page + 1:0{len(str(pages))}d}"


def slice_picture(path: Path, stack: Stack, page: int) -> Path:
    """Return the file of one page of an open stack of pictures, in the cache folder. Raises DataError, RunError."""
    return _slice_file(path, stack, page, lambda raster: as_displayed(raster, path)[0])


def _slice_file(path: Path, stack: Stack, page: int, change: Callable[[Raster], NDArray[Any]]) -> Path:
    name = path.stem + page_mark(page, stack.pages)
    recipe, placement = f"page {page} of a stack, 2", stack.placement
    return assembled_file([path], recipe, name, lambda: change(stack.read(page)), placement=placement)


def _unequal(pair: Pair, images: int, masks: int) -> Finding:
    return Finding(
        "error",
        "stack-pages",
        f"{pair.image} has {count_text(images, 'page')}, and its mask {pair.mask} has {masks}",
        "stacks of as many pages, a mask for each slice",
        "save the stack again with the slices that have a mask, in the same order; or move both files elsewhere",
        (pair.name,),
    )


def pair_stack_files(contents: FolderContents) -> Folder | None:
    """Pair stacks whose whole names say what they hold: ``volume.tif`` and ``labels.tif``, ``X.npy`` and ``y.npy``.

    Returns None without such a pair of files with as many pages.
    """
    places: dict[tuple[Path, str | None], dict[str | None, list[PlacedFile]]] = defaultdict(lambda: defaultdict(list))
    for file in contents.files:
        if file.path.suffix.lower() in STACK_SUFFIXES:
            role = folder_role(file.path.stem)
            places[file.path.parent, role.split or file.split][role.kind].append(replace(file, split=role.split))
    pairs = [
        (kinds["image"][0], kinds["mask"][0])
        for kinds in places.values()
        if len(kinds["image"]) == len(kinds["mask"]) == 1
        and 1 < pages_of(kinds["image"][0].path) == pages_of(kinds["mask"][0].path)
    ]
    if not pairs:
        return None
    paired = {file.path for pair in pairs for file in pair}
    left = tuple(file for file in contents.files if file.path not in paired)
    match = Match(tuple(pairs), left, (), "names of whole files")
    return paired_folder(contents.root, "stacks of pictures and stacks of masks, paired by their names", match)
