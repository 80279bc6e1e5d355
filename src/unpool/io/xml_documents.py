"""XML documents: elements with attributes and texts, without document types and entities, and of bounded depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from unpool.errors import DataError
from unpool.io.documents import MOST_DEPTH
from unpool.wording import bytes_text, decodable, on_one_line

MOST_XML_BYTES = 200_000_000
MOST_XML_ELEMENTS = 5_000_000
"""The most elements of an XML document; each takes about 500 bytes of memory."""


@dataclass
class XMLElement:
    """One element: its name, its attributes, the text before its first child, and the elements inside it."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[XMLElement] = field(default_factory=list)

    def named(self, name: str) -> list[XMLElement]:
        """Return the elements inside it with a name."""
        return [child for child in self.children if child.name == name]


def read_xml(path: Path, most_bytes: int = MOST_XML_BYTES) -> XMLElement:
    """Read an XML file, and return its outermost element.

    Parameters
    ----------
    most_bytes: size of the largest file that is read.

    Raises
    ------
    DataError: the file is missing or unreadable, no XML, too large or too deep, or declares a document type.
    """
    name = decodable(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}", "a readable XML file", "check the path") from error
    try:
        if len(content) > most_bytes:
            raise ValueError(f"larger than {bytes_text(most_bytes)}")
        return xml_element(content)
    except ValueError as error:
        raise DataError(
            f"{name}: no valid XML ({on_one_line(str(error))})",
            "an XML file without a document type",
            "correct the file, or write it again with the program that made it",
        ) from error


def xml_element(content: bytes) -> XMLElement:
    """Return the outermost element of an XML text. Raises ValueError as ``read_xml`` raises DataError."""
    tree = _Tree()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = tree.refuse  # entities, which can be bombs or name other files, are declared there
    parser.StartElementHandler, parser.EndElementHandler = tree.begin, tree.end
    parser.CharacterDataHandler = tree.add_text
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ValueError(f"line {error.lineno}: {expat.ErrorString(error.code)}") from error
    return tree.root.children[0]


class _Tree:
    """The elements that were read, and those that are open, the innermost last."""

    def __init__(self) -> None:
        self.root = XMLElement("", {})
        self._open = [self.root]
        self._count = 0

    def refuse(self, *_: object) -> None:
        raise ValueError("it declares a document type (DOCTYPE), which may name other files or expand without end")

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) > MOST_DEPTH or self._count > MOST_XML_ELEMENTS:
            raise ValueError(f"more than {MOST_DEPTH} levels or {MOST_XML_ELEMENTS:,} elements")
        element = XMLElement(name, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _: str) -> None:
        self._open.pop()

    def add_text(self, text: str) -> None:
        if not self._open[-1].children:
            self._open[-1].text += text
