"""The objects of one picture: their numbers as a TIFF, and their measurements as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import ClassTable, Labels
from unpool.errors import RunError
from unpool.io.files import atomic_path, flush_to_disk, put_in_place, writing
from unpool.io.pixel_size import PixelSize
from unpool.io.read.windows import PictureFile
from unpool.io.write.band_form import BandForm
from unpool.io.write.part_folder import own_names, part_folder, remove_part_folder
from unpool.io.write.tiff import write_tiff
from unpool.io.write.unfinished import UnfinishedBands, UnfinishedPicture
from unpool.objects.measurements import ObjectFacts, PictureMeasurements
from unpool.objects.separation import ObjectStream, Separation
from unpool.prediction.result import Prediction
from unpool.shapes import Region

STRIP_PIXELS = 1 << 22
"""Pixels of the rows that are read at a time while objects are separated."""

HELD_BYTES = 96.0
"""Bytes for each pixel of the rows that are held until their objects are complete, with what cutting them takes."""

_NUMBERS = "numbers"
"""The file in the folder of unfinished files that has the finished rows of object numbers."""


@dataclass(frozen=True)
class ObjectRequest:
    """How the objects of a picture are separated and measured.

    Attributes
    ----------
    picture: the picture's name in tables.
    pixel_size: None where it is not known.
    most_bytes: memory for the rows that are held.
    """

    picture: str
    table: ClassTable
    separation: Separation
    pixel_size: PixelSize | None
    most_bytes: float


class ObjectWriter(UnfinishedPicture):
    """A writer of the objects of one picture: it keeps class ids and evidence by bands, and separates them at the end.

    ``open_object_writer`` makes one. Bands are those of ``object_evidence``.
    """

    def __init__(self, paths: tuple[Path, Path], picture: PictureFile, request: ObjectRequest, key: str | None) -> None:
        super().__init__(paths[0], (*picture.shape[:2], 2), "uint8", key)
        self._measurements, self._picture, self._request = paths[1], picture, request

    def finish(self) -> None:
        """Separate, measure and number the objects, and put both files in their places.

        Raises
        ------
        RunError: there is no room on the disk; or objects that touch reach over more rows than fit into the memory.
        """
        rows, columns, _ = self._picture.shape
        folder, name = part_folder(self.path), own_names(self.path)[1]
        stream = ObjectStream(columns, self._request.separation)
        measured = PictureMeasurements((rows, columns), len(self._request.table))
        (folder / _NUMBERS).unlink(missing_ok=True)
        with writing(self.path):
            numbers = UnfinishedBands(folder / _NUMBERS, (rows, columns, 1), np.dtype("int32"), "")
        try:
            for finished in self._separated(stream, measured):
                with writing(self.path):
                    numbers.add(finished[..., np.newaxis])
            self._write_measurements(stream, measured)
            with writing(self.path):
                form = BandForm(rows, columns, dtype="int32", placement=self._picture.placement)
                write_tiff(folder / name, form, numbers)
                flush_to_disk(folder / name)
                put_in_place(folder / name, self.path)
        finally:
            numbers.close()
            (folder / _NUMBERS).unlink(missing_ok=True)
        with writing(self.path):
            self._bands.close()
            remove_part_folder(self.path)

    def _separated(self, stream: ObjectStream, measured: PictureMeasurements) -> Iterator[NDArray[np.int32]]:
        """Yield the object numbers of the picture's rows, from the top."""
        rows, columns, _ = self._picture.shape
        pixels = min(STRIP_PIXELS, int(self._request.most_bytes / (8 * HELD_BYTES)))
        height, top = max(16, pixels // columns), 0
        for band in self._bands.read(height):
            self._require_room(stream, len(band), columns)
            prediction, inside = band[..., 0], band[..., 1]
            measured.add_rows(prediction, self._values((slice(top, top + len(band)), slice(0, columns))))
            top += len(band)
            complete = stream.add(prediction, inside, last=top == rows)
            measured.add_objects(complete, self._values)
            yield stream.take().ids

    def _values(self, region: Region) -> NDArray[Any]:
        """Return the picture's values in a region, (rows, columns, channels); NaN in a channel that has none there."""
        pixels, missing = self._picture.window(*region), self._picture.info.missing
        return pixels if missing is None else np.where(pixels == missing, np.float32(np.nan), pixels)

    def _require_room(self, stream: ObjectStream, rows: int, columns: int) -> None:
        needed = HELD_BYTES * (stream.held + rows) * columns
        if needed > self._request.most_bytes and stream.held:
            raise RunError(
                f"{self._picture.info.path}: objects that touch reach over more than {stream.held:,} rows of "
                f"{columns:,} pixels, and take {needed / 1e9:.1f} GB together",
                f"objects that can be separated in {self._request.most_bytes / 1e9:.1f} GB",
                f"give --memory {2 * needed / 1e9:.0f}GB, or leave --objects out",
            )

    def _write_measurements(self, stream: ObjectStream, measured: PictureMeasurements) -> None:
        names, size = self._request.table.names, self._request.pixel_size
        head = {
            "unpool measurements": 1,
            "picture": self._request.picture,
            "pixel_size": size._asdict() if size else None,
            "channels": self._picture.shape[2],
            "classes": [
                {"class": name, **_plain(each)} for name, each in zip(names, measured.class_rows(), strict=True)
            ],
        }
        with atomic_path(self._measurements) as draft, draft.open("w", encoding="utf-8") as file:
            file.write(_line(head))
            for number, class_id, each in measured.object_rows(stream.numbers):
                file.write(_line({"object": number, "class": names[class_id], **_plain(each)}))


@contextmanager
def open_object_writer(
    paths: tuple[Path, Path], picture: PictureFile, request: ObjectRequest, key: str | None
) -> Iterator[ObjectWriter]:
    """Begin to write the objects of a picture, or continue where an earlier command stopped.

    Parameters
    ----------
    paths: of the TIFF and of the measurements.
    key: digest of everything that the bands depend on; None starts again.

    Raises
    ------
    RunError, UsageError: see ``unpool.io.write.bands.open_band_writer``.
    """
    with closing(ObjectWriter(paths, picture, request, key)) as writer:
        yield writer


def object_evidence(labels: Labels, band: Prediction) -> NDArray[np.uint8]:
    """Return what objects are separated by, (rows, columns, 2): class ids, and how sure a pixel lies inside one.

    Parameters
    ----------
    labels: class ids of the band, with ``IGNORE_ID`` where the picture has no data.
    """
    assert band.inside is not None
    return np.stack([labels, band.inside], axis=-1)


def _plain(measured: ObjectFacts) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in measured.items()}


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"
