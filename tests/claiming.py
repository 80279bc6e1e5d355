"""A process of several that share a study in tests/test_claims.py: it does tasks, and notes each that it does."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from unpool.study.optuna_claims import OptunaClaims
from unpool.study.storage import Signs
from unpool.study.worker import Worker, this_worker


def do(storage: str | None, folder: Path, tasks: list[str], seconds: float, machine: str, silence: int) -> None:
    """Do the tasks that no other process has, each for some seconds, until all are done."""
    worker = Worker(machine, os.getpid()) if machine else this_worker()
    claims = OptunaClaims(storage, folder, "study", worker=worker, signs=Signs(1, silence))
    notes = folder / f"{os.getpid()}.notes"
    notes.touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    with claims.working():
        while len(claims.results()) < len(tasks):
            free = next((task for task in tasks if claims.claim(task)), None)
            if free is None:
                time.sleep(0.05)
                continue
            with notes.open("a") as file:
                file.write(f"{free}\n")
            time.sleep(seconds)
            assert claims.finish(free, {"by": os.getpid(), "workers": claims.workers()})


if __name__ == "__main__":
    given: dict[str, Any] = json.loads(sys.argv[1])
    do(**{**given, "folder": Path(given["folder"])})
