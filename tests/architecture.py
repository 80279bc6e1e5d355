"""The tree of ARCHITECTURE.md, made of the first sentence of every module.

``python tests/architecture.py`` writes it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import unpool

ROOT = Path(unpool.__file__).parent
PAGE = Path(__file__).parent.parent / "ARCHITECTURE.md"
BEGIN, END = "<!-- tree -->\n```\n", "```\n<!-- end of tree -->"
COLUMN = 30
"""Where the sentences begin."""


def sentence(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return " ".join(text.split()).split(". ")[0].rstrip(".").replace("``", "")


def lines(folder: Path, depth: int = 0) -> Iterator[str]:
    """A line for each file and folder; a folder's sentence is its ``__init__``'s."""
    entries = [path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    for path in sorted(entries, key=lambda path: (path.is_dir(), path.name)):
        if path.name == "__init__.py" and depth:
            continue
        indent, name = "  " * depth, path.name + ("/" if path.is_dir() else "")
        words = sentence(path / "__init__.py" if path.is_dir() else path)
        yield f"{indent}{name}".ljust(COLUMN) + words
        if path.is_dir():
            yield from lines(path, depth + 1)


def tree() -> str:
    """All lines."""
    return "\n".join(line.rstrip() for line in lines(ROOT)) + "\n"


def with_tree(page: str) -> str:
    """A page whose tree is the one on the disk."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{tree()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_tree(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
