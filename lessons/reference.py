"""The API reference: the public names of the package with their signatures and docstrings, as plain Markdown."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cached_property
from pkgutil import resolve_name
from typing import Any, NamedTuple

WIDTH = 100
"""Columns of a signature; a longer one has a line for each parameter."""


class Entry(NamedTuple):
    """A public name: of a function, a class or a module.

    Attributes
    ----------
    members: methods and properties to show of a class; None for all public ones.
    """

    name: str
    members: tuple[str, ...] | None = None


NAMES: dict[str, tuple[Entry, ...]] = {
    "Train, load, predict": (
        Entry("unpool.train"),
        Entry("unpool.check"),
        Entry("unpool.load"),
        Entry("unpool.Model"),
    ),
    "Networks": (
        Entry("unpool.nets.build"),
        Entry("unpool.nets.named_net"),
        Entry("unpool.nets.named.NamedNet"),
        Entry("unpool.nets.named.changed"),
        Entry("unpool.nets.network_of"),
    ),
    "Losses": (
        Entry("unpool.losses.loss.Loss", ("__call__", "terms")),
        Entry("unpool.losses.loss.LossValue"),
    ),
    "Scores": (
        Entry("unpool.metrics.confusion.ConfusionMatrix"),
        Entry("unpool.metrics.scores.scores"),
        Entry("unpool.metrics.scores.Scores"),
        Entry("unpool.metrics.scores.ClassScore"),
    ),
    "Prediction in parts": (
        Entry("unpool.prediction.predictor.Predictor", ("predict", "bands")),
        Entry("unpool.prediction.averaging.Averaging", ()),
    ),
    "Files": (
        Entry("unpool.io.read.images.read_image"),
        Entry("unpool.io.read.masks.read_mask"),
        Entry("unpool.io.read.windows.open_picture"),
        Entry("unpool.io.write.bands.open_mask_writer"),
    ),
    "Commands": (
        Entry("unpool.commands.events.finish"),
        Entry("unpool.commands.events.Message"),
        Entry("unpool.commands.events.Progress"),
        Entry("unpool.commands.train.stages.train_in_stages"),
        Entry("unpool.commands.test.test.test"),
        Entry("unpool.commands.predict.predict.predict"),
        Entry("unpool.commands.export.export"),
        Entry("unpool.commands.verify.verify"),
    ),
    "Errors": (Entry("unpool.errors"),),
}
"""The public names by section: what the manual uses and a program of one's own needs."""


def page() -> str:
    """Return all sections as Markdown."""
    parts = []
    for title, entries in NAMES.items():
        parts += [f"## {title}", *(part for entry in entries for part in _described(entry))]
    return "\n\n".join(parts)


def as_markdown(docstring: str) -> str:
    """Return a docstring with sections in NumPy's style as Markdown; each ``name: text`` becomes an item of a list."""
    lines = inspect.cleandoc(docstring).splitlines()
    parts: list[list[str]] = [[]]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.fullmatch("-{3,}", following):
            parts.append([line])
        elif not re.fullmatch("-{3,}", line):
            parts[-1].append(line)
    made = ["\n".join(parts[0])] if any(parts[0]) else []
    made += [f"**{title}**\n\n{_items(body)}" for title, *body in parts[1:]]
    return "\n\n".join(part.strip() for part in made).replace("``", "`")


def _items(lines: list[str]) -> str:
    """Return the lines of a section as a list; lines after the last item, which are not indented, follow it."""
    return "\n".join(re.sub(r"^(\w[\w, ]*): ", r"- `\1`: ", re.sub(r"^ {4}", "  ", line)) for line in lines)


def _described(entry: Entry) -> Iterator[str]:
    thing = resolve_name(entry.name)
    yield f"### {entry.name}"
    if inspect.ismodule(thing):
        yield as_markdown(thing.__doc__ or "")
    elif inspect.isclass(thing):
        given = inspect.signature(thing).parameters.values()
        yield _code(f"{thing.__name__}(", [_untyped(each) for each in given], ")")
        yield as_markdown(thing.__doc__ or "")
        names = [name for name in vars(thing) if not name.startswith("_")] if entry.members is None else entry.members
        yield from filter(None, (_member(thing, name) for name in names))
    else:
        yield _function(thing, thing.__name__)


def _member(owner: type, name: str) -> str:
    """Return a property or a method of a class as Markdown; an empty text for anything else."""
    member = inspect.getattr_static(owner, name)
    if isinstance(member, property | cached_property):
        text = inspect.getdoc(member) or ""
        return f"`{owner.__name__}.{name}`: {text[0].lower()}{text[1:]}".replace("``", "`")
    plain = member.__func__ if isinstance(member, classmethod) else member
    called = f"{owner.__name__}.{name}".replace(f"{owner.__name__}.__call__", owner.__name__.lower())
    return _function(plain, called) if inspect.isfunction(plain) else ""


def _function(function: Callable[..., Any], called: str) -> str:
    """Return a function or method as Markdown: its signature, as in its source, and its docstring."""
    node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(node, ast.FunctionDef)
    result = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    signature = _code(f"{called}(", _parameters(node.args), f"){result}")
    return f"{signature}\n\n{as_markdown(ast.get_docstring(node) or '')}"


def _parameters(given: ast.arguments) -> list[str]:
    """Return the parameters of a function without ``self`` and ``cls``."""
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + [*given.defaults]
    parts = [_typed(arg, default) for arg, default in zip(plain, defaults, strict=True)]
    parts = [part for part in parts if part not in ("self", "cls")]
    if given.kwonlyargs:
        parts.append("*")
    parts += [_typed(arg, default) for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [*parts, *([f"**{_typed(given.kwarg, None)}"] if given.kwarg else [])]


def _typed(arg: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(arg.annotation)}" if arg.annotation else ""
    equals = " = " if kind else "="
    return f"{arg.arg}{kind}" + (f"{equals}{ast.unparse(default)}" if default is not None else "")


def _untyped(parameter: inspect.Parameter) -> str:
    """Return a parameter without its type."""
    return str(parameter.replace(annotation=inspect.Parameter.empty))


def _code(start: str, parts: list[str], end: str) -> str:
    line = f"{start}{', '.join(parts)}{end}"
    if len(line) > WIDTH:
        line = "\n".join([start, *(f"    {part}," if part != "*" else "    *," for part in parts), end])
    return "```python\n" + line.replace("'", '"') + "\n```"
