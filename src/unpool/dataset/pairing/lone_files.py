"""Files without a partner in a folder that has pairs: further masks of its pictures, and others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unpool.dataset.findings import Finding, from_error
from unpool.dataset.pairing.belonging import belonging_by
from unpool.dataset.pairing.channels import with_channels
from unpool.dataset.pairing.few_values import share_with_few_values
from unpool.dataset.pairing.folder import Folder, FolderContents, composed
from unpool.dataset.pairing.foreign_formats import FOREIGN_FORMATS
from unpool.dataset.pairing.joined_masks import JoinedMask, MaskPart, joined_mask
from unpool.dataset.pairing.partners import JOIN, ONE_MASK
from unpool.dataset.pairing.several_masks import overlap_findings
from unpool.dataset.pairing.unread_files import full_suffix
from unpool.dataset.pairing.unused_masks import unused_masks
from unpool.dataset.pairing.words import DRAWN_FROM_MASKS, UNUSED
from unpool.errors import DataError
from unpool.wording import count_text, first_of


def with_lone_files(contents: FolderContents, folder: Folder) -> Folder:
    """Return the folder with findings about its files without a partner.

    Further parts of a mask, such as ``x_mask_1`` beside ``x_mask``, are joined with it. Further masks, such as
    ``x_color`` where ``x_labelIds`` is the mask of ``x``, are no longer masks without a picture.
    """
    parts = continued_masks(folder)
    others = _other_masks(contents, folder, {path for _, path in parts})
    explained = {path for _, path in parts} | {path for path, _ in others}
    left = replace(
        folder,
        unpaired_images=tuple(path for path in folder.unpaired_images if path not in explained),
        unpaired_masks=tuple(path for path in folder.unpaired_masks if path not in explained),
    )
    left = with_channels(_with_parts(contents, left, parts))
    left = replace(left, findings=(*left.findings, *_other_findings(others), *_orphans(contents, left)))
    return replace(left, findings=(*left.findings, *_unused_findings(contents, left)))


def continued_masks(folder: Folder) -> list[tuple[Path, Path]]:
    """Return each mask of a pair with the file that continues it: ``x_mask`` with ``x_mask_1``."""
    masks = {pair.mask.with_suffix(""): pair.mask for pair in folder.pairs if pair.mask.stem != pair.image.stem}
    found: list[tuple[Path, Path]] = []
    for path in (*folder.unpaired_masks, *folder.unpaired_images):
        number = re.search(r"[_\-. ]?\(?\d+\)?$", path.stem)
        mask = masks.get(path.with_name(path.stem[: number.start()] or path.name)) if number else None
        found += [(mask, path)] if mask else []
    return found


def _with_parts(contents: FolderContents, folder: Folder, parts: Sequence[tuple[Path, Path]]) -> Folder:
    """Return the folder in which each mask is joined with the files that continue it."""
    if not parts:
        return folder
    parts_of: dict[Path, list[Path]] = {}
    for mask, path in parts:
        parts_of.setdefault(mask, []).append(path)
    joined: dict[Path, JoinedMask] = {}
    broken: list[Finding] = []
    for pair in folder.pairs:
        if pair.mask in parts_of:
            files = [pair.mask, *sorted(parts_of[pair.mask])]
            try:
                joined[pair.image] = joined_mask(
                    [MaskPart(path, k) for k, path in enumerate(files, 1)],
                    "objects" if contents.instances else "parts",
                    pair.mask.stem,
                )
            except DataError as error:
                broken.append(from_error(error, "broken-part", pair.name))
    pairs = [replace(pair, mask=joined[pair.image].path) if pair.image in joined else pair for pair in folder.pairs]
    mask, path = parts[0]
    names = f"{mask.relative_to(folder.root).as_posix()} and {path.name}"
    found = f"{count_text(len(parts_of), 'picture')} with a mask in several files, such as {names}: these are joined"
    note = Finding("note", "joined-parts", found, files=tuple(str(path) for _, path in parts))
    findings = (*folder.findings, note, *broken, *overlap_findings(pairs, joined, "the first of them counts there"))
    return replace(folder, pairs=tuple(pairs), findings=findings)


def _unused_findings(contents: FolderContents, folder: Folder) -> list[Finding]:
    """Return the warning that files which no layout uses may be the masks."""
    known = {name for finding in folder.findings for name in finding.files}
    series = unused_masks(contents, folder, known)
    if series is None:
        return []
    found = f"not used: {count_text(len(series.pairs), 'file')} {series.text}, with the names of the pictures and few "
    found += "values, as masks have"
    repair = f"if they are the masks, move the others into a folder {UNUSED}/; else move them there"
    files = tuple(str(mask.path) for _, mask in series.pairs)
    return [Finding("warning", "unused-masks", found, ONE_MASK, repair, files)]


def _other_masks(contents: FolderContents, folder: Folder, known: set[Path]) -> list[tuple[Path, str]]:
    """Return the masks without a partner whose pictures have another mask, with the last word of their names.

    Of files that may be pictures without a mask those are among them that are named as drawings, or hold few values.
    """
    images = {pair.image for pair in folder.pairs}
    lone = {*folder.unpaired_masks, *folder.unpaired_images} - known
    paired = [file for file in contents.files if file.path in images]
    found = belonging_by("word", paired, [file for file in contents.files if file.path in lone])
    by_word: dict[str, list[Path]] = {}
    for _, masks in found.masks:
        for mask in masks:
            by_word.setdefault(re.split(r"[_\-. ]", mask.path.stem)[-1], []).append(mask.path)
    sure = {*folder.unpaired_masks}
    return [
        (path, word)
        for word, paths in by_word.items()
        if sure.issuperset(paths) or _is_drawn_from_masks(paths[0]) or share_with_few_values(paths) == 1
        for path in paths
    ]


def _is_drawn_from_masks(path: Path) -> bool:
    words = re.split(r"[_\-. ]", path.stem.lower())
    return bool({words[-1], "".join(words[-2:])} & (DRAWN_FROM_MASKS - {"rgb"}))


def _other_findings(others: Sequence[tuple[Path, str]]) -> list[Finding]:
    """Return a note on masks that are drawn from the others, and a warning of those that may not be."""
    findings = []
    for derived in (True, False):
        chosen = [(path, word) for path, word in others if _is_drawn_from_masks(path) == derived]
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
