"""How quantities, sizes, lists and names are written in messages, tables and pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from unicodedata import category

PAGE_WIDTH = 100
"""Columns of a page of text on a terminal."""

DASH = "–"
"""The text in a table for a value that does not exist."""


def bytes_text(count: float | None) -> str:
    """Return a number of bytes in decimal units: ``45 kB``, ``12 MB``, ``1.4 GB``; a dash for None."""
    if count is None:
        return DASH
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    if count < 1e5:
        return f"{count / 1e3:.0f} kB" if count >= 1e4 else f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"


def clock_text(seconds: float) -> str:
    """Return a time as on a clock: ``0:07``, ``12:30``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def duration_text(seconds: float) -> str:
    """Return a duration in words: ``0.35 s``, ``48 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{minutes} min" if not hours else f"{hours} h {minutes:02} min"


def count_text(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 picture``, ``1,200 pictures``, ``2 classes``, ``3 epochs``."""
    plural = noun + ("es" if noun.endswith(("s", "x", "tch", "sh")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def estimate_rounded_up(count: int) -> int:
    """Round an estimated count up to a multiple of half its leading decimal place: more digits are not known."""
    step = max(int(10 ** (len(str(count)) - 1)) // 2, 1)
    return -(-count // step) * step


def minutes_text(minutes: float) -> str:
    """Return minutes as a person gives them: ``1 minute``, ``2.5 minutes``."""
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def percent_text(share: float) -> str:
    """Return a share 0..1 in percent, with two more digits where it is near 0: ``12.50%``, ``0.0125%``."""
    return f"{share:.4%}" if 0 < share < 0.0005 else f"{share:.2%}"


def size_text(size: Sequence[int]) -> str:
    """Return rows and columns: ``360 x 480``."""
    return " x ".join(map(str, size))


def first_of(names: Sequence[str], most: int = 4, separator: str = ", ") -> str:
    """Return the first names and the number of the others: ``a, b, c, d and 3 more``."""
    beyond = len(names) - most
    return separator.join(names[:most]) + (f" and {beyond} more" if beyond > 0 else "")


def all_of(names: Sequence[str]) -> str:
    """Return all names as a sentence lists them: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def shortened(name: str, most: int) -> str:
    """Return a name of at most ``most`` letters; a longer one ends with an ellipsis."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def decodable(name: str) -> str:
    """Return the name of a file or folder that can be written as UTF-8: bytes that are no letters become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def problem_text(problem: Mapping[str, Any]) -> str:
    """Return a problem that pydantic found in plain data: ``data.name = 5: Input should be a valid string``.

    Parameters
    ----------
    problem: one of the ``errors()`` of its ValidationError.
    """
    where = ".".join(map(str, problem["loc"]))
    found = f" = {shortened(repr(problem['input']), 40)}" if where and problem["type"] != "missing" else ""
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return on_one_line(f"{where}{found}: {reason}" if where else reason)


def on_one_line(text: str) -> str:
    """Return a text that a terminal shows on one line: what it would obey becomes escapes, such as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or category(letter) == "Zs" else _escape(letter) for letter in text)


def without_controls(text: str) -> str:
    """Return lines of text that a terminal shows and does not obey; every line is as ``on_one_line`` gives it."""
    return "\n".join(map(on_one_line, text.split("\n")))


def command_text(words: Iterable[object]) -> str:
    """Return a command line that a shell reads back to these words, also where they have spaces or controls."""
    return " ".join(map(_shell_word, map(str, words)))


def python_line(code: str, *words: object) -> str:
    """Return a command line that runs a line of Python; ``words`` are its arguments, from ``sys.argv[1]``."""
    plain = code.isprintable() and not set(code) & set('"$`\\!')
    return f'python -c "{code}" {command_text(words)}' if plain else command_text(["python", "-c", code, *words])


def _shell_word(word: str) -> str:
    shown = on_one_line(word)
    if shown == word:
        return shlex.quote(word)
    escaped = on_one_line(word.replace("\\", "\\\\").replace("'", "\\'"))
    return "$'" + re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", escaped) + "'"  # a byte that is no letter


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def dotted_names(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of nested settings with its name: ``training.crop`` for ``{"training": {"crop": 64}}``."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from dotted_names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
