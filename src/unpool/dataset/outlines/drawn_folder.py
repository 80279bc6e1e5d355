"""A folder of pictures with outlines: masks are drawn of them, and kept in the cache folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.dataset.findings import Finding, from_error
from unpool.dataset.mask_values.class_names import OF_OUTLINES, ClassNames
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.class_values import class_values, names_of_masks
from unpool.dataset.outlines.outline import AnnotatedPicture, Annotations, UndrawnFormat
from unpool.dataset.outlines.painting import BACKGROUND_VALUE, VOID_VALUE, Painting, paint
from unpool.dataset.outlines.picture_finder import PictureFinder, split_in_name
from unpool.dataset.outlines.recognition import TOOLS, Tool, annotation_files, recognised
from unpool.dataset.outlines.run_tables import ROOT
from unpool.dataset.pairing.folder import Folder, FolderContents, PlacedFile, composed
from unpool.dataset.pairing.matching import Match, paired_folder
from unpool.errors import DataError
from unpool.io.read.formats import read_header
from unpool.io.read.masks import read_mask
from unpool.io.read.raster import Header
from unpool.io.write.assembled import assembled_file
from unpool.orientation import Orientation
from unpool.shapes import Size
from unpool.wording import all_of, command_text, count_text, decodable, first_of, size_text

_RECIPE = "outlines 1"
"""Changes with the code that draws, so that masks of earlier versions are drawn again."""

_NAMED_LIKE = re.compile(r"instances|coco|annotation|^via_|labels", re.IGNORECASE)
"""Names of files with the outlines of many pictures, which are worth an error where they cannot be read."""

_LARGE = 50_000_000
"""Bytes from which a file that cannot be read may just be too large."""

_MOST_LOOKED_AT = 3
_MOST_BYTES_LOOKED_AT = 5_000_000
"""Files that are read to mention outlines which are not used, and bytes of each."""


def pair_outlines(contents: FolderContents) -> Folder | None:
    """Draw the masks of a folder whose pictures have outlines in files of an annotation tool; None without outlines.

    Raises
    ------
    DataError: there are annotations of a kind that is not drawn, or of several tools, or without any outline.
    RunError: the cache folder cannot be written.
    """
    finder = PictureFinder(contents.files)
    read = _read_all(contents, finder) if contents.files else _Read()
    drawable = [name for name, each in read.tools.items() if each.pictures or each.broken or each.absent]
    if len(drawable) > 1:
        raise _several_tools(contents, read, drawable)
    if not drawable:
        two_kinds = {file.kind == "mask" for file in contents.files} == {True, False}  # their names are the fault
        if not two_kinds and (read.undrawn or read.tools or read.unreadable):
            raise _nothing_to_draw(contents, read)
        return None
    return _Drawing(contents, TOOLS[drawable[0]], read.tools[drawable[0]]).folder()


def unused_outlines(contents: FolderContents) -> list[Finding]:
    """Return a note on annotation files in a folder that has masks, which are used instead."""
    finder = PictureFinder(contents.files)
    files = [file for file in annotation_files(contents.others, finder) if file.path.suffix.lower() != ".txt"]
    for file in files[:_MOST_LOOKED_AT]:
        try:
            if file.path.stat().st_size > _MOST_BYTES_LOOKED_AT:
                continue
            found = recognised(file)
        except (OSError, DataError):
            continue
        if found is not None and not isinstance(found, UndrawnFormat):
            name = file.path.relative_to(contents.root).as_posix()
            text = f"outlines of {TOOLS[found[0]].name} are not used, because there are masks: {decodable(name)}"
            return [Finding("note", "outlines-unused", text)]
    return []


@dataclass
class _Read:
    """What the files of a folder hold: annotations by tool, formats that are not drawn, and files without sense."""

    tools: dict[str, Annotations] = field(default_factory=dict)
    undrawn: list[tuple[Path, UndrawnFormat]] = field(default_factory=list)
    unreadable: list[tuple[Path, DataError]] = field(default_factory=list)


def _read_all(contents: FolderContents, finder: PictureFinder) -> _Read:
    read, empty = _Read(), []
    for file in annotation_files(contents.others, finder):
        try:
            found = recognised(file)
        except DataError as error:
            named = finder.has_stem(composed(file.path.stem)) or _NAMED_LIKE.search(file.path.name)
            if file.path.suffix.lower() == ".csv" or (named and _is_begun(file.path)):
                read.unreadable.append((file.path, _of_large(file.path, error)))
            continue
        if isinstance(found, UndrawnFormat):
            read.undrawn.append((file.path, found))
        elif found == ("yolo", []):
            empty.append(file)
        elif found:
            _add(contents, read, file, found, finder)
    for file in empty if "yolo" in read.tools else ():
        _add(contents, read, file, ("yolo", []), finder)
    for each in read.tools.values():
        each.broken += [(path, error.found) for path, error in read.unreadable]
    return read


def _of_large(path: Path, error: DataError) -> DataError:
    """Return the error of an annotation file; for one that is too large, with a repair for it."""
    if path.stat().st_size < _LARGE:
        return error
    return DataError(
        error.found,
        "annotation files that fit into memory",
        "split it into several files, each with the annotations of some pictures; they are read together",
    )


def _is_begun(path: Path) -> bool:
    """Return whether a file begins as JSON or XML does: one that breaks off was meant to hold outlines."""
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[", b"<")
    except OSError:
        return False


def _add(
    contents: FolderContents, read: _Read, file: PlacedFile, found: tuple[str, Any], finder: PictureFinder
) -> None:
    name, data = found
    tool = TOOLS[name]
    if name not in read.tools:
        read.tools[name] = Annotations(tool.name, tool.rule)
        read.tools[name].classes += tool.classes(contents.others) if tool.classes else []
    try:
        tool.read(file, data, finder, read.tools[name])
    except ValueError as error:
        read.tools[name].broken.append((file.path, str(error)))


def _several_tools(contents: FolderContents, read: _Read, names: Sequence[str]) -> DataError:
    counts = [f"{TOOLS[name].name} for {count_text(len(read.tools[name].pictures), 'picture')}" for name in names]
    return DataError(
        f"{contents.root}: outlines of several tools: {all_of(counts)}",
        "annotations of one tool",
        "move the annotation files that you do not mean out of the folder",
    )


def _nothing_to_draw(contents: FolderContents, read: _Read) -> DataError:
    pictures = f"{contents.root}: {count_text(len(contents.files), 'picture file')}, and no masks among them"
    if read.undrawn:
        path, undrawn = read.undrawn[0]
        name = decodable(path.relative_to(contents.root).as_posix())
        repair = undrawn.repair.replace(ROOT, command_text([contents.root]))
        return DataError(f"{pictures}; {undrawn.holds}, as {name}", "masks, or outlines", repair)
    if not read.tools:
        _, error = read.unreadable[0]
        return DataError(f"{pictures}; {error.found}", error.expected, error.repair)
    name = next(iter(read.tools))
    return _no_outlines(pictures, TOOLS[name], read.tools[name])


def _no_outlines(pictures: str, tool: Tool, found: Annotations) -> DataError:
    """Return the error of annotations in which no shape surrounds an area."""
    kinds = _counts_text(found.undrawn)
    have = f"{pictures}; there are {tool.files}s of {tool.name}, with {kinds or 'no shape in them'}"
    if any(kind.startswith("boxes") for kind in found.undrawn):
        return DataError(
            f"{have}: a box does not show which pixels belong to an object",
            "masks, or outlines that surround each object",
            f"draw polygons in {tool.name} or another annotation tool, and export again",
        )
    return DataError(
        f"{have}, and no outline that surrounds an area" if kinds else have,
        "masks, or outlines that surround each object",
        f"draw the objects in {tool.name}, and export again",
    )


@dataclass
class _Drawing:
    """The masks of a folder while they are drawn, and what there is to say about them."""

    contents: FolderContents
    tool: Tool
    found: Annotations
    classes: list[NamedClass] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    overlaps: dict[str, int] = field(default_factory=dict)
    hidden: dict[str, int] = field(default_factory=dict)
    unreadable: list[Finding] = field(default_factory=list)

    def folder(self) -> Folder:
        """Return the folder with a drawn mask for every picture that has an annotation."""
        root, found = self.contents.root, self.found
        self._require_one_each()
        if not found.pictures and found.absent:
            raise DataError(
                f"{root}: outlines of {count_text(len(found.absent), 'picture')}, none of which is here: "
                f"{first_of(found.absent, 3)}",
                "the pictures under the names that the annotations have, such as "
                f"{decodable(self.contents.files[0].path.name)}",
                "bring the pictures, or give them their names back",
            )
        labels = [outline.label for each in found.pictures for outline in each.outlines]
        if not labels and not found.broken:
            pictures = f"{root}: {count_text(len(self.contents.files), 'picture file')}, and no masks among them"
            raise _no_outlines(pictures, self.tool, found)
        self.classes = class_values(found.classes, labels, str(root))
        self.values = {named.name: named.value or 0 for named in self.classes}
        pairs = [pair for each in found.pictures if (pair := self._pair(each))]
        used = {image.path for image, _ in pairs}
        if not pairs and self.unreadable:
            first = self.unreadable[0]
            raise DataError(first.found, first.expected, first.repair)
        if not pairs:
            raise self._broken_error(*found.broken[0])
        count = count_text(len({each.source for each in found.pictures}), self.tool.files)
        layout = f"pictures with outlines of {self.tool.name} in {count}, drawn into masks"
        folder = paired_folder(root, layout, Match(tuple(pairs), (), (), ""))
        findings = self._findings([file for file in self.contents.files if file.path not in used])
        sources = tuple(dict.fromkeys(each.source for each in found.pictures))
        return replace(folder, names=self._names(), findings=tuple(findings), lists=sources)

    def _names(self) -> ClassNames:
        void = any(o.crowd or self.values[o.label] == VOID_VALUE for each in self.found.pictures for o in each.outlines)
        return names_of_masks(self.classes, f"{OF_OUTLINES}{self.tool.name}", self.contents.instances, void)

    def _require_one_each(self) -> None:
        sources: dict[Path, Path] = {}
        for each in self.found.pictures:
            other = sources.setdefault(each.picture.path, each.source)
            if other != each.source:
                raise DataError(
                    f"{other} and {each.source} both have outlines of {each.picture.path.name}",
                    "one annotation for each picture",
                    "move the file that you do not mean out of the folder",
                )

    def _pair(self, each: AnnotatedPicture) -> tuple[PlacedFile, PlacedFile] | None:
        """Return a picture and its drawn mask; None where something is wrong, which is noted."""
        path = each.picture.path
        try:
            header = read_header(path)
        except DataError as error:
            self.unreadable.append(from_error(error, "broken-image", str(path)))
            return None
        try:
            mask = self._mask(each, *_frame(header, each.size))
        except ValueError as error:
            self.found.broken.append((each.source, f"{path.name}: {error}"))
            return None
        split = split_in_name(each.source) or each.picture.split  # a folder may hold train and val
        return replace(each.picture, split=split), replace(each.picture, path=mask, kind="mask")

    def _mask(self, each: AnnotatedPicture, size: Size, orientation: Orientation) -> Path:
        """Return the file of a drawn mask, and note what its outlines hide."""
        objects, path = self.contents.instances, each.picture.path
        painted: list[Painting] = []

        def painting() -> Painting:
            if not painted:
                painted.append(
                    paint(each.outlines, size, self.values, objects=objects, smaller_on_top=self.tool.smaller_on_top)
                )
            return painted[0]

        def mask() -> NDArray[Any]:
            return orientation.apply(painting().mask)

        def counts() -> NDArray[Any]:
            return np.array([[painting().overlap, painting().hidden]], np.int32)

        kind = "objects" if objects else repr(sorted(self.values.items()))
        recipe = f"{_RECIPE}; {self.tool.name}; {kind}; {path.relative_to(self.contents.root).as_posix()}; {size}"
        sources = [path, each.source]
        drawn = assembled_file(sources, recipe, path.stem, mask, ".tif" if objects else ".png")
        overlap, hidden = read_mask(assembled_file(sources, f"{recipe}; counts", "counts", counts)).reshape(-1).tolist()
        name = decodable(path.relative_to(self.contents.root).as_posix())
        if overlap:
            self.overlaps[name] = overlap
        if hidden:
            self.hidden[name] = hidden
        return drawn

    def _findings(self, without: Sequence[PlacedFile]) -> list[Finding]:
        found, tool = self.found, self.tool
        findings = [self._drawn_note()]
        if self.overlaps:
            findings.append(self._overlap_note())
        if self.hidden:
            count = count_text(sum(self.hidden.values()), "outline")
            text = f"{count} without a pixel left: too small, outside, or hidden by others, in {_names(self.hidden)}"
            findings.append(Finding("note", "outlines-hidden", text, files=tuple(self.hidden)))
        if found.undrawn:
            kinds = _counts_text(found.undrawn)
            if kinds:
                findings.append(
                    Finding(
                        "warning",
                        "outlines-not-drawn",
                        f"not drawn, because they surround no area: {kinds}; their objects are background",
                        "outlines that surround each object",
                        f"draw polygons instead in {tool.name}, if these objects count",
                    )
                )
        empty = [each.picture.path.name for each in found.pictures if not each.outlines]
        if empty:
            text = f"{count_text(len(empty), 'picture')} with an annotation without outlines: all is background"
            findings.append(Finding("note", "no-outlines", f"{text} ({first_of(empty, 3)})", files=tuple(empty)))
        findings += self._unlabelled(without)
        if found.absent:
            count = count_text(len(found.absent), "picture")
            findings.append(
                Finding(
                    "warning",
                    "orphan-outlines",
                    f"outlines of {count} that are not here: {first_of(found.absent, 3)}",
                    "the pictures of all annotations",
                    "bring the pictures, or go on without them",
                )
            )
        return [*findings, *self.unreadable, *(self._broken(path, why) for path, why in found.broken)]

    def _drawn_note(self) -> Finding:
        kinds = Counter(outline.kind for each in self.found.pictures for outline in each.outlines)
        shapes = all_of([count_text(count, kind) for kind, count in kinds.most_common()])
        crowds = sum(outline.crowd for each in self.found.pictures for outline in each.outlines)
        crowd = ""
        if crowds:
            fate = "count nowhere" if self.contents.instances else "are of their class"
            crowd = f"; the pixels of {count_text(crowds, 'crowd')} {fate}"
        wide = kinds.keys() & {"line", "linestrip", "point"} if self.tool.name == "labelme" else ()
        widened = "; lines are 10 pixels wide, and points are discs of radius 5" if wide else ""
        counted = [named.name for named in self.classes if named.value not in (BACKGROUND_VALUE, VOID_VALUE)]
        joint = f"; objects of all classes ({first_of(counted)}) are numbered together" if len(counted) > 1 else ""
        crowd += joint if self.contents.instances else ""
        text = f"masks are drawn of {self.tool.name}'s outlines ({shapes}), {self.tool.rule}{widened}{crowd}"
        return Finding("note", "outlines-drawn", f"{text}; they are kept in the cache folder")

    def _overlap_note(self) -> Finding:
        what = "objects" if self.contents.instances else "classes"
        top = "smaller ones are on top" if self.tool.smaller_on_top else "later ones are on top"
        pixels = sum(self.overlaps.values())
        return Finding(
            "note",
            "outlines-overlap",
            f"{count_text(pixels, 'pixel')} in {count_text(len(self.overlaps), 'picture')} in outlines of two {what}: "
            f"{top}; most in {_names(self.overlaps)}",
            files=tuple(self.overlaps),
        )

    def _unlabelled(self, without: Sequence[PlacedFile]) -> list[Finding]:
        named = {each.picture.path for each in self.found.pictures}
        broken = {path.stem for path, _ in self.found.broken}
        paths = [file.path for file in without if file.path not in named and file.path.stem not in broken]
        if not paths:
            return []
        return [
            Finding(
                "warning",
                "unlabelled-pictures",
                f"{count_text(len(paths), 'picture')} without an annotation, left out: "
                f"{first_of([decodable(path.name) for path in paths], 5)}",
                "an annotation for every picture, also without an outline where nothing is to be seen",
                f"annotate them in {self.tool.name}, or go on without them",
                tuple(map(str, paths)),
            )
        ]

    def _broken(self, path: Path, why: str) -> Finding:
        error = self._broken_error(path, why)
        return Finding("error", "broken-outlines", error.found, error.expected, error.repair, (str(path),))

    def _broken_error(self, path: Path, why: str) -> DataError:
        found = why if why.startswith(str(path)) else f"{decodable(str(path))}: {why}"
        return DataError(
            found,
            f"annotations as {self.tool.name} writes them",
            f"correct it in {self.tool.name} and export again, or move the file out of the folder",
        )


def _counts_text(counts: Counter[str]) -> str:
    return all_of([f"{kind} ({count:,})" for kind, count in counts.items() if count])


def _names(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda each: -each[1])
    return first_of([f"{name} ({count:,})" for name, count in most], 3)


def _frame(header: Header, declared: Size | None) -> tuple[Size, Orientation]:
    """Return the size of the picture in which outlines were drawn, and the orientation that its mask then needs.

    Tools that pass over EXIF's orientation draw on the picture as it is stored.

    Raises
    ------
    ValueError: the outlines were drawn on a picture of another size.
    """
    stored = header.rows, header.columns
    shown = header.orientation.size(stored)
    if declared in (None, shown):
        return shown, Orientation()
    if declared == stored:
        return stored, header.orientation
    raise ValueError(
        f"outlines on a picture of {size_text(declared or (0, 0))}, and the picture has {size_text(shown)} "
        "(rows x columns)"
    )
