"""``info`` and ``verify``: what a model file says of itself, and whether it computes here what it computed there."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.checkpoint import Probe, answer, compare, first_line, load_model, probe_picture, stored_checksum
from unpool.commands.run_folder import model_file
from unpool.engine import Machine, Precision, choose_machine
from unpool.engine.prediction import pieces, ready
from unpool.errors import DataError, ModelFileError
from unpool.io.files import read_json
from unpool.report.card import card_sections
from unpool.report.sections import WIDTH, as_text
from unpool.segmenter import Segmenter


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


ANSWER = "answer"
"""How the names of the checks begin that show what a model computes."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``holds`` is None where it is told and not judged."""

    name: str
    holds: bool | None
    said: str


@dataclass(frozen=True)
class Verification:
    """What ``verify`` found."""

    model: Path
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool | None:
        """Whether the model computes what it did; None where nothing shows it."""
        answers = [check.holds for check in self.checks if check.name.startswith(ANSWER)]
        return False if any(check.holds is False for check in self.checks) else None if None in answers else True

    @property
    def text(self) -> str:
        """A line for each check."""
        words = {True: "right", False: "WRONG", None: "note"}
        lines = [
            textwrap.fill(f"{words[check.holds]:<7}{check.name}: {check.said}", WIDTH, subsequent_indent=" " * 7)
            for check in self.checks
        ]
        return "\n".join([*lines, self._verdict()])

    def _verdict(self) -> str:
        if self.holds is None:
            return f"{self.model} can be read; whether it computes here what it computed elsewhere is not known"
        does = "computes" if self.holds else "does NOT compute"
        return f"{self.model} {does} here what it computed where it was trained"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "model": str(self.model),
            "holds": self.holds,
            "checks": [asdict(check) for check in self.checks],
        }


def verify(model: Path, *, device: str = "auto", precision: Precision = "auto") -> Verification:
    """Prove that a model computes on this machine what it computed where it was trained.

    The stored answer to the probe is compared in float32 on the CPU, which is judged; the answer in the device's and
    precision's own arithmetic is told beside it.

    Raises
    ------
    ModelFileError: the file is missing, damaged, foreign, or of a later version.
    """
    path = model_file(model)
    segmenter, card = load_model(path)
    machine = choose_machine(device, precision)
    checksum = stored_checksum(path)
    whole = Check("checksum", True if checksum else None, checksum or "the file is too old to have one")
    if card["probe"] is None:
        return Verification(path, (whole, Check(ANSWER, None, _no_probe(card))))
    probe = Probe.from_card(card["probe"])
    image = probe_picture(segmenter.normalisation, probe.pixels, probe.size)
    logits = answer(segmenter, image)
    own = _own_answer(segmenter, image, logits, probe, machine)
    return Verification(path, (whole, *_judged(probe, image, logits), own))


def _no_probe(card: Mapping[str, Any]) -> str:
    if card["version"] == 1:
        return "a card of version 1 has no probe; train again, or resume the run, to write one"
    return "the card has no probe, for the network's answer was not finite when it was saved"


def _judged(probe: Probe, image: NDArray[Any], logits: Tensor) -> tuple[Check, ...]:
    found = compare(probe, image, logits)
    rows, columns = probe.size
    return (
        Check("probe", found.picture, f"{rows} x {columns} pixels of {probe.pixels}, sha256 {probe.picture}"),
        Check(
            f"{ANSWER} in {probe.arithmetic}",
            found.difference <= found.tolerance,
            f"{found.difference:.1e} of the largest logit apart at {len(probe.places)} places; "
            f"{found.tolerance:.0e} is allowed",
        ),
        Check(f"{ANSWER}'s classes", found.classes, "as stored" if found.classes else "others than stored"),
    )


def _own_answer(segmenter: Segmenter, image: NDArray[Any], logits: Tensor, probe: Probe, machine: Machine) -> Check:
    """What this machine's own arithmetic makes of the probe, beside float32 on its CPU."""
    size = (image.shape[0], image.shape[1])
    found = pieces(ready(segmenter, machine), image, "the probe", machine, size)
    own = torch.cat([piece.logits for piece in found], dim=1)
    apart = float((own - logits).abs().max()) / max(probe.largest, 1e-30)
    changed = float(np.mean(own.argmax(0).numpy() != logits.argmax(0).numpy()))
    said = f"{apart:.1e} of the largest logit from float32; {changed:.2%} of the pixels get another class"
    return Check(f"on {machine.describe()}", None, said)
