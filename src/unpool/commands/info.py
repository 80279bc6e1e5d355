"""``info``: what a model file says of itself."""

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


@dataclass(frozen=True)
class Information:
    """What ``info`` has to say: a page of text, and the same as plain JSON data."""

    text: str
    data: dict[str, Any]


def info(model: Path) -> Information:
    """Read a model file out.

    Parameters
    ----------
    model: a model file or the run folder that holds one.

    Raises
    ------
    ModelFileError: the file is missing, damaged, foreign, or of a later version.
    """
    path = model_file(model)
    segmenter, card = load_model(path)
    checksum, size = stored_checksum(path), path.stat().st_size
    parameters = sum(parameter.numel() for parameter in segmenter.network.parameters())
    rows = [
        ("file", f"{path}, {size / 1e6:.1f} MB, card version {card['version']}"),
        ("checksum", f"holds: {checksum}" if checksum else "none; unpool wrote none at that time"),
        ("parameters", f"{parameters:,}"),
    ]
    tests = {scores.parent.name: _tested(scores) for scores in sorted(path.parent.glob("*/scores.json"))}
    try:
        page = as_text(card_sections(card, rows, [(name, text) for name, text in tests.items() if text]))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path}: the story on its card is not one that unpool writes ({first_line(error)})",
            "a file written by unpool and not changed since",
            "take the file from its run folder again",
        ) from error
    page = "".join(c if c.isprintable() or c == "\n" else "?" for c in page)  # a terminal would obey the others
    file = {"path": str(path), "bytes": size, "checksum": checksum, "parameters": parameters}
    return Information(page, {"file": file, "card": card})


def _tested(scores: Path) -> str:
    """What a test beside the model found, in a few words; nothing where the file is not such a test's."""
    try:
        found = read_json(scores)
        mean, bounds = found["scores"]["mean_iou"], (found.get("intervals") or {}).get("mean_iou")
        bracket = f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""
        return f"mean IoU {mean:.3f}{bracket} on {len(found['images'])} pictures ({found['which']})"
    except (DataError, AttributeError, LookupError, TypeError, ValueError):
        return ""
