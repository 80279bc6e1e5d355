"""Channels in files of their own, ``x_0000.png`` and ``x_0001.png`` as nnU-Net has them, which are stacked."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.data.samples import Pair
from unpool.dataset.findings import Finding, from_error
from unpool.dataset.pairing.folder import Folder
from unpool.errors import DataError
from unpool.io.documents import json_value
from unpool.io.placement import Placement
from unpool.io.read.images import image_info, read_image
from unpool.io.read.windows import open_picture
from unpool.io.text_files import read_text
from unpool.io.write.assembled import assembled_file
from unpool.wording import all_of, count_text, first_of, size_text

_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<number>\d{4})$")
_CASE_FOLDERS = frozenset({"imagestr", "imagests", "imagesval"})
_MOST_BYTES = 50_000_000
_MOST_CHANNELS = 64


@dataclass(frozen=True)
class ChannelFiles:
    """The files of one case: a picture whose channels are files.

    Attributes
    ----------
    case: the path of the case, without the channel and the suffix.
    files: by the number of the channel, from 0.
    """

    case: Path
    files: Mapping[int, Path]

    def missing(self, count: int) -> list[str]:
        """Return the channels that the case lacks of ``count``, as they stand in names."""
        return [f"{number:04}" for number in range(count) if number not in self.files]


def cases_of(paths: Iterable[Path]) -> list[ChannelFiles]:
    """Return the cases among some files: those whose names end with ``_`` and four digits.

    Raises
    ------
    DataError: two files are the same channel of a case.
    """
    cases: dict[Path, dict[int, Path]] = defaultdict(dict)
    for path in paths:
        if match := _CHANNEL.match(path.stem):
            files = cases[path.with_name(match["case"])]
            number = int(match["number"])
            if number in files:
                raise DataError(
                    f"{files[number]} and {path} are the same channel of one case",
                    "one file for each channel",
                    "move one of them out of the folder",
                )
            files[number] = path
    return [ChannelFiles(case, dict(sorted(files.items()))) for case, files in cases.items()]


def channel_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the channels in the ``dataset.json`` of a folder or of the one around it; else none."""
    for path in (folder / "dataset.json", folder.parent / "dataset.json"):
        try:
            data = json_value(read_text(path, _MOST_BYTES))
        except (DataError, ValueError):
            continue
        names = data.get("channel_names", data.get("modality")) if isinstance(data, dict) else None
        if isinstance(names, dict) and 0 < len(names) <= _MOST_CHANNELS:
            keys = {str(key): str(name) for key, name in names.items()}
            if keys.keys() == {str(k) for k in range(len(keys))}:
                return tuple(keys[str(k)] for k in range(len(keys)))
    return ()


def stacked(case: ChannelFiles, count: int) -> Path:
    """Return the file, in the cache folder, in which the channels of a case are stacked.

    Raises
    ------
    DataError: a channel is missing or cannot be read, or their sizes or types differ.
    RunError: there is no cache folder, or it cannot be written.
    """
    if missing := case.missing(count):
        raise DataError(
            f"{case.case}: {'channel' if len(missing) == 1 else 'channels'} {all_of(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing, of {count_text(count, 'channel')} in files",
            f"the files {case.case.name}_0000 to {case.case.name}_{count - 1:04}",
            "add the file, or move the other channels of this case out of the folder",
        )
    paths = [case.files[number] for number in range(count)]
    placement = _placement(paths[0])
    return assembled_file(paths, "channels stacked 2", case.case.name, partial(_stack, paths), placement=placement)


def _placement(path: Path) -> Placement:
    """Return the place and size that a file states; none of a file that cannot be read, which is refused later."""
    try:
        with open_picture(path) as picture:
            return picture.placement
    except DataError:
        return Placement()


