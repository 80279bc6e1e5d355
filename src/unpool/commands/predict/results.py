"""The files of one picture, written band by band, so that no more than a band of any picture is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import ClassTable, Labels
from unpool.commands.predict.object_files import ObjectRequest, object_evidence, open_object_writer
from unpool.commands.predict.targets import Outputs, ProbabilityType
from unpool.io.read.windows import PictureFile
from unpool.io.write.band_form import BandForm
from unpool.io.write.bands import open_band_writer, open_mask_writer
from unpool.io.write.images import write_image
from unpool.io.write.masks import write_mask
from unpool.prediction.result import Prediction
from unpool.report.pictures import Levels, levels_of, overlay

STRIP = 64
"""Rows of an overlay that are drawn at a time."""

SAMPLED = 512
"""Rows and columns of each of the 16 parts of a large picture from which the levels of its overlay are taken."""


class Writer(Protocol):
    """A writer of the rows of one file, from the top to the bottom."""

    @property
    def done(self) -> int:
        """Number of rows that are written already."""

    @property
    def started_over(self) -> bool:
        """Whether rows of other settings existed, and were removed."""

    @property
    def unfinished_folder(self) -> Path | None:
        """The folder in which the rows stay if no more are written; None where they do not stay."""

    def write(self, band: NDArray[Any]) -> None:
        """Write the next rows, of full width."""

    def finish(self) -> None:
        """Make the file, once all rows are written."""


class _AtOnce:
    """A writer that makes the file from a single band, for pictures of one row of tiles."""

    started_over, unfinished_folder = False, None

    def __init__(self, write: Callable[[NDArray[Any]], None]) -> None:
        self._write = write
        self._bands: list[NDArray[Any]] = []

    @property
    def done(self) -> int:
        return sum(map(len, self._bands))

    def write(self, band: NDArray[Any]) -> None:
        self._bands.append(band)

    def finish(self) -> None:
        self._write(np.concatenate(self._bands))


@dataclass(frozen=True)
class ResultFile:
    """One of a picture's files: its writer, and the pixels that it holds of a prediction."""

    writer: Writer
    pixels_of: Callable[[Prediction], NDArray[Any]]

    def write(self, band: Prediction) -> None:
        """Write those rows of a band that are not written yet."""
        first = self.writer.done - band.top
        if first < len(band.prediction):
            self.writer.write(self.pixels_of(band)[max(first, 0) :])


@contextmanager
def open_results(
    outputs: Outputs, picture: PictureFile, request: ObjectRequest, *, sampled: bool, key: str | None
) -> Iterator[tuple[ResultFile, ...]]:
    """Begin to write the files of a picture, or continue after the rows that are written already.

    Parameters
    ----------
    request: the class table, and how objects are separated and measured where they are written.
    sampled: whether dropout is sampled, so that uncertainty has a map for each class.
    key: digest of everything that the files depend on; rows of another key are removed. None writes each file in one
        piece, from a single band.

    Raises
    ------
    RunError, UsageError: see ``unpool.io.write.bands.open_band_writer``.
    """
    rows, columns, _ = picture.shape
    table = request.table
    with ExitStack() as stack:

        def writer(path: Path, channels: int, dtype: str) -> Writer:
            if key is None:
                return _AtOnce(lambda pixels: write_image(path, pixels))
            form = BandForm(rows, columns, channels, dtype, placement=picture.placement)
            return stack.enter_context(open_band_writer(path, form, key))

        results: list[ResultFile] = []
        if outputs.probabilities:
            pixel_type = outputs.probability_type
            probabilities = writer(outputs.probabilities, len(table), pixel_type)
            results.append(ResultFile(probabilities, lambda band: _probabilities(band, pixel_type)))
        if outputs.uncertainty:
            maps = len(table) if sampled else 1
            uncertainty = writer(outputs.uncertainty, maps, "float32")
            results.append(ResultFile(uncertainty, lambda band: np.moveaxis(band.uncertainty, 0, -1)))
        if outputs.overlay:
            levels = _levels(picture)
            colours = writer(outputs.overlay, 3, "uint8")
            results.append(ResultFile(colours, lambda band: _overlay(band, picture, table, levels)))
        if outputs.objects and outputs.measurements:
            paths = outputs.objects, outputs.measurements
            objects = stack.enter_context(open_object_writer(paths, picture, request, key))
            results.append(ResultFile(objects, object_evidence))
        mask = outputs.mask
        if key is None:
            at_once = _AtOnce(lambda labels: write_mask(mask, labels, table))
            results.append(ResultFile(at_once, lambda band: band.prediction))
        else:
            by_bands = stack.enter_context(open_mask_writer(mask, (rows, columns), table, picture.placement, key))
            results.append(ResultFile(by_bands, lambda band: band.prediction))
        yield tuple(results)


