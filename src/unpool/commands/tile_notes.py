"""Messages on pictures that are cut into tiles: how far tiles differ from the picture in one piece."""

from __future__ import annotations

from collections.abc import Iterable

from unpool.data.samples import Pair
from unpool.dataset.survey_result import Survey
from unpool.errors import RunError
from unpool.io.read.windows import open_picture
from unpool.prediction.predictor import Predictor
from unpool.prediction.tile_check import Mismatch, tile_mismatch


def blending_note(source: str, mismatch: Mismatch | None) -> str:
    """Return a message that tiles are blended, with the result of the tile check if there is one."""
    measured = f"; {source}: {mismatch}" if mismatch else ""
    return (
        "this network normalises over all pixels of a tile, so tiles do not equal the picture in one piece; they "
        f"overlap and are blended{measured}"
    )


def blending_notes(predictor: Predictor, pairs: Iterable[Pair], survey: Survey) -> tuple[str, ...]:
    """Return a message on the first picture of a set whose tiles are blended; none where no picture's are.

    Raises
    ------
    DataError: the picture cannot be read, or does not fit the model.
    """
    for pair in pairs:
        facts = survey.pictures[pair.name]
        if predictor.blends((facts.rows, facts.columns)):
            with open_picture(pair.image) as picture:
                return (blending_note(pair.name, tile_mismatch(predictor, picture, str(pair.image))),)
    return ()


def verified(source: str, mismatch: Mismatch | None) -> str:
    """Return a message on the result of the tile check.

    Parameters
    ----------
    mismatch: None where no picture could be compared.

    Raises
    ------
    RunError: tiles that should equal the picture in one piece differ by more than rounding.
    """
    if mismatch is None:
        return "nothing to verify: no picture that can be predicted is cut into tiles, or can be"
    if not mismatch.exact:
        return blending_note(source, mismatch)
    if not mismatch.holds:
        raise RunError(
            f"{source}: tiles do not equal the picture in one piece: {mismatch}",
            mismatch.allowed,
            "try --precision float32 or --device cpu; if the error stays, give --memory for the whole picture",
        )
    return f"verified, {source}: {mismatch}; expected: {mismatch.allowed}"
