"""Plain words: no private word in code, pages and docs, and docstrings that begin as their kind begins."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import unpool

ROOT = Path(unpool.__file__).parent
PROJECT = Path(__file__).parent.parent

WORDS = frozenset(
    [
        "anew",
        "asked",
        "besides",
        "crosses",
        "crossing",
        "holding",
        "laid",
        "maniest",
        "opaque",
        "said",
        "soundness",
        "strange",
        "strays",
        "told",
        "turned",
        "whoever",
    ]
)
"""Words that only those who wrote the code understood, or that stood for another word of the word list."""

PHRASES = (
    "are said", "every so", "go on with", "goes on with", "gone on with", "in the midst", "is said", "let go",
    "lets go", "made ready", "maps of which", "so many",
)  # fmt: skip

LETTERS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


KEYS = {"verify.py": '"said": '}
"""Keys of JSON that programs read, which keep their names."""


def texts() -> Iterator[Path]:
    """All that people read: the package's files, the pages beside it."""
    for suffix in ("*.py", "*.toml", "*.html", "*.j2"):
        yield from sorted(ROOT.rglob(suffix))
    yield from sorted(PROJECT.glob("*.md"))
    yield from sorted((PROJECT / "docs").rglob("*.md"))


def private_words(text: str) -> set[str]:
    """The private words of a text, in names too: ``turnedBack`` and ``is_said`` hold some."""
    words = [word.lower() for word in LETTERS.findall(text)]
    joined = f" {' '.join(words)} "
    return WORDS.intersection(words) | {phrase for phrase in PHRASES if f" {phrase} " in joined}


def test_names_and_sentences_are_looked_through() -> None:
    assert private_words("def _turned_back(laidOut): 'it is\nsaid'") == {"turned", "laid", "said", "is said"}
    assert private_words("returned, mislaid, said_") == {"said"}


@pytest.mark.parametrize("path", list(texts()), ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_no_private_words(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "ARCHITECTURE.md":  # the word list names them
        text = text.replace(text[text.find("<!-- private words -->") : text.find("<!-- end -->")], "")
    text = text.replace(KEYS.get(path.name, "\0"), "")
    wrong = {
        f"{number}: {', '.join(sorted(found))}"
        for number, line in enumerate(text.splitlines(), 1)
        if (found := private_words(line))
    }
    assert not wrong, sorted(wrong)


NOT_VERBS = frozenset(
    [
        "a",
        "an",
        "the",
        "what",
        "whether",
        "how",
        "where",
        "which",
        "who",
        "why",
        "that",
        "this",
        "these",
        "those",
        "all",
        "any",
        "each",
        "every",
        "if",
        "in",
        "of",
        "on",
        "no",
        "not",
        "one",
        "two",
        "as",
        "at",
        "by",
        "for",
        "from",
        "its",
        "it",
        "is",
        "are",
        "with",
        "when",
        "while",
    ]
)
"""First words of a docstring that show it does not begin with a verb."""


def functions(path: Path) -> Iterator[tuple[str, str]]:
    """Name and first line of each documented function that is no property."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
            decorators = {ast.unparse(each).split(".")[-1] for each in node.decorator_list}
            if not decorators & {"property", "cached_property"}:
                yield node.name, text.splitlines()[0]


def test_a_functions_docstring_begins_with_a_verb() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} {name}: {line}"
        for path in sorted(ROOT.rglob("*.py"))
        for name, line in functions(path)
        if re.split(r"\W", line, maxsplit=1)[0].lower() in NOT_VERBS
    ]
    assert not wrong, "\n".join(wrong)


def test_a_docstring_stands_alone() -> None:
    neighbour = re.compile(r"^(The same|As above|Likewise|Ditto|See above)\b")
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and (text := ast.get_docstring(node)):
                wrong += [f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"] if neighbour.match(text) else []
    assert not wrong, "\n".join(wrong)
