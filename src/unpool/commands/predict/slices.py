"""The slices of stacks among the pictures to predict: each page is a picture, and gets a mask of its own."""

from __future__ import annotations

from pathlib import Path

from unpool.commands.predict.targets import FoundTargets, Target
from unpool.dataset.pairing.array_files import pictures_in
from unpool.dataset.pairing.stacks import page_mark, slice_picture
from unpool.errors import DataError
from unpool.io.read.arrays import ARRAY_SUFFIXES
from unpool.io.read.images import image_info
from unpool.io.read.stack import STACK_SUFFIXES, open_stack
from unpool.wording import count_text


def with_slices_of_stacks(found: FoundTargets, channels: int) -> FoundTargets:
    """Return the targets with a target for each page, ``x_page_01``, of a file that fits the model page by page only.

    A page is kept as a file in the cache folder. A file that cannot be read stays as it is; its prediction says why.

    Parameters
    ----------
    channels: of the model. A file with as many pages as that is a picture of these channels.
    """
    targets: list[Target] = []
    notes: list[str] = []
    for target in found.targets:
        slices = _slices(target.source, channels)
        if slices:
            named = target.name.with_name
            own = [Target(path, named(target.name.name + mark), target.source) for mark, path in slices]
            targets += own
            notes.append(
                f"{target.source}: {count_text(len(own), 'picture')} in one file; a mask for each: {own[0].name}"
                + (f" to {own[-1].name}" if len(own) > 1 else "")
            )
        else:
            targets.append(target)
    return FoundTargets(targets, (*found.notes, *notes))


def _slices(path: Path, channels: int) -> list[tuple[str, Path]]:
    """Return the files of the pages of a stack, or of the pictures in a file of arrays; none for every other file.

    Each has the end of its name, such as ``_page_1``.
    """
    if path.suffix.lower() not in STACK_SUFFIXES | ARRAY_SUFFIXES or _is_picture(path, channels):
        return []
    try:
        with open_stack(path) as stack:
            if stack and _fits(stack.header.channels, channels):
                return [(page_mark(k, stack.pages), slice_picture(path, stack, k)) for k in range(stack.pages)]
        return pictures_in(path) if path.suffix.lower() in ARRAY_SUFFIXES else []
    except DataError:
        return []


def _is_picture(path: Path, channels: int) -> bool:
    """Return whether a file holds one picture, which the model may take."""
    try:
        info = image_info(path)
    except DataError:
        return False
    return _fits(info.channels, channels) or info.form in ("rgb", "rgba", "palette")


def _fits(found: int, channels: int) -> bool:
    return found == channels or (found == 1 and channels == 3)
