"""The computed parts of the pages: each number, printed line, table and picture is made by the program beside it.

    python -m lessons.pages            # compute every page of docs/ again
    python -m lessons.pages --check    # exit code 1 where a page is not what the code computes

A page is plain Markdown. Comments in it, which no reader sees, say what is computed:

``<!--= 572 - 184 -->388<!--=-->``              an expression, with its value after it
``<!-- run: unpool explain unet -->``           a command, with what it prints, up to ``<!-- end -->``
``<!-- code: plain_unet.py -->``                a program of this folder; ``plain_unet.py:forward`` is one part of it
``<!-- show: padding.edges() -->``              a function of this folder, with the Markdown that it returns

A function that draws writes its file into ``docs/lessons/pictures/`` by ``picture`` and returns the link. Its words are
in the language of the page, by ``in_language``; a page whose title has Chinese characters is Chinese.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unpool.cli.main import load_commands
from unpool.errors import UnpoolError

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PICTURES = DOCS / "lessons" / "pictures"
_VALUE = re.compile(r"<!--= (?P<text>.+?) -->(?P<old>.*?)<!--=-->", re.DOTALL)
_BLOCK = re.compile(r"<!-- (?P<kind>run|code|show): (?P<text>.+?) -->\n(?P<old>.*?)<!-- end -->", re.DOTALL)
_TITLE = re.compile(r"^# .*[\u4e00-\u9fff]", re.MULTILINE)
_chinese: ContextVar[bool] = ContextVar("chinese", default=False)


def in_language(english: str, chinese: str) -> str:
    """Return the words in the language of the page that is being computed."""
    return chinese if _chinese.get() else english


def in_words(words: str, chinese: Mapping[str, str]) -> str:
    """Return words in the language of the page: in a Chinese page each English part is replaced, in order."""
    if _chinese.get():
        for english, other in chinese.items():
            words = words.replace(english, other)
    return words


def picture(name: str, svg: str, words: str) -> str:
    """Write a drawing into the folder of the pictures, and return the Markdown that shows it.

    Parameters
    ----------
    words: what the drawing shows, for readers who do not see it.
    """
    path = PICTURES / f"{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != svg:
        path.write_text(svg, encoding="utf-8")
    return f"![{words}](pictures/{path.name})"


def photograph(name: str, pixels: NDArray[np.uint8], words: str) -> str:
    """Write pixels as a PNG into the folder of the pictures, and return the Markdown that shows them.

    Parameters
    ----------
    pixels: uint8 (rows, columns) or (rows, columns, 3).
    """
    path = PICTURES / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or not np.array_equal(np.asarray(Image.open(path)), pixels):
        Image.fromarray(pixels).save(path, optimize=True)
    return f"![{words}](pictures/{path.name})"


def computed(text: str) -> str:
    """Return the text of a page with every computed part made again."""
    token = _chinese.set(_TITLE.search(text) is not None)
    try:
        text = _BLOCK.sub(_block, text)
        return _VALUE.sub(lambda found: f"<!--= {found['text']} -->{_value(found['text'])}<!--=-->", text)
    finally:
        _chinese.reset(token)


def pages() -> list[Path]:
    """Return the pages with computed parts, sorted."""
    return [path for path in sorted(DOCS.rglob("*.md")) if _has_parts(path.read_text(encoding="utf-8"))]


def parts(text: str) -> list[str]:
    """Return what the computed parts of a page compute, in order: the same in every language."""
    found = [*_BLOCK.finditer(text), *_VALUE.finditer(text)]
    return [each["text"] for each in sorted(found, key=lambda each: each.start())]


def main(words: list[str]) -> int:
    """Compute all pages, or check them; return the exit code."""
    check, wrong = "--check" in words, []
    for path in pages():
        text = path.read_text(encoding="utf-8")
        made = computed(text)
        if made != text:
            wrong.append(path)
            if not check:
                path.write_text(made, encoding="utf-8")
    for path in wrong:
        sys.stderr.write(
            f"{path.relative_to(DOCS.parent)}: {'is not what the code computes' if check else 'computed'}\n"
        )
    return int(check and bool(wrong))


def _has_parts(text: str) -> bool:
    return _BLOCK.search(text) is not None or _VALUE.search(text) is not None


def _block(found: re.Match[str]) -> str:
    kind, text = found["kind"], found["text"]
    made = {"run": _run, "code": _code, "show": lambda words: str(_value(words))}[kind](text)
    return f"<!-- {kind}: {text} -->\n{made.rstrip()}\n<!-- end -->"


def _run(line: str) -> str:
    """Return what a command of unpool prints, a refusal included, as a block of text with the command above it."""
    program, *words = shlex.split(line)
    if program != "unpool":
        raise ValueError(f"a page runs {program}; pages run unpool only")
    out = io.StringIO()
    with contextlib.redirect_stdout(out), _width(100):
        try:
            load_commands()(words, exit_on_error=False, result_action="return_value")
        except UnpoolError as error:
            out.write(f"unpool: {error}")
    printed = "\n".join(row.rstrip() for row in out.getvalue().rstrip().splitlines())
    return f"```text\n$ {line}\n{printed}\n```"


@contextlib.contextmanager
def _width(columns: int) -> Any:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)


def _code(words: str) -> str:
    """Return a program of this folder, or one class or function of it, as a block of Python."""
    name, _, part = words.partition(":")
    source = (HERE / name).read_text(encoding="utf-8")
    if part:
        source = part_of(source, part)
    return f"```python\n{source.strip()}\n```"


def part_of(source: str, part: str) -> str:
    """Return the lines of a class, a function or a method (``PlainUNet.forward``) of a program, without indents.

    The decorators above it belong to it.
    """
    node: Any = ast.parse(source)
    for name in part.split("."):
        node = next(each for each in node.body if getattr(each, "name", None) == name)
    first = min(each.lineno for each in (*node.decorator_list, node))
    lines = source.splitlines()[first - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(lines))


def _value(expression: str) -> Any:
    """Return the value of an expression, in which the modules of this folder and of the arithmetic are known."""
    return eval(expression, {"__builtins__": {}}, _Names())  # noqa: S307 - the pages of this project, nobody else's


class _Names(Mapping[str, Any]):
    """The names that expressions may use: a few functions of Python, geometry's, and the modules of this folder."""

    _PLAIN: Mapping[str, Callable[..., Any]] = {"round": round, "sum": sum, "max": max, "min": min, "len": len}

    def __getitem__(self, name: str) -> Any:
        if name in self._PLAIN:
            return self._PLAIN[name]
        if (HERE / f"{name}.py").is_file():
            return import_module(f"lessons.{name}")
        return import_module(f"unpool.{name}")

    def __iter__(self) -> Any:
        return iter(self._PLAIN)

    def __len__(self) -> int:
        return len(self._PLAIN)


if __name__ == "__main__":
    sys.exit(import_module("lessons.pages").main(sys.argv[1:]))  # the module that the others import, not a second one
