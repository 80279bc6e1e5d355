"""``info``: the description of a model file, as a page of text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.checkpoint.models import load_model, stored_checksum
from unpool.checkpoint.proof import first_line
from unpool.commands.run_folder import model_file
from unpool.errors import DataError, ModelFileError
from unpool.io.files import read_json
from unpool.report.card import card_sections
from unpool.report.sections import as_text
from unpool.wording import bytes_text, count_text


@dataclass(frozen=True)
class Information:
    """The description of a model: a page of text, and plain JSON data."""

    text: str
    data: dict[str, Any]


def info(model: Path) -> Information:
    """Describe a model file.

    Parameters
    ----------
    model: a model file or the run folder that holds one.

    Raises
    ------
    ModelFileError: the file is missing, damaged, not written by unpool, or of a later version.
    """
    path = model_file(model)
    segmenter, card = load_model(path)
    checksum, size = stored_checksum(path), path.stat().st_size
    parameters = sum(parameter.numel() for parameter in segmenter.network.parameters())
    rows = [
        ("file", f"{path}, {bytes_text(size)}, card version {card['version']}"),
        ("checksum", f"right: {checksum}" if checksum else "none; the file is older than checksums"),
        ("parameters", f"{parameters:,}"),
    ]
    tests = {scores.parent.name: _test_result(scores) for scores in sorted(path.parent.glob("*/scores.json"))}
    try:
        page = as_text(card_sections(card, rows, [(name, text) for name, text in tests.items() if text]))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path}: unpool did not write the story on its card ({first_line(error)})",
            "a file written by unpool and not changed since",
            "take the file from its run folder again",
        ) from error
    file = {"path": str(path), "bytes": size, "checksum": checksum, "parameters": parameters}
    return Information(page, {"file": file, "card": card})


def _test_result(scores: Path) -> str:
    """Return the result of a test in one line; an empty text where the file is not written by a test."""
    try:
        result = read_json(scores)
        mean, bounds = result["scores"]["mean_iou"], (result.get("intervals") or {}).get("mean_iou")
        bracket = f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""
        return f"mean IoU {mean:.3f}{bracket} on {count_text(len(result['images']), 'picture')} ({result['which']})"
    except (DataError, AttributeError, LookupError, TypeError, ValueError):
        return ""
