"""The start of the program: the list of its commands, and the exit code and message of every error.

A command imports its work when it runs, so ``--help`` does not wait for torch.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from cyclopts import App, CycloptsError

from unpool.cli.program import INTERRUPTED, app
from unpool.cli.refusals import given_words, memory_error, system_error, usage_error
from unpool.cli.screen import prepare_streams, show_error, silence
from unpool.errors import UnpoolError

COMMANDS = (
    "demo", "check", "train", "test", "compare", "study", "predict", "shapes", "runs", "info", "verify", "export",
    "ensemble", "recipes", "explain",
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
    prepare_streams()
    os.environ.update({**HUGE_PAGES, **os.environ})
    # Of several processes that torchrun started, only the first prints.
    if "WORLD_SIZE" in os.environ and os.environ.get("RANK", "0") != "0":
        silence()
    try:
        words = given_words(sys.argv[1:])
        code = load_commands()(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        code = _refuse(usage_error(error, COMMANDS))
    except UnpoolError as error:
        code = _refuse(error)
    except KeyboardInterrupt:
        show_error("unpool: interrupted")
        code = INTERRUPTED
    except MemoryError:
        code = _refuse(memory_error())
    except OSError as error:
        code = _refuse(system_error(error))
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(error: UnpoolError) -> int:
    show_error(f"unpool: {error}")
    return error.exit_code
