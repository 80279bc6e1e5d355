"""What the lesson "Improve it" shows: a small study of skip connections on made pictures, with its record.

python -m lessons.improve_it        # run the study again; four minutes on two cores
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lessons.pages import DOCS
from unpool.data.synthetic import write_synthetic_set
from unpool.io.files import write_json
from unpool.machine.processor import processor_name

MEASURED = DOCS / "lessons" / "measured" / "improve-it.json"
PICTURES, SEED = 30, 4
"""Pictures of the made set, and the seed that they are drawn with."""
STUDY = (
    "unpool study cells --vary skip=concat,add,none --set width=8 --seeds 2 --most-seeds 2 --minutes 4 "
    "--out studies/skip"
)
SHOW = "unpool study show studies/skip"


def study() -> str:
    """Return the command of the study and what it found, as a block of text."""
    return f"```text\n$ {STUDY}\n$ {SHOW}\n{measured()['shown']}\n```"


def measured() -> Any:
    """Return the record of the study."""
    return json.loads(MEASURED.read_text(encoding="utf-8"))


def measure() -> None:
    """Run the study in a folder of its own, and keep what ``unpool study show`` prints."""
    with tempfile.TemporaryDirectory() as place:
        write_synthetic_set(Path(place) / "cells", PICTURES, SEED)
        texts = []
        for command in (STUDY, SHOW):
            words = [sys.executable, "-m", *command.split()]
            done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
            texts.append(done.stdout)
    shown = re.sub(r" +$", "", texts[-1].strip(), flags=re.MULTILINE)
    facts = {"machine": processor_name(), "date": f"{datetime.now(UTC):%Y-%m-%d}", "pictures": PICTURES}
    write_json(MEASURED, {**facts, "shown": shown})


if __name__ == "__main__":
    measure()
