"""``verify``: whether a model computes on this machine what it computed where it was trained."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.checkpoint.models import load_model, stored_checksum
from unpool.checkpoint.probe import Probe, compare_probe, probe_logits, probe_picture
from unpool.commands.run_folder import model_file
from unpool.machine.device import Precision, choose_machine
from unpool.prediction.predictor import Predictor
from unpool.wording import PAGE_WIDTH, size_text

ANSWER = "answer"
"""First word in the names of the checks that compare the model's output with the stored one."""


@dataclass(frozen=True)
class Check:
    """One check of a model.

    Attributes
    ----------
    holds: whether the model passes; None where the check only informs.
    text: the result in words.
    """

    name: str
    holds: bool | None
    text: str


@dataclass(frozen=True)
class Verification:
    """The result of ``verify``."""

    model: Path
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool | None:
        """Whether the model computes what it computed where it was trained; None where no check shows it."""
        answers = [check.holds for check in self.checks if check.name.startswith(ANSWER)]
        return False if any(check.holds is False for check in self.checks) else None if None in answers else True

    @property
    def text(self) -> str:
        """One line for each check, and the verdict."""
        words = {True: "OK", False: "WRONG", None: "note"}
        lines = [
            textwrap.fill(f"{words[check.holds]:<7}{check.name}: {check.text}", PAGE_WIDTH, subsequent_indent=" " * 7)
            for check in self.checks
        ]
        return "\n".join([*lines, self._verdict()])

    def _verdict(self) -> str:
        if self.holds is None:
            return f"{self.model} can be read; whether it computes here what it computed elsewhere is not known"
        does = "computes" if self.holds else "does NOT compute"
        return f"{self.model} {does} here what it computed where it was trained"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "model": str(self.model),
            "holds": self.holds,
            "checks": [{"name": check.name, "holds": check.holds, "said": check.text} for check in self.checks],
        }


def verify(model: Path, *, device: str = "auto", precision: Precision = "auto") -> Verification:
    """Check that a model computes on this machine what it computed where it was trained.

    The stored answer to the probe is compared with the answer in float32 on the CPU; this decides. The answer in the
    arithmetic of the device and precision is reported too.

    Raises
    ------
    ModelFileError: the file is missing, damaged, not written by unpool, or of a later version.
    """
    path = model_file(model)
    segmenter, card = load_model(path)
    machine = choose_machine(device, precision)
    checksum = stored_checksum(path)
    intact = Check("checksum", True if checksum else None, checksum or "the file is too old to have one")
    if card["probe"] is None:
        return Verification(path, (intact, Check(ANSWER, None, _no_probe(card))))
    probe = Probe.from_card(card["probe"])
    image = probe_picture(segmenter.normalisation, probe.pixels, probe.size)
    logits = probe_logits(segmenter, image)
    own = _own_answer(Predictor(segmenter, machine, probe.size), image, logits, probe)
    return Verification(path, (intact, *_judged(probe, image, logits), own))


def _no_probe(card: Mapping[str, Any]) -> str:
    if card["version"] == 1:
        return "a card of version 1 has no probe; train again, or resume the run, to write one"
    return "the card has no probe, because the network's output was not finite when the model was saved"


def _judged(probe: Probe, image: NDArray[Any], logits: Tensor) -> tuple[Check, ...]:
    result = compare_probe(probe, image, logits)
    return (
        Check("probe", result.picture, f"{size_text(probe.size)} pixels of {probe.pixels}, sha256 {probe.picture}"),
        Check(
            f"{ANSWER} in {probe.arithmetic}",
            result.difference <= result.tolerance,
            f"the logits at {len(probe.places)} places differ by at most {result.difference:.1e} of the largest; "
            f"{result.tolerance:.0e} is allowed",
        ),
        Check(f"{ANSWER}'s classes", result.classes, "as stored" if result.classes else "not as stored"),
    )


def _own_answer(predictor: Predictor, image: NDArray[Any], logits: Tensor, probe: Probe) -> Check:
    """Return how far this machine's own arithmetic is from ``logits``, which are float32 on the CPU."""
    own = torch.cat([rows.logits for rows in predictor.tiles(image, "the probe")], dim=1)
    apart = float((own - logits).abs().max()) / max(probe.largest, 1e-30)
    changed = float(np.mean(own.argmax(0).numpy() != logits.argmax(0).numpy()))
    text = f"{apart:.1e} of the largest logit from float32; {changed:.2%} of the pixels have another class"
    return Check(f"on {predictor.machine.describe()}", None, text)
