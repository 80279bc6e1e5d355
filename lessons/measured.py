"""What the lessons measured by training: read from the files that a measurement wrote, and measured again on request.

    python -m lessons.measured                 # measure everything again: minutes for each lesson
    python -m lessons.measured decoders        # one of them

A module of this folder that measures has a function ``measure() -> Measurement``. Its numbers and pictures are in
``docs/lessons/measured``, with the day and the machine, and its page shows them from there.
"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from lessons.pages import in_language
from unpool.machine.processor import processor_name
from unpool.report.pictures import png_file
from unpool.wording import count_text

FOLDER = Path(__file__).parent.parent / "docs" / "lessons" / "measured"
MEASURED = ("borders", "decoders", "few_pictures", "from_zero", "improve_it", "training_loop")
"""Modules with a measurement, in the order of the lessons."""


class Measurement(NamedTuple):
    """The numbers of a measurement as plain JSON data, and label pictures (rows, columns) uint8 by name."""

    numbers: Mapping[str, Any]
    pictures: Mapping[str, NDArray[np.uint8]]


def numbers(name: str) -> Any:
    """Return the numbers of a measurement, with ``day`` and ``machine``, the machine in the language of the page."""
    given = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    cores, _, processor = given["machine"].partition(" of ")
    given["machine"] = in_language(given["machine"], f"{processor} 的 {cores.split()[0]} 个核心")
    return given


def mean_of(name: str, row: str, score: str) -> float:
    """Return the mean of a score over the trainings of one row of a measurement."""
    return mean(float(each[score]) for each in numbers(name)["rows"][row]["trainings"])


def labels(name: str) -> NDArray[np.uint8]:
    """Return a label picture of a measurement, uint8 (rows, columns)."""
    with Image.open(FOLDER / f"{name}.png") as opened:
        return np.asarray(opened.convert("L"), dtype=np.uint8)


def when(name: str) -> str:
    """Return the day and the machine of a measurement."""
    given = numbers(name)
    return f"{given['day']}{in_language(', ', '，')}{given['machine']}"


def write(name: str) -> None:
    """Measure, and write the numbers and the pictures."""
    made: Measurement = import_module(f"lessons.{name}").measure()
    machine = f"{count_text(torch.get_num_threads(), 'core')} of {processor_name()}"
    found = {"day": datetime.date.today().isoformat(), "machine": machine, **made.numbers}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for key, picture in made.pictures.items():
        (FOLDER / f"{name}-{key}.png").write_bytes(png_file(picture))


if __name__ == "__main__":
    for each in sys.argv[1:] or MEASURED:
        write(each)
