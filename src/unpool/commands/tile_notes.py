"""What to know of pictures that are cut into tiles, measured on one of them."""

from __future__ import annotations

from collections.abc import Iterable

from unpool.data.samples import Pair
from unpool.dataset.survey_result import Survey
from unpool.errors import RunError
from unpool.io.read.windows import open_picture
from unpool.machine.device import Machine
from unpool.prediction.averaging import Averaging
from unpool.prediction.predictor import TILE, blends
from unpool.prediction.tile_check import Mismatch, tile_mismatch
from unpool.segmenter import Segmenter


def blending_note(source: str, found: Mismatch | None) -> str:
    """That tiles are blended, and how far they are from the whole."""
    measured = f"; {source}: {found}" if found else ""
    return (
        "the normalisation of this network looks at the whole tile, so tiles do not equal the whole picture; they "
        f"overlap and are blended{measured}"
    )


def blending_notes(
    segmenter: Segmenter, pairs: Iterable[Pair], survey: Survey, machine: Machine, averaging: Averaging
) -> tuple[str, ...]:
    """The same of the first picture of a set whose tiles are blended, if there is one.

    Raises
    ------
    DataError: the picture cannot be read, or does not fit the model.
    """
    for pair in pairs:
        facts = survey.pictures[pair.name]
        if blends(segmenter, (facts.rows, facts.columns), TILE):
            with open_picture(pair.image) as picture:
                found = tile_mismatch(segmenter, picture, str(pair.image), machine, TILE, averaging)
            return (blending_note(pair.name, found),)
    return ()


def verified(source: str, found: Mismatch | None) -> str:
    """What comparing tiles with the whole has shown; None where there was nothing to compare.

    Raises
    ------
    RunError: tiles that should equal the whole differ by more than rounding.
    """
    if found is None:
        return "nothing to verify: no picture that can be predicted is cut into tiles, or can be"
    if not found.exact:
        return blending_note(source, found)
    if not found.holds:
        raise RunError(
            f"{source}: tiles do not equal the whole: {found}",
            found.allowed,
            "try --precision float32 or --device cpu; if it stays, give --memory for whole pictures",
        )
    return f"verified, {source}: {found}; expected: {found.allowed}"
