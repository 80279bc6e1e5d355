"""shapes: masks as polygons or runs of pixels, in files for QuPath, QGIS, ImageJ, COCO and YOLO."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.checkpoint.models import load_model
from unpool.class_table import IGNORE_ID, ClassTable
from unpool.commands.events import Event, Message, Progress
from unpool.commands.run_folder import model_file
from unpool.dataset.mask_values.class_names import ClassNames, names_by_hand, names_in_folder
from unpool.dataset.mask_values.new_table import choose_kind, instance_table, make_table
from unpool.dataset.mask_values.options import BY_THE_MASKS, MaskOptions
from unpool.dataset.mask_values.tally import MaskTally, tally_mask
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.pairing.folder import FolderContents, placed_file
from unpool.errors import DataError, UsageError
from unpool.export.shapes.regions import Regions, ShapeClass, class_regions, object_regions, shape_classes
from unpool.export.shapes.shape_files import SHAPE_FORMATS, Coordinates, MaskFile, ShapeFiles, ShapeFormat
from unpool.io.destination import claimed, is_unused, require_writable
from unpool.io.folders import find_files
from unpool.io.read.formats import read_header
from unpool.io.read.masks import MaskPicture, load_mask
from unpool.wording import all_of, count_text

EXTRA_FOLDERS = frozenset({"overlays", "probabilities", "uncertainty", "objects", "measurements"})
"""Folders that ``predict`` writes beside its masks."""

_OBJECT_BITS = 17
"""Bits of a mask pixel from which it is an object number: classes need 16 bits at most."""


@dataclass(frozen=True)
class ShapeOptions:
    """The options of ``shapes``.

    Attributes
    ----------
    masks: what the masks hold, and the names of their classes.
    model: a model whose classes the masks have; None takes them from ``masks``, from a class file beside the masks, or
        from the values in them.
    objects: whether each connected object of a class is a shape of its own. Object numbers always are.
    pictures: a folder with the pictures of the masks, for their file names in COCO; None takes the names of the masks.
    """

    masks: MaskOptions = BY_THE_MASKS
    model: Path | None = None
    objects: bool = False
    pictures: Path | None = None
    coordinates: Coordinates = "auto"


class WrittenShapes(NamedTuple):
    """The result of ``shapes``.

    Attributes
    ----------
    target: the file or the folder that was written.
    shapes: number of shapes, by class.
    notes: sentences on what the format cannot hold, and on coordinates.
    """

    target: Path
    files: tuple[Path, ...]
    masks: int
    shapes: dict[str, int]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        return {
            "target": str(self.target),
            "files": [str(path) for path in self.files],
            "masks": self.masks,
            "shapes": self.shapes,
            "notes": list(self.notes),
        }


DEFAULT_SHAPES = ShapeOptions()


def shapes(
    masks: Path, to: ShapeFormat, out: Path | None = None, options: ShapeOptions = DEFAULT_SHAPES
) -> Generator[Event, None, WrittenShapes]:
    """Write the shapes of a mask, or of all masks of a folder, for other programs. No file is replaced.

    Parameters
    ----------
    masks: a mask file or a folder of them, as ``predict`` writes them.
    out: the file or folder to write; by default beside the masks, with their name and that of the format. COCO is one
        file, YOLO a folder with ``labels`` and ``data.yaml``; the others are a file for each mask.

    Raises
    ------
    UsageError: the output exists, or the options do not fit.
    DataError: there are no masks, or one cannot be read or has a value that is in no class.
    """
    listed = list(_mask_files(masks, options.pictures))
    layout = SHAPE_FORMATS[to].layout
    folder = layout == "folder" or (layout == "each" and masks.is_dir())
    target = _target(masks, to, out, folder)
    require_writable(target.parent)
    if os.path.lexists(target) and not (folder and is_unused(target)):
        raise UsageError(f"{target} exists", f"a new {'or empty folder' if folder else 'file'}", "give another --out")
    source, table = yield from _classes(masks, listed, options)
    yield Message(f"{count_text(len(listed), 'mask')}; classes {source}: {table.describe_values()}")
    files = ShapeFiles(target, folder, shape_classes(table), options.coordinates)
    with _claimed(target if folder else None), _all_or_none(files):
        for done, mask in enumerate(listed, 1):
            files.add(to, mask, _regions(mask.path, table, files.classes, options))
            yield Progress("writing shapes", done, len(listed))
        files.finish(to)
    counted = all_of([f"{count:,} of {name}" for name, count in files.counts.items()]) or "none"
    summary = f"{target}: {count_text(len(files.files), 'file')}; shapes: {counted}"
    yield Message("\n".join([summary, *files.notes()]))
    return WrittenShapes(target, tuple(files.files), len(listed), files.counts, files.notes())


def _mask_files(masks: Path, pictures: Path | None) -> Iterator[MaskFile]:
    """Yield the masks with their names, and the names of their pictures."""
    if not masks.exists():
        raise DataError(f"{masks}: no such file or folder", "a mask, or a folder of masks", "check the path")
    root = masks if masks.is_dir() else masks.parent
    names = (
        [PurePosixPath(path.relative_to(root).as_posix()) for path in find_files(root).pictures]
        if masks.is_dir()
        else [PurePosixPath(masks.name)]
    )
    names = [name for name in names if not EXTRA_FOLDERS.intersection(name.parts[:-1])]
    if not names:
        raise DataError(f"{masks}: no mask in it", "a folder of masks, as unpool predict writes it", "check the path")
    if pictures is not None and not pictures.is_dir():
        raise DataError(f"--pictures {pictures}: no such folder", "the folder of the masks' pictures", "check the path")
    finder = PictureFinder(FolderContents(pictures).files) if pictures else None
    for name in names:
        path = root / name
        picture = finder.by_stem(name.stem, placed_file(root, path)) if finder else None
        if finder and picture is None:
            raise DataError(
                f"{path}: no picture with its name in {pictures}",
                "a picture for every mask, with the same name",
                "give the folder of their pictures, or leave --pictures out",
            )
        shown = picture.path.relative_to(pictures).as_posix() if picture and pictures else name.as_posix()
        yield MaskFile(path, name, shown)


def _target(masks: Path, to: ShapeFormat, out: Path | None, folder: bool) -> Path:
    """Return the file or the folder to write."""
    suffix, whole = SHAPE_FORMATS[to].suffix, masks.absolute()
    if out is None:
        if masks.is_file() and not folder:
            return masks.with_suffix(suffix)
        return whole.with_name(f"{whole.stem if masks.is_file() else whole.name}-{to}{'' if folder else suffix}")
    if not folder and (out.is_dir() or not out.suffix):
        return out / f"{whole.stem if masks.is_file() else whole.name}{suffix}"
    if folder and out.suffix.lower() == suffix:
        what = "a dataset of YOLO" if to == "yolo" else "a folder of masks"
        raise UsageError(f"--out {out} for {what}", "a folder", f"give --out {out.with_suffix('')}")
    return out


@contextmanager
def _claimed(folder: Path | None) -> Iterator[None]:
    """Keep other commands from a folder that is written; a file is written in one step."""
    if folder is None:
        yield
        return
    with claimed(folder):
        yield


@contextmanager
def _all_or_none(files: ShapeFiles) -> Iterator[None]:
    """Remove what was written where one mask cannot be: some of the files would look like all of them."""
    try:
        yield
    except BaseException:
        for path in files.files:
            path.unlink(missing_ok=True)
        below = {parent for path in files.files for parent in path.parents if files.target in parent.parents}
        for folder in sorted(below, reverse=True):
            with suppress(OSError):  # somebody put a file there
                folder.rmdir()
        raise


def _classes(
    masks: Path, listed: Sequence[MaskFile], options: ShapeOptions
) -> Generator[Event, None, tuple[str, ClassTable]]:
    """Return where the classes are from, and their table. Without a model all masks are read for it."""
    if options.model is not None:
        for option, given in (("--classes", options.masks.classes), ("--ignore", options.masks.ignore)):
            if given:
                raise UsageError(
                    f"--model {options.model} with {option} {' '.join(map(str, given))}",
                    "classes and ignored values from one of them",
                    "leave one of them out",
                )
        return f"of {options.model}", _of_model(options.model, listed, options.masks)
    names = names_by_hand(options.masks.classes) if options.masks.classes else _file_names(masks)
    source = f"from {names.source}" if names else "by the masks' values"
    tallies: list[MaskTally] = []
    for done, mask in enumerate(listed, 1):
        read = load_mask(mask.path)
        absent = _without_data(read)
        if absent is None or not absent.all():
            tallies.append(tally_mask(str(mask.name), read, inside=None if absent is None else ~absent))
        yield Progress("reading masks", done, len(listed))
    if not tallies:
        raise DataError(f"{masks}: no pixel with data", "masks that show classes", "give other masks, or the --model")
    numbered = any(tally.bits >= _OBJECT_BITS and not tally.colour for tally in tallies)
    if options.masks.kind == "instances" or (options.masks.kind == "auto" and numbered):
        return source, instance_table(names, options.masks.ignore).table
    kind = choose_kind(tallies, options.masks.kind)
    readable = [each for tally in tallies if (each := tally.as_kind(kind))]
    if len(readable) < len(tallies):
        raise DataError(
            f"{masks}: masks of single values and masks of colours",
            "masks of one form",
            "give one mask at a time, or a folder for each form",
        )
    made = make_table(readable, kind, names, options.masks.ignore, camvid=False)
    for finding in made.findings:
        if finding.code != "class-names":
            yield Message(f"note: {finding.found}")
    return source, made.table


def _of_model(model: Path, listed: Sequence[MaskFile], given: MaskOptions) -> ClassTable:
    """Return the table of a model; for object numbers, a table of objects with the name of its only class of them."""
    table = load_model(model_file(model)).segmenter.classes
    headers = [read_header(mask.path) for mask in listed] if given.kind == "auto" else []
    numbered = any(header.bits >= _OBJECT_BITS and header.channels == 1 for header in headers)
    if table.kind == "instances" or not (numbered or given.kind == "instances"):
        return table
    name = table.names[1] if len(table) == 2 else "object"
    return ClassTable("instances", (table.names[0], name), ((0,), (1,)), (), table.colours[:2])


def _table_of_file(path: Path, table: ClassTable) -> ClassTable:
    """Return the table of a mask: with class ids for colours in a grey file, as ``predict --mask-form grey`` writes."""
    if table.kind != "colours" or read_header(path).form != "grey":
        return table
    ids = ClassTable("values", table.names, tuple((k,) for k in range(len(table))), (), table.colours)
    mask = load_mask(path)
    absent = _without_data(mask, ids)
    present = np.unique(mask.values if absent is None else mask.values[~absent]).tolist()
    greys = {colour for values in table.values for colour in values}
    by_ids = all(value < len(table) for value in present) and any((value,) * 3 not in greys for value in present)
    return ids if by_ids else table


def _without_data(mask: MaskPicture, table: ClassTable | None = None) -> NDArray[np.bool_] | None:
    """Return which pixels a mask declares to have no data, as ``predict`` writes them; None where it declares none.

    The background may be declared so: 0, or what the table has as a class.
    """
    declared = mask.header.missing
    if not declared or mask.values.ndim == 3 or (table and any(declared in values for values in table.values)):
        return None
    absent: NDArray[np.bool_] = mask.values == declared
    return absent if absent.any() else None


def _file_names(masks: Path) -> ClassNames | None:
    """Return the names in a class file beside the masks; None without one."""
    root = masks if masks.is_dir() else masks.parent
    files = find_files(root).files if masks.is_dir() else [path for path in root.iterdir() if path.is_file()]
    return names_in_folder(root, files, "name the classes with --classes, or give the --model")


def _regions(path: Path, table: ClassTable, classes: Sequence[ShapeClass], options: ShapeOptions) -> Regions:
    """Return the regions of a mask file. Object numbers up to 1 may also be a class, as ``predict`` writes it.

    Pixels that the file declares to have no data are in no region, unless their value is that of a class.
    """
    table = _table_of_file(path, table)
    read = load_mask(path, table.kind)
    absent = _without_data(read, table)
    if table.kind != "instances":
        known = read.values if absent is None else np.where(absent, table.values[0][0], read.values)
        labels = table.encode(known, str(path))
        if absent is not None:
            labels[absent] = IGNORE_ID
        return class_regions(labels, classes, objects=options.objects)
    mask = read.values.astype(np.int32)
    mask[np.isin(mask, table.ignore) if absent is None else np.isin(mask, table.ignore) | absent] = 0
    if mask.max(initial=0) > 1:
        return object_regions(mask, classes[0])
    return class_regions(mask.astype(np.uint8), classes, objects=options.objects)
