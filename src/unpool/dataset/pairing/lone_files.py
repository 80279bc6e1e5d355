"""Files without a partner in a folder that has pairs: further masks of its pictures, and others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unpool.dataset.findings import Finding
from unpool.dataset.pairing.belonging import belonging_by
from unpool.dataset.pairing.folder import Folder, FolderContents, composed
from unpool.dataset.pairing.foreign_formats import FOREIGN_FORMATS
from unpool.dataset.pairing.partners import JOIN, ONE_MASK
from unpool.dataset.pairing.unread_files import full_suffix
from unpool.dataset.pairing.words import DERIVED_WORDS
from unpool.wording import count_text, first_of


def with_lone_files(contents: FolderContents, folder: Folder) -> Folder:
    """Return the folder with findings about its files without a partner.

    Further masks, such as ``x_color`` where ``x_labelIds`` is the mask of ``x``, are no longer masks without a picture.
    """
    parts = _continued(folder)
    others = _other_masks(contents, folder, {path for _, path in parts})
    explained = {path for _, path in parts} | {path for path, _ in others}
    left = replace(
        folder,
        unpaired_images=tuple(path for path in folder.unpaired_images if path not in explained),
        unpaired_masks=tuple(path for path in folder.unpaired_masks if path not in explained),
    )
    channels = _channels(left)
    left = replace(left, unpaired_images=tuple(path for path in left.unpaired_images if path not in channels))
    findings = [*_parts_findings(folder.root, parts), *_channel_findings(channels), *_other_findings(others)]
    findings += _orphans(contents, left)
    return replace(left, findings=(*folder.findings, *findings))


def _continued(folder: Folder) -> list[tuple[Path, Path]]:
    """Return each mask of a pair with the file that continues it: ``x_mask`` with ``x_mask_1``."""
    masks = {pair.mask.with_suffix(""): pair.mask for pair in folder.pairs if pair.mask.stem != pair.image.stem}
    found: list[tuple[Path, Path]] = []
    for path in (*folder.unpaired_masks, *folder.unpaired_images):
        number = re.search(r"[_\-. ]?\(?\d+\)?$", path.stem)
        mask = masks.get(path.with_name(path.stem[: number.start()] or path.name)) if number else None
        found += [(mask, path)] if mask else []
    return found


def _parts_findings(root: Path, parts: Sequence[tuple[Path, Path]]) -> list[Finding]:
    if not parts:
        return []
    mask, path = parts[0]
    found = f"{count_text(len({mask for mask, _ in parts}), 'picture')} with more than one mask"
    names = f"{mask.relative_to(root).as_posix()} and {path.name}"
    files = tuple(str(path) for _, path in parts)
    return [Finding("error", "several-masks", f"{found}, such as {names}", ONE_MASK, JOIN, files)]


def _channels(folder: Folder) -> list[Path]:
    """Return the pictures that are further channels of paired ones: ``x_0001`` beside ``x_0000``, as nnU-Net has."""
    first = {pair.image.with_suffix("") for pair in folder.pairs if pair.image.stem == f"{pair.mask.stem}_0000"}
    return [
        path
        for path in folder.unpaired_images
        if re.search(r"_\d{4}$", path.stem) and path.with_name(f"{path.stem[:-4]}0000") in first
    ]


def _channel_findings(channels: Sequence[Path]) -> list[Finding]:
    if not channels:
        return []
    found = f"{count_text(len(channels), 'picture')} with further channels of others, which are not read together"
    return [
        Finding(
            "error",
            "channels-in-files",
            f"{found}: {first_of([path.name for path in channels])}",
            "all channels of a picture in one file",
            "join the files of each picture into one TIFF with several channels; or move the channels that you do not "
            "mean out of the folder",
            tuple(map(str, channels)),
        )
    ]


def _other_masks(contents: FolderContents, folder: Folder, known: set[Path]) -> list[tuple[Path, str]]:
    """Return the masks without a partner whose pictures have another mask, with the last word of their names."""
    images = {pair.image for pair in folder.pairs}
    lone = {*folder.unpaired_masks} - known
    paired = [file for file in contents.files if file.path in images]
    found = belonging_by("word", paired, [file for file in contents.files if file.path in lone])
    return [(mask.path, re.split(r"[_\-. ]", mask.path.stem)[-1]) for _, masks in found.masks for mask in masks]


def _other_findings(others: Sequence[tuple[Path, str]]) -> list[Finding]:
    """Return a note on masks that are drawn from the others, and a warning of those that may not be."""
    findings = []
    for derived in (True, False):
        chosen = [(path, word) for path, word in others if (word.lower() in DERIVED_WORDS) == derived]
        if not chosen:
            continue
        counts = Counter(word for _, word in chosen)
        words = first_of([f"{count} of '{word}'" for word, count in counts.most_common()])
        findings.append(
            Finding(
                "note" if derived else "warning",
                "other-masks",
                f"not used, because their pictures have another mask: {words}, such as {chosen[0][0].name}",
                "" if derived else ONE_MASK,
                "" if derived else JOIN,
                tuple(str(path) for path, _ in chosen),
            )
        )
    return findings


def _orphans(contents: FolderContents, folder: Folder) -> list[Finding]:
    """Return the warnings of pictures without a mask, and of masks without a picture, each with its cause."""
    findings = []
    for paths, noun, partner, code in (
        (folder.unpaired_images, "picture", "mask", "orphan-images"),
        (folder.unpaired_masks, "mask", "picture", "orphan-masks"),
    ):
        if not paths:
            continue
        names = first_of([path.name for path in paths], 5)
        cause, repair = _cause(contents, folder, paths, partner)
        findings.append(
            Finding(
                "warning",
                code,
                f"{count_text(len(paths), noun)} without a {partner}: {names}{cause}",
                f"a {partner} with the same name for every {noun}",
                f"{repair}; a {noun} without one is left out",
                tuple(map(str, paths)),
            )
        )
    return findings


def _cause(contents: FolderContents, folder: Folder, lone: Sequence[Path], partner: str) -> tuple[str, str]:
    """Return why files have no partner, empty where it is not known, and what to do."""
    stems = {composed(path.stem) for path in lone}
    unread = [
        file.path
        for file in contents.others
        if full_suffix(file.path) in FOREIGN_FORMATS and composed(file.path.name.split(".")[0]) in stems
    ]
    if unread:
        place, suffix = unread[0].relative_to(contents.root).as_posix(), full_suffix(unread[0])
        what, written = FOREIGN_FORMATS[suffix].what, unread[0].name[len(unread[0].name) - len(suffix) :]
        repair = FOREIGN_FORMATS[suffix].repair_text(contents.root, written)
        return f"; {place} is there, but {suffix} files ({what}) are not read", repair
    others = {*folder.unpaired_masks, *folder.unpaired_images} - {*lone}
    same = next((path for path in sorted(others) if composed(path.stem) in stems), None)
    if same:
        place = same.relative_to(contents.root).as_posix()
        return f"; {place} is there, in another sub-folder", f"give every {partner} the sub-folder of its partner"
    return "", f"add or rename the {partner}"