def _stack(paths: Sequence[Path]) -> NDArray[Any]:
    pictures = [read_image(path) for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        if picture.shape[:2] != pictures[0].shape[:2] or picture.dtype != pictures[0].dtype:
            texts = [f"{size_text(each.shape[:2])} of type {each.dtype}" for each in (pictures[0], picture)]
            raise DataError(
                f"{paths[0]} is {texts[0]}, and {path}, another channel of it, {texts[1]}",
                "channels of one size and one pixel type",
                "export the channels again in one form",
            )
    return np.concatenate(pictures, axis=2)


def with_channels(folder: Folder) -> Folder:
    """Return the folder whose pictures are stacked from files of channels, where masks are named after the cases.

    Cases that cannot be stacked are left out, with an error for each.

    Raises
    ------
    DataError: no case can be stacked.
    """
    first = {pair.image for pair in folder.pairs if pair.image.stem == f"{pair.mask.stem}_0000"}
    lone = [path for path in folder.unpaired_images if _CHANNEL.match(path.stem)]
    if not first:
        return folder
    cases = {case.files[0]: case for case in cases_of([*first, *lone]) if case.files.get(0) in first}
    names = channel_names(next(iter(first)).parent)
    most = max(max(case.files) + 1 for case in cases.values())
    count = max(len(names), most)
    if count < 2 or count > _MOST_CHANNELS or (most == 1 and _has_channels(min(first), count)):
        return folder
    pairs: list[Pair] = []
    errors: list[tuple[str, DataError]] = []
    for pair in folder.pairs:
        try:
            image = stacked(cases[pair.image], count) if pair.image in cases else pair.image
            pairs.append(replace(pair, image=image))
        except DataError as error:
            errors.append((pair.name, error))
    if not pairs:
        raise errors[0][1]
    findings = [from_error(error, "channel-missing", name) for name, error in errors]
    used = {path for case in cases.values() for path in case.files.values()}
    texts = [f"{k:04} {name}" for k, name in enumerate(names)] if len(names) == count else []
    found = f"{count_text(count, 'channel')} in files of their own are stacked to one picture for each case"
    note = Finding("note", "channels-in-files", f"{found}{': ' if texts else ''}{first_of(texts, 8)}")
    left = tuple(path for path in folder.unpaired_images if path not in used)
    return replace(folder, pairs=tuple(pairs), unpaired_images=left, findings=(*folder.findings, *findings, note))


def _has_channels(path: Path, count: int) -> bool:
    """Return whether one file has all channels, as ``x_0000.png`` in colour, which nnU-Net reads."""
    try:
        return image_info(path).channels == count
    except DataError:
        return False


def cases_to_stack(paths: Sequence[Path], channels: int | None) -> tuple[list[ChannelFiles], int]:
    """Return the cases among pictures without masks, and the number of their channels; none where they are pictures.

    They are cases in a folder that nnU-Net names so, or with its ``dataset.json``, or where their numbers are those of
    a network with other channels than one or three. A film has such names too.

    Parameters
    ----------
    channels: of the network; None where it is not known.
    """
    cases = cases_of(paths)
    most = max((max(case.files) + 1 for case in cases), default=1)
    names = {folder: channel_names(folder) for folder in {case.case.parent for case in cases}}
    named = max(map(len, names.values()), default=0)
    if sum(len(case.files) for case in cases) < len(paths) or most > _MOST_CHANNELS or max(most, named) < 2:
        return [], 1
    if most == 1 and _has_channels(min(paths), named):
        return [], 1
    if named > 1 or all(case.case.parent.name.lower() in _CASE_FOLDERS for case in cases):
        return cases, max(named, most)
    whole = all(len(case.files) == most for case in cases)
    return (cases, most) if whole and channels == most and channels not in (1, 3) else ([], 1)


def film_or_channels(paths: Sequence[Path]) -> str:
    """Return a sentence on files that may be channels and are taken as pictures; empty without such files."""
    cases = cases_of(paths)
    counts = {len(case.files) for case in cases}
    alike = len(cases) > 1 and len(counts) == 1 and 1 < counts.pop() <= 8
    if not alike or sum(len(case.files) for case in cases) < len(paths):
        return ""
    names = first_of([path.name for path in list(cases[0].files.values())], 2)
    return f"{names} are taken as pictures of their own; if they are channels of one, rename their folder to imagesTs"
