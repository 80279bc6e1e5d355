"""The start of the program: the list of its commands, and the exit code and message of every error.

A command imports its work when it runs, so ``--help`` does not wait for torch.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper

from cyclopts import App, CycloptsError

from unpool.cli.program import FAILED, INTERRUPTED, WRONG_USE, app
from unpool.errors import UnpoolError

COMMANDS = (
    "demo", "check", "train", "test", "compare", "predict", "runs", "info", "verify", "export", "recipes", "explain",
)  # fmt: skip
"""Names of the commands, in the order of ``unpool --help``. Each is a module of ``unpool.cli``."""

HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
"""Environment in which torch asks the system for large pages. Torch reads it once, at a process's first tensor."""


def load_commands() -> App:
    """Import the module of every command, which adds the command to the program; return the program."""
    for position, name in enumerate(COMMANDS):
        import_module(f"unpool.cli.{name}")
        app[name].sort_key = position
    return app


def main() -> None:
    """Run the program on the words of the command line, and exit.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 bad data, 130 interrupted, 143 stopped by SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a bar or a dash must not stop the work
    os.environ.update({**HUGE_PAGES, **os.environ})
    # Of several processes that torchrun started, only the first prints.
    if "WORLD_SIZE" in os.environ and os.environ.get("RANK", "0") != "0":
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    try:
        code = load_commands()(sys.argv[1:], exit_on_error=False, print_error=True, result_action="return_value")
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
