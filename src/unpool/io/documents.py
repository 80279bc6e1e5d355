"""Documents: JSON, JSON lines, TOML and YAML, each read within bounds of memory, depth and numbers.

Every file of these forms is read here, and every option whose value has one of them. What a reader returns has few
levels, whole numbers of 64 bits, and texts that can be written as UTF-8. So code that walks through it, computes with
it or prints it needs no bounds of its own.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources.abc import Traversable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from unpool.errors import DataError
from unpool.wording import bytes_text, decodable, on_one_line, shortened

MOST_DEPTH = 64
"""The most levels of lists and tables inside each other."""

MOST_MEMORY = 1e9
"""The most bytes that the values of a JSON document may take."""

MOST_TOML_BYTES = 1_000_000
MOST_YAML_BYTES = 250_000
MOST_YAML_VALUES = 20_000
"""The most values of a YAML document, with those that aliases repeat. PyYAML takes 0.1 ms for each."""

BYTE_COST, OBJECT_COST, LIST_COST, ITEM_COST = 5, 240, 90, 60
"""The most bytes of memory for a byte of JSON, and in addition for each object, each list and each comma."""

_Content = TypeVar("_Content")


class JSONLines(NamedTuple):
    """What the lines of a file of JSON lines mean, and the number of each odd line with what is wrong in it."""

    entries: list[Any]
    odd: list[str]


def read_json(path: Path, most_bytes: int | None = None) -> Any:
    """Read a JSON file without NaN and infinity.

    Parameters
    ----------
    most_bytes: size of the largest file that is read; None for the bound on memory alone.

    Raises
    ------
    DataError: the file is missing or unreadable, no JSON, too large or too deep, or has a key twice.
    """
    return _read(path, "JSON", json_value, int(MOST_MEMORY / BYTE_COST) if most_bytes is None else most_bytes)


def read_json_lines(path: Path, entry_of: Callable[[Any], Any]) -> JSONLines:
    """Read a file with a JSON value on each line; NaN and infinity are numbers in it.

    A last line without an end is the trace of a killed writer, and is passed over if it is no JSON.

    Parameters
    ----------
    entry_of: gives what the value of a line means; a ValueError makes the line odd.

    Raises
    ------
    DataError: the file is missing, unreadable or too large.
    """
    return _read(path, "JSON", lambda content: _json_lines(content, entry_of), int(MOST_MEMORY / BYTE_COST))


def read_toml(path: Path | Traversable) -> dict[str, Any]:
    """Read a TOML file without NaN and infinity.

    Raises
    ------
    DataError: the file is missing or unreadable, no TOML, too large or too deep.
    """
    return _read(path, "TOML", toml_table, MOST_TOML_BYTES)


def read_yaml(path: Path) -> Any:
    """Read a YAML file in which words stay as they are written.

    Plain scalars are whole numbers (``12``, not ``012`` or ``0x1f``), None (``null``, ``~`` or nothing) or texts. So
    ``no``, ``off``, ``1.10``, ``12:30`` and ``2024-01-01``, which YAML 1.1 makes a truth value, a number or a date, are
    the names that a person means.

    Raises
    ------
    DataError: the file is missing or unreadable, no YAML, too large or too deep, or has a key twice.
    """
    return _read(path, "YAML", yaml_value, MOST_YAML_BYTES)


def json_value(content: str | bytes, *, finite: bool = True) -> Any:
    """Return the value of a JSON text.

    Parameters
    ----------
    finite: whether NaN and infinity are refused.

    Raises
    ------
    ValueError: the text is no JSON or passes a bound; the message is for a person.
    """
    encoded = content.encode("utf-8") if isinstance(content, str) else content
    if (needed := _json_memory(encoded)) > MOST_MEMORY:
        raise ValueError(f"its values take {bytes_text(needed)} of memory, more than {bytes_text(MOST_MEMORY)}")
    try:
        value = json.loads(_decoded(encoded), object_pairs_hook=_object, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _too_deep() from error
    _require_plain(value, finite=finite)
    return value


def toml_table(content: str | bytes, *, finite: bool = True) -> dict[str, Any]:
    """Return the table of a TOML text.

    Parameters
    ----------
    finite: whether NaN and infinity are refused.

    Raises
    ------
    ValueError: the text is no TOML or passes a bound; the message is for a person.
    """
    text = _bounded_text(content, MOST_TOML_BYTES)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # Python's own bound on the digits of a number
        raise ValueError("a number of thousands of digits") from error
    except RecursionError as error:
        raise _too_deep() from error
    _require_plain(table, finite=finite)
    return table


def yaml_value(content: str | bytes) -> Any:
    """Return the value of a YAML text, as ``read_yaml`` does.

    Raises
    ------
    ValueError: the text is no YAML or passes a bound; the message is for a person.
    """
    text = _bounded_text(content, MOST_YAML_BYTES)
    try:
        node = yaml.compose(text, Loader=_YAMLLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem or error.context}") from error
    except Exception as error:  # PyYAML raises many kinds on odd escapes, characters and directives
        raise ValueError(_first_line(error)) from error
    value = None if node is None else _yaml_value(node, 0, count(1))
    _require_plain(value)
    return value


def _read(path: Path | Traversable, form: str, parse: Callable[[bytes], _Content], most_bytes: int) -> _Content:
    name = decodable(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise ValueError(f"larger than {bytes_text(most_bytes)}")
        return parse(content)
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}", f"a readable {form} file", "check the path") from error
    except ValueError as error:
        raise DataError(
            f"{name}: no valid {form} ({on_one_line(str(error))})",
            f"a {form} file",
            "correct the file, or write it again with the program that made it",
        ) from error


def _json_lines(content: bytes, entry_of: Callable[[Any], Any]) -> JSONLines:
    entries, odd = [], []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                entries.append(entry_of(json_value(line, finite=False)))
            except ValueError as error:
                if number < len(lines):
                    odd.append(f"line {number}: {on_one_line(str(error))}")
    return JSONLines(entries, odd)


def _json_memory(content: bytes) -> int:
    """Return the most bytes that the values of a JSON text take: few bytes of text can be many objects."""
    return (
        BYTE_COST * len(content)
        + OBJECT_COST * content.count(b"{")
        + LIST_COST * content.count(b"[")
        + ITEM_COST * content.count(b",")
    )


def _bounded_text(content: str | bytes, most: int) -> str:
    if len(content) > most:
        raise ValueError(f"larger than {bytes_text(most)}")
    return content if isinstance(content, str) else _decoded(content)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: the byte {content[error.start]:#04x} is not UTF-8") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {_quoted(name)} twice")
    return table


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -(1 << 63) <= int(digits) < 1 << 63:
        raise ValueError(f"the number {shortened(digits, 24)} does not fit into 64 bits")
    return int(digits)


def _require_plain(value: Any, *, finite: bool = True) -> None:
    """Raise ValueError where a value is too deep, or has a number or a text that others cannot keep."""
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list):
                below += each
            else:
                _require_simple(each, finite=finite)
        if not below:
            return
        level = below
    raise _too_deep()


def _require_simple(value: Any, *, finite: bool) -> None:
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError as error:
                raise ValueError(f"{_quoted(value)} has half of a character (a lone surrogate)") from error
    elif isinstance(value, float):
        if finite and not math.isfinite(value):
            raise ValueError(f"the number {value}, which is not finite")
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ValueError("a number that does not fit into 64 bits")


def _too_deep() -> ValueError:
    return ValueError(f"more than {MOST_DEPTH} levels of lists and tables inside each other")


class _YAMLLoader(yaml.BaseLoader):
    """The reader of YAML's syntax, which knows only whole numbers and null by their kind, and stops at the bounds."""

    depth = count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node, with those below it."""
        self.depth += 1
        self.count += 1
        _require_few(self.depth, self.count, f"line {self.line + 1}")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


_WHOLE, _NULL, _TEXT, _LIST, _TABLE = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "null", "str", "seq", "map"))
_YAMLLoader.add_implicit_resolver(_WHOLE, re.compile(r"(?:0|-?[1-9][0-9]*)\Z"), list("-0123456789"))
_YAMLLoader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])


def _yaml_value(node: yaml.Node, depth: int, budget: Iterator[int]) -> Any:
    """Return the value of a node. An alias is a node that is met again, so each value that it repeats is counted."""
    line = f"line {node.start_mark.line + 1}"
    _require_few(depth, next(budget), line)
    if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
        return [_yaml_value(each, depth + 1, budget) for each in node.value]
    if isinstance(node, yaml.MappingNode) and node.tag == _TABLE:
        return _yaml_table(node, depth, budget)
    if isinstance(node, yaml.ScalarNode) and node.tag in (_WHOLE, _NULL, _TEXT):
        return _yaml_scalar(node, line)
    raise ValueError(f"{line}: the tag {_quoted(node.tag.replace('tag:yaml.org,2002:', '!!'))} is not read")


def _yaml_table(node: yaml.MappingNode, depth: int, budget: Iterator[int]) -> dict[Any, Any]:
    table: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        line = f"line {key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise ValueError(f"{line}: a list or a table as a key")
        key = _yaml_value(key_node, depth + 1, budget)
        if key in table:
            raise ValueError(f"{line}: the key {_quoted(str(key))} twice")
        table[key] = _yaml_value(value_node, depth + 1, budget)
    merged = table.pop("<<", None)
    for each in merged if isinstance(merged, list) else [merged]:
        if isinstance(each, dict):
            table = {**each, **table}
    return table


def _yaml_scalar(node: yaml.ScalarNode, line: str) -> str | int | None:
    if node.tag == _NULL:
        return None
    if node.tag == _TEXT:
        return str(node.value)
    try:
        return _whole(node.value)
    except ValueError as error:
        raise ValueError(f"{line}: {_quoted(node.value)} is no whole number of 64 bits") from error


def _require_few(depth: int, values: int, line: str) -> None:
    if depth > MOST_DEPTH:
        raise ValueError(f"{line}: {_too_deep()}, or an alias inside itself")
    if values > MOST_YAML_VALUES:
        raise ValueError(f"{line}: more than {MOST_YAML_VALUES:,} values, with those that aliases repeat")


def _quoted(text: str) -> str:
    return f"'{shortened(on_one_line(text), 40)}'"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
