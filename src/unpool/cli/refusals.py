"""What a command line is refused for before its command begins, in three parts as every other error."""

from __future__ import annotations

import difflib
import inspect
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, get_args

from cyclopts import Argument, CycloptsError
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from unpool.errors import RunError, UsageError
from unpool.wording import command_text

KINDS: dict[Any, tuple[str, str]] = {
    int: ("a whole number, in digits", "write for example {name} 2"),
    float: ("a number", "write for example {name} 2.5"),
    bool: ("no value", "write {name} alone"),
}
"""What the value of an option of a type is, and the repair of a wrong one."""


EMPTY = re.compile(r"(--[a-z-]+=)?\s*")
"""A word without a value."""

HOME = re.compile(r"^(--[a-z-]+=)?([a-z_.]+=)?~(?=/|$)")
"""The start of a word that means a path in the home folder: ``~``, ``--out=~`` or ``start=~``."""


def given_words(words: Iterable[str]) -> list[str]:
    """Return the words of a command line, each with the home folder in the place of ``~`` at the start of a path.

    A shell does this only for words that begin with ``~``, and not for ``--out=~/masks``.

    Raises
    ------
    UsageError: an empty word. A path of no letters would be the present folder.
    """
    given = list(words)
    empty = next((place for place, word in enumerate(given) if EMPTY.fullmatch(word)), None)
    if empty is not None:
        raise UsageError(
            f"an empty word: {command_text(['unpool', *given[: empty + 1]])}",
            "a name, a path or a value in its place",
            "write one, or leave the word out; a shell variable without a value gives an empty word",
        )
    return [HOME.sub(lambda found: found[0][:-1] + os.path.expanduser("~"), word) for word in given]


def usage_error(error: CycloptsError, commands: Iterable[str]) -> UsageError:
    """Return what is wrong with the words of a command line.

    Parameters
    ----------
    commands: the names of all commands.
    """
    name = " ".join(["unpool", *(error.command_chain or ())])
    help_text = f"see {name} --help"
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        word = error.unused_tokens[0]
        near = difflib.get_close_matches(word, commands, n=1)
        repair = f"did you mean {name} {near[0]}?" if near else help_text
        return UsageError(f"{name} {word}: there is no such command", f"one of {', '.join(commands)}", repair)
    if isinstance(error, UnknownOptionError):
        word = error.token.keyword or error.token.value
        known = [each for argument in error.argument_collection for each in argument.names if each.startswith("--")]
        near = difflib.get_close_matches(word, known, n=1)
        repair = f"did you mean {near[0]}?" if near else help_text
        return UsageError(f"{name}: no option {word}", f"an option of {name}", repair)
    if isinstance(error, CoercionError) and error.argument is not None and error.token is not None:
        return _wrong_value(error.argument, error.token.value)
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return _missing(name, error.argument, error.keyword, example(error.target))
    if isinstance(error, RepeatArgumentError):
        option = error.token.keyword
        return UsageError(f"{name}: {option} more than once", f"{option} once", "leave one of them out")
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        word = error.unused_tokens[0]
        return UsageError(
            f"{name}: nothing takes the word {word}", "no further words",
            f"leave it out, or put a name with spaces into quotes; {help_text}",
        )  # fmt: skip
    error.verbose = False
    return UsageError(f"{name}: {error}", "words that this command takes", help_text)


def system_error(error: OSError) -> RunError:
    """Return the error of a command that the operating system refused a file."""
    return RunError(
        f"{error.filename or 'the system'}: {error.strerror or error}",
        "a file or folder that can be read or written",
        "check the path, its rights and the room on its disk",
    )


def memory_error() -> RunError:
    """Return the error of a command for which memory ran out."""
    return RunError(
        "out of memory",
        "a smaller picture, crop, batch or network",
        "lower --set crop=… or batch_size=…, or close other programs",
    )


def example(command: Callable[..., Any] | None) -> str:
    """Return the example of a command, from its docstring; an empty text where it has none."""
    found = re.search(r"Example: (.+)", inspect.getdoc(command) or "") if command else None
    return found[1] if found else ""


def _wrong_value(argument: Argument, value: str) -> UsageError:
    types = [kind for kind in (get_args(argument.hint) or (argument.hint,)) if kind is not type(None)]
    choices = [choice for kind in types for choice in (kind, *get_args(kind)) if isinstance(choice, str)]
    name = argument.name
    if choices:
        near = difflib.get_close_matches(value, choices, n=1)
        repair = f"did you mean {name} {near[0]}?" if near else f"write for example {name} {choices[0]}"
        return UsageError(f"{name} {value}", f"one of {', '.join(choices)}", repair)
    what, repair = next((KINDS[kind] for kind in types if kind in KINDS), ("a value of another form", "correct {name}"))
    return UsageError(f"{name} {value}", what, repair.format(name=name))


def _missing(name: str, argument: Argument, keyword: str | None, usual: str) -> UsageError:
    title = argument.name if argument.field_info.is_keyword_only else argument.name.lstrip("-").upper()
    found = f"{name}: {keyword} without a value" if keyword else f"{name} without {title}"
    help_text = str(argument.parameter.help or "a value").rstrip(".")
    repair = f"write for example: {usual}" if usual else f"see {name} --help"
    return UsageError(found, help_text[:1].lower() + help_text[1:], repair)
