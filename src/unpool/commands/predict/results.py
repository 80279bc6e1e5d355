"""One picture's results, written band by band: whatever the picture's size, no more than a row of tiles is held."""

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
"""Sides of the parts of a large picture from which the levels of its overlay are taken; 16 of them."""


class Writer(Protocol):
    """Where the rows of one result go, from the top to the bottom."""

    @property
    def done(self) -> int:
        """Rows that are there already."""

    @property
    def started_over(self) -> bool:
        """Whether rows of other settings were found, and thrown away."""

    @property
    def unfinished_folder(self) -> Path | None:
        """Where the rows stay if no more are written; None where they do not."""

    def write(self, band: NDArray[Any]) -> None:
        """The next rows, whole width."""

    def finish(self) -> None:
        """All rows are there: make the file."""


class _AtOnce:
    """A result that is written when all its rows are there, for pictures of one row of tiles."""

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
class Result:
    """One of the files that come of a picture: its writer, and what it takes of an answer."""

    writer: Writer
    of: Callable[[Prediction], NDArray[Any]]

    def take(self, answer: Prediction) -> None:
        """Write those rows of an answer that are not there yet."""
        fresh = self.writer.done - answer.top
        if fresh < len(answer.prediction):
            self.writer.write(self.of(answer)[max(fresh, 0) :])


@contextmanager
def open_results(
    outputs: Outputs, picture: PictureFile, table: ClassTable, *, sampled: bool, key: str | None
) -> Iterator[tuple[Result, ...]]:
    """Begin to write what is wanted of a picture, or go on where it was left.

    Parameters
    ----------
    sampled: whether dropout was, so that uncertainty has a map for each class.
    key: what the results depend on: those of another key are begun anew. None holds them until they are whole.

    Raises
    ------
    RunError, UsageError: see ``unpool.io.write.bands.open_band_writer``.
    """
    rows, columns, _ = picture.shape
    with ExitStack() as stack:

        def writer(path: Path, channels: int, dtype: str) -> Writer:
            if key is None:
                return _AtOnce(lambda pixels: write_image(path, pixels))
            form = BandForm(rows, columns, channels, dtype, placement=picture.placement)
            return stack.enter_context(open_band_writer(path, form, key))

        results: list[Result] = []
        if outputs.probabilities:
            scale = outputs.scale
            results.append(
                Result(writer(outputs.probabilities, len(table), scale), lambda answer: _probabilities(answer, scale))
            )
        if outputs.uncertainty:
            maps = len(table) if sampled else 1
            results.append(
                Result(
                    writer(outputs.uncertainty, maps, "float32"), lambda answer: np.moveaxis(answer.uncertainty, 0, -1)
                )
            )
        if outputs.overlay:
            levels = _levels(picture)
            results.append(
                Result(writer(outputs.overlay, 3, "uint8"), lambda answer: _overlaid(answer, picture, table, levels))
            )
        mask = outputs.mask
        if key is None:
            at_once = _AtOnce(lambda labels: write_mask(mask, labels, table))
            results.append(Result(at_once, lambda answer: answer.prediction))
        else:
            opened = open_mask_writer(mask, (rows, columns), table, picture.placement, key)
            results.append(Result(stack.enter_context(opened), lambda answer: answer.prediction))
        yield tuple(results)


def row_bytes(outputs: Outputs, classes: int, *, sampled: bool) -> float:
    """Bytes held for every pixel of a row of tiles: one answer that is made, one that is written, and its copies."""
    held = 4.0
    if outputs.probabilities:
        held += classes * (2 * 4 + 2 * np.dtype(outputs.scale).itemsize)
    if outputs.uncertainty:
        held += 4 * 4 * (classes if sampled else 1)
    return held + (6.0 if outputs.overlay else 0.0)


def done_rows(results: Sequence[Result]) -> int:
    """Rows that every result has already; 0 where there are none."""
    return min((result.writer.done for result in results), default=0)


def displaced_note(results: Sequence[Result]) -> str:
    """That rows of other settings were found and are not gone on with; empty where none were."""
    places = [str(result.writer.unfinished_folder) for result in results if result.writer.started_over]
    if not places:
        return ""
    return f"{places[-1]} was left by other settings, another model, picture or version, and is begun anew"


def left_note(results: Sequence[Result], rows: int) -> str:
    """What is left of results that were not finished, of ``rows`` rows, and how to go on; empty where nothing is."""
    places, done = [result.writer.unfinished_folder for result in results], done_rows(results)
    if not done or None in places:
        return ""
    return f"{done:,} of {rows:,} rows are done and left in {places[-1]}; the same command with --resume goes on there"


def write_answers(
    answers: Iterable[Prediction], results: Sequence[Result], *, to_the_end: bool
) -> Iterator[Prediction]:
    """Write answers, from the top to the bottom, each while the next one is computed; then make the files.

    Parameters
    ----------
    to_the_end: take all answers before a failure is told, because other processes send them.

    Raises
    ------
    RunError: no room, or no rights to write.
    """
    failure: BaseException | None = None
    with ThreadPoolExecutor(1) as thread:
        band: Future[None] | None = None
        for answer in answers:
            failure = failure or _failure(band)
            if failure is not None and not to_the_end:
                raise failure
            band = None if failure else thread.submit(_write, answer, results)
            yield answer
        failure = failure or _failure(band)
    if failure is not None:
        raise failure
    for result in results:
        result.writer.finish()


def _failure(band: Future[None] | None) -> BaseException | None:
    """What stopped the writing of a band, once it has ended."""
    return band.exception() if band else None


def _write(answer: Prediction, results: Sequence[Result]) -> None:
    for result in results:
        result.take(answer)


def scaled(probabilities: NDArray[np.float32], scale: ProbabilityType) -> NDArray[Any]:
    """Probabilities in the pixel type ``scale``: round(255 p), round(65535 p), or p itself."""
    if scale == "float32":
        return probabilities
    return np.asarray(np.rint(probabilities * np.float32(np.iinfo(scale).max)), dtype=scale)


def _probabilities(answer: Prediction, scale: ProbabilityType) -> NDArray[Any]:
    assert answer.probabilities is not None
    pixels = np.empty((*answer.prediction.shape, len(answer.probabilities)), dtype=scale)
    for number, each in enumerate(answer.probabilities):
        pixels[..., number] = scaled(each, scale)
    return pixels


def _overlaid(answer: Prediction, picture: PictureFile, table: ClassTable, levels: Levels | None) -> NDArray[np.uint8]:
    """The overlay of an answer, strip by strip, because drawing takes fifty bytes a pixel."""
    labels: Labels = answer.prediction
    drawn = np.empty((*labels.shape, 3), dtype=np.uint8)
    height = max(1, min(STRIP, (1 << 20) // labels.shape[1]))
    for top in range(0, len(labels), height):
        bottom = min(top + height, len(labels))
        first, last = max(top - 1, 0), min(bottom + 1, len(labels))  # borders look at the rows beside them
        pixels = picture.window(slice(answer.top + first, answer.top + last), slice(0, labels.shape[1]))
        strip = overlay(pixels, labels[first:last], table.colours, levels=levels)
        drawn[top:bottom] = strip[top - first : bottom - first]
    return drawn


def _levels(picture: PictureFile) -> Levels | None:
    """How a picture is stretched for display; of a large one by 16 parts of it."""
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
