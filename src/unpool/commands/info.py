"""``info``: the description of a model file, as a page of text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.checkpoint.models import load_model, stored_checksum
from unpool.commands.run_folder import model_file
from unpool.errors import DataError
from unpool.io.documents import read_json
from unpool.report.card import card_sections
from unpool.report.sections import as_text
from unpool.wording import DASH, bytes_text, count_text


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
    files = [scores for scores in sorted(path.parent.glob("*/scores.json")) if scores.is_file()]
    tests = [(scores.parent.name, _test_result(scores)) for scores in files]
    page = as_text(card_sections(card, rows, tests))
    file = {"path": str(path), "bytes": size, "checksum": checksum, "parameters": parameters}
    return Information(page, {"file": file, "card": card})


def _test_result(scores: Path) -> str:
    """Return the result of a test in one line, or what is wrong with its file."""
    try:
        result = read_json(scores)
        mean, bounds = result["scores"]["mean_iou"], (result.get("intervals") or {}).get("mean_iou")
        bracket = f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""
        score = DASH if mean is None else f"{mean:.3f}"
        return f"mean IoU {score}{bracket} on {count_text(len(result['images']), 'picture')} ({result['which']})"
    except DataError as error:
        return error.found
    except (AttributeError, LookupError, TypeError, ValueError):
        return f"{scores}: not the result of a test"
