"""What the lesson "Improve it" measures: a small study of the skip connections, from its question to its verdicts."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from lessons import measured
from lessons.measured import Measurement
from unpool.commands.events import finish
from unpool.commands.study.study import study
from unpool.data.synthetic import write_synthetic_set
from unpool.study.plan import plan_given

DATA, PICTURES = "cells", 40
VARY, SETTING, EPOCHS = "skip=concat,add,none", "width=8", 2
OUT = "studies/skip"


def command() -> str:
    """Return the command of the study."""
    return f"unpool study {DATA} --vary {VARY} --set {SETTING} --epochs {EPOCHS} --out {OUT}"


def measure() -> Measurement:
    """Run the study on made cells, and keep the text that it prints, up to the variants' details."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_synthetic_set(Path(DATA), PICTURES, seed=1)
        plan = plan_given(None, {"epochs": EPOCHS}, [SETTING], {}, [VARY], None)
        text = finish(study(Path(DATA), plan, Path(OUT))).text
    return Measurement({"text": text.split("\n1 baseline (")[0].rstrip().splitlines()}, {})


def printed() -> str:
    """Return the command and the beginning of what it printed, as a block of text."""
    return "\n".join(["```text", f"$ {command()}", *measured.numbers("improve_it")["text"], "```"])
