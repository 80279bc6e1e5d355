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

from unpool.checkpoint.models import load_model, stored_checksum
from unpool.checkpoint.probe import Probe, compare_probe, probe_logits, probe_picture
from unpool.commands.run_folder import model_file
from unpool.machine.device import Machine, Precision, choose_machine
from unpool.prediction.predictor import pieces, ready
from unpool.segmenter import Segmenter
from unpool.wording import PAGE_WIDTH

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
            textwrap.fill(f"{words[check.holds]:<7}{check.name}: {check.said}", PAGE_WIDTH, subsequent_indent=" " * 7)
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
    logits = probe_logits(segmenter, image)
    own = _own_answer(segmenter, image, logits, probe, machine)
    return Verification(path, (whole, *_judged(probe, image, logits), own))


def _no_probe(card: Mapping[str, Any]) -> str:
    if card["version"] == 1:
        return "a card of version 1 has no probe; train again, or resume the run, to write one"
    return "the card has no probe, for the network's answer was not finite when it was saved"


def _judged(probe: Probe, image: NDArray[Any], logits: Tensor) -> tuple[Check, ...]:
    found = compare_probe(probe, image, logits)
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