def band_bytes(outputs: Outputs, classes: int, *, sampled: bool) -> float:
    """Return the bytes for every pixel of a band: one band is predicted while one is written, with its copies."""
    count = 4.0
    if outputs.probabilities:
        count += classes * (2 * 4 + 2 * np.dtype(outputs.probability_type).itemsize)
    if outputs.uncertainty:
        count += 4 * 4 * (classes if sampled else 1)
    return count + (6.0 if outputs.overlay else 0.0) + (6.0 if outputs.objects else 0.0)


def done_rows(results: Sequence[ResultFile]) -> int:
    """Return the number of rows that every result has already; 0 where there are no results."""
    return min((result.writer.done for result in results), default=0)


def displaced_note(results: Sequence[ResultFile]) -> str:
    """Return a message that rows of other settings were removed; an empty text where there were none."""
    places = [str(result.writer.unfinished_folder) for result in results if result.writer.started_over]
    if not places:
        return ""
    return f"{places[-1]} was left by other settings, another model, picture or version, and starts again"


def left_note(results: Sequence[ResultFile], rows: int) -> str:
    """Return a message on the rows that are written of ``rows``, and how to continue; an empty text where none are."""
    places, done = [result.writer.unfinished_folder for result in results], done_rows(results)
    if not done or None in places:
        return ""
    return f"{done:,} of {rows:,} rows are kept in {places[-1]}; the same command with --resume continues there"


def write_bands(
    bands: Iterable[Prediction], results: Sequence[ResultFile], *, to_the_end: bool
) -> Iterator[Prediction]:
    """Write bands from the top to the bottom, each while the next one is predicted; then make the files.

    Parameters
    ----------
    to_the_end: take all bands before a failure is raised, because other processes send them.

    Raises
    ------
    RunError: no room, or no rights to write.
    """
    failure: BaseException | None = None
    with ThreadPoolExecutor(1) as thread:
        written: Future[None] | None = None
        for band in bands:
            failure = failure or _failure(written)
            if failure is not None and not to_the_end:
                raise failure
            written = None if failure else thread.submit(_write, band, results)
            yield band
        failure = failure or _failure(written)
    if failure is not None:
        raise failure
    for result in results:
        result.writer.finish()


def _failure(written: Future[None] | None) -> BaseException | None:
    return written.exception() if written else None


def _write(band: Prediction, results: Sequence[ResultFile]) -> None:
    for result in results:
        result.write(band)


def scaled(probabilities: NDArray[np.float32], pixel_type: ProbabilityType) -> NDArray[Any]:
    """Return probabilities p in a pixel type: round(255 p), round(65535 p), or p itself."""
    if pixel_type == "float32":
        return probabilities
    return np.asarray(np.rint(probabilities * np.float32(np.iinfo(pixel_type).max)), dtype=pixel_type)


def _probabilities(band: Prediction, pixel_type: ProbabilityType) -> NDArray[Any]:
    assert band.probabilities is not None
    pixels = np.empty((*band.prediction.shape, len(band.probabilities)), dtype=pixel_type)
    for class_id, each in enumerate(band.probabilities):
        pixels[..., class_id] = scaled(each, pixel_type)
    return pixels


def _overlay(band: Prediction, picture: PictureFile, table: ClassTable, levels: Levels | None) -> NDArray[np.uint8]:
    """Return the overlay of a band, drawn strip by strip, because drawing takes 50 bytes a pixel."""
    labels: Labels = band.prediction
    drawn = np.empty((*labels.shape, 3), dtype=np.uint8)
    height = max(1, min(STRIP, (1 << 20) // labels.shape[1]))
    for top in range(0, len(labels), height):
        bottom = min(top + height, len(labels))
        first, last = max(top - 1, 0), min(bottom + 1, len(labels))  # borders depend on the neighbouring rows
        pixels = picture.window(slice(band.top + first, band.top + last), slice(0, labels.shape[1]))
        strip = overlay(pixels, labels[first:last], table.colours, levels=levels)
        drawn[top:bottom] = strip[top - first : bottom - first]
    return drawn


def _levels(picture: PictureFile) -> Levels | None:
    """Return the grey levels between which a picture is stretched for display; a large one is judged by 16 parts."""
    rows, columns, _ = picture.shape
    if rows * columns <= 16 * SAMPLED * SAMPLED:
        return levels_of(picture.window(slice(0, rows), slice(0, columns)))
    tops, lefts = (np.linspace(0, max(side - SAMPLED, 0), 4).astype(int) for side in (rows, columns))
    parts = [
        picture.window(slice(top, top + SAMPLED), slice(left, left + SAMPLED))[..., :3].reshape(
            -1, min(picture.shape[2], 3)
        )
        for top in tops
        for left in lefts
    ]
    return levels_of(np.concatenate(parts)[:, np.newaxis])
