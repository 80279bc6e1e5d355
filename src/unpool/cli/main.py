"""The command line: text to command and back; the only place that prints.

Commands are imported when they run, so that help does not wait for torch.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

from cyclopts import CycloptsError

from unpool.cli import models, runs
from unpool.cli import predict as predicting
from unpool.cli import test as scoring
from unpool.cli import train as training
from unpool.cli.program import FAILED, INTERRUPTED, WRONG_USE, app
from unpool.errors import UnpoolError

__all__ = ["app", "main", "models", "predicting", "runs", "scoring", "training"]

HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
"""Environment in which torch asks the system for large pages; it looks once, at a process's first tensor."""


def main() -> None:
    """The program. Exit codes: 0 done, 1 failed, 2 wrong use, 3 bad data, 130 interrupted, 143 stopped by SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar or a dash that the terminal cannot show is no reason to stop
    os.environ.update({**HUGE_PAGES, **os.environ})
    # Of the processes that torchrun started, the first one speaks.
    if "WORLD_SIZE" in os.environ and os.environ.get("RANK", "0") != "0":
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for the rest of the process)
    try:
        code = app(sys.argv[1:], exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        code = WRONG_USE
    except UnpoolError as error:
        print(f"unpool: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("unpool: interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        code = FAILED
    except MemoryError:
        print("unpool: out of memory\n  expected: a smaller picture, crop, batch or network\n"
              "  to do:    lower --set crop=… or batch_size=…, or close other programs", file=sys.stderr)  # fmt: skip
        code = FAILED
    except OSError as error:
        print(f"unpool: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)
