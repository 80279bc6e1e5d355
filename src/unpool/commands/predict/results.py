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

from unpool.class_table import IGNORE_ID, ClassTable, Labels
from unpool.commands.predict.object_files import ObjectRequest, object_evidence, open_object_writer
from unpool.commands.predict.overlays import OverlayDrawing
from unpool.commands.predict.targets import Outputs, ProbabilityType
from unpool.io.placement import Placement
from unpool.io.read.windows import PictureFile
from unpool.io.write.band_form import BandForm
from unpool.io.write.bands import open_band_writer, open_mask_writer
from unpool.io.write.images import write_image
from unpool.io.write.masks import write_mask, written_form
from unpool.io.write.whole import write_whole
from unpool.prediction.result import Prediction
from unpool.wording import count_text

SEARCHED_ROWS = 256
"""Rows of a picture that are searched at a time for pixels without data."""


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

    def drop(self) -> None:
        """Remove the rows when the writer is closed, because nobody will continue."""

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

    def drop(self) -> None:
        self._bands.clear()

    def write(self, band: NDArray[Any]) -> None:
        self._bands.append(band)

    def finish(self) -> None:
        self._write(np.concatenate(self._bands))


@dataclass(frozen=True)
class ResultFile:
    """One of a picture's files: its writer, and the pixels that it holds of a prediction.

    Attributes
    ----------
    times: rows of the file for each row of the picture.
    below: rows below those of the picture; None for none.
    beside: writes the files beside this one, before it takes its place; None for none.
    """

    writer: Writer
    pixels_of: Callable[[Prediction], NDArray[Any]]
    times: int = 1
    below: NDArray[Any] | None = None
    beside: Callable[[], None] | None = None

    @property
    def done(self) -> int:
        """Number of rows of the picture that are written."""
        return self.writer.done // self.times

    def write(self, band: Prediction) -> None:
        """Write those rows of a band that are not written yet."""
        first = self.writer.done - band.top * self.times
        if first < len(band.prediction) * self.times:
            self.writer.write(self.pixels_of(band)[max(first, 0) :])

    def finish(self, rows: int) -> None:
        """Write the rows below, and make the file of a picture with this number of rows."""
        written = self.writer.done - rows * self.times
        if self.below is not None and written < len(self.below):
            self.writer.write(self.below[written:])
        if self.beside is not None:
            self.beside()
        self.writer.finish()


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

        def writer(path: Path, form: BandForm) -> Writer:
            if key is not None:
                return stack.enter_context(open_band_writer(path, form, key))
            if form.rgb:
                return _AtOnce(lambda pixels: write_image(path, pixels))
            return _AtOnce(lambda pixels: write_whole(path, form, pixels))

        results: list[ResultFile] = []
        place, missing = picture.placement, picture.lacks_data and _shows_missing(table)
        if outputs.probabilities:
            pixel_type = outputs.probability_type
            form = BandForm(rows, columns, len(table), pixel_type, placement=place, names=table.names)
            probabilities = writer(outputs.probabilities, form)
            results.append(ResultFile(probabilities, lambda band: _probabilities(band, pixel_type)))
        if outputs.uncertainty:
            names = table.names if sampled else ()
            form = BandForm(rows, columns, len(names) or 1, "float32", placement=place, names=names)
            uncertainty = writer(outputs.uncertainty, form)
            results.append(ResultFile(uncertainty, lambda band: np.moveaxis(band.uncertainty, 0, -1)))
        if outputs.overlay:
            drawing = OverlayDrawing(picture, table, outputs)
            height = rows * drawing.times + len(drawing.below)
            kept = place if drawing.times == 1 else Placement()  # sizes are those of the picture's own pixels
            colours = writer(outputs.overlay, BandForm(height, drawing.columns, 3, placement=kept, rgb=True))

            def drawn(band: Prediction) -> NDArray[Any]:
                return drawing.band(_labels(band, picture, missing=missing), band.top)

            results.append(ResultFile(colours, drawn, drawing.times, drawing.below, drawing.write_legend))
        if outputs.objects and outputs.measurements:
            paths = outputs.objects, outputs.measurements
            objects = stack.enter_context(open_object_writer(paths, picture, request, key))

            def evidence(band: Prediction) -> NDArray[Any]:
                return object_evidence(_labels(band, picture, missing=picture.lacks_data), band)

            results.append(ResultFile(objects, evidence))
        mask = outputs.mask
        by_bands: Writer = (
            _AtOnce(lambda labels: write_mask(mask, labels, table, place))
            if key is None
            else stack.enter_context(open_mask_writer(mask, (rows, columns), table, place, key))
        )

        def labels_of(band: Prediction) -> NDArray[Any]:
            return _labels(band, picture, missing=missing)

        results.append(ResultFile(by_bands, labels_of, beside=outputs.write_copies))
        yield tuple(results)


def displaced_files_note(outputs: Sequence[Outputs]) -> str:
    """Return a message on pictures whose place on the earth is not kept; an empty text where there are none."""
    displaced = sum(each.displaced for each in outputs)
    if not displaced:
        return ""
    return (
        f"{count_text(displaced, 'picture')} with an EXIF orientation: files that place such a picture on the earth "
        "are not copied, because its mask is written as it is displayed"
    )


def missing_note(table: ClassTable, picture: PictureFile) -> str | None:
    """Return how pixels without data are written; None where the picture declares none."""
    if not picture.lacks_data:
        return None
    written, declared = written_form(table, missing=True), picture.info.missing
    found = f"pixels without data ({'transparent' if declared is None else f'{declared:g}'} in the picture)"
    if not _shows_missing(table):
        why = "no colour is ignored; --mask-form grey has a value for them"
        return f"{found} have predicted classes in its mask: {why}"
    return f"{found} are {'the ignored colour' if written.values.ndim == 2 else written.missing} in its mask"


def _shows_missing(table: ClassTable) -> bool:
    """Return whether masks of a table have a value or a colour for pixels without data."""
    return written_form(table, missing=True).missing is not None


def _labels(band: Prediction, picture: PictureFile, *, missing: bool) -> Labels:
    """Return the class ids of a band, with ``IGNORE_ID`` where the picture has no data."""
    if not missing:
        return band.prediction
    labels, columns = band.prediction.copy(), band.prediction.shape[1]
    for start in range(0, len(labels), SEARCHED_ROWS):
        stop = min(start + SEARCHED_ROWS, len(labels))
        absent = picture.absent(slice(band.top + start, band.top + stop), slice(0, columns))
        if absent is not None:
            labels[start:stop][absent] = IGNORE_ID
    return labels


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
    return min((result.done for result in results), default=0)


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


def drop_rows(results: Sequence[ResultFile]) -> None:
    """Remove the rows of all files when they are closed."""
    for result in results:
        result.writer.drop()


def write_bands(
    bands: Iterable[Prediction], results: Sequence[ResultFile], rows: int, *, to_the_end: bool
) -> Iterator[Prediction]:
    """Write bands from the top to the bottom, each while the next one is predicted; then make the files.

    Parameters
    ----------
    rows: of the picture.
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
        result.finish(rows)


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
