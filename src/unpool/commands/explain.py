"""``explain``: what a network is made of, and what two of them differ in; the pages of ``docs/nets`` as well."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from unpool.config.settings import resolve
from unpool.errors import UsageError
from unpool.io.files import write_text
from unpool.nets.explain.explanation import explain as explain_network
from unpool.nets.families import network_of
from unpool.nets.named import NAMED_NETS, NamedNet, PictureShape, named_net
from unpool.nets.network import NetworkStructure
from unpool.report.explained import Explained, comparison_sections, network_sections
from unpool.report.figure import figure_svg
from unpool.report.sections import Section, Table, as_markdown, as_text
from unpool.report.table_1 import PRINTED, TITLE, table_1_sections
from unpool.shapes import Size

TABLE_1 = "segnet-table-1"
"""The name under which the comparison of SegNet's decoders is explained."""

SIGNATURE = "unpool explain"
"""Stands in every file that this command writes; a file without it is a person's own and is not replaced."""


@dataclass(frozen=True)
class ExplainResult:
    """What ``explain`` has to say: a page of text, and the same as plain JSON data."""

    text: str
    data: Any


def explain(
    net: str | None = None,
    other: str | None = None,
    *,
    size: str | None = None,
    channels: int | None = None,
    classes: int | None = None,
    settings: Mapping[str, Any] | None = None,
    figure: Path | None = None,
    page: Path | None = None,
) -> ExplainResult:
    """Explain one network, two side by side, SegNet's Table 1 (``segnet-table-1``), or list them all.

    Parameters
    ----------
    size: ``ROWSxCOLUMNS``, or one number for both; by default the paper's.
    settings: nested as for ``train``; its ``structure`` changes the networks.
    figure: where to write the drawing of one network, an SVG file.
    page: where to write the page of one network as Markdown with the drawing beside it; without a network, the list,
        and beside it the page of every network.

    Raises
    ------
    UsageError: an unknown network or setting, a size that cannot be, or a file that something else wrote.
    """
    if (other is not None or net in (None, TABLE_1)) and figure is not None:
        raise UsageError("--figure without a single network", "one network", "explain each by itself")
    if other is not None and page is not None:
        raise UsageError("--page with two networks", "one network", "explain each by itself")
    if net is None:
        return _told_all(page)
    if net == TABLE_1:
        if page is not None:
            _write(page, table_1_page())
        facts = {name: explained(name).facts for name in PRINTED}
        return ExplainResult(as_text(table_1_sections(facts)), {name: each.to_json() for name, each in facts.items()})
    wanted = (parsed_size(size) if size else None, channels, classes)
    one = explained(net, *wanted, settings=settings)
    if other is not None:
        beside = _explained_beside(one, other, settings)
        text = as_text(comparison_sections(one, beside))
        return ExplainResult(text, [one.facts.to_json(), beside.facts.to_json()])
    if figure is not None:
        _write(figure, figure_svg(one.facts))
    if page is not None:
        _write(page, _page(one, page.with_suffix(".svg").name))
        _write(page.with_suffix(".svg"), figure_svg(one.facts))
    return ExplainResult(as_text(network_sections(one)), one.facts.to_json())


def explained(
    name: str,
    size: Size | None = None,
    channels: int | None = None,
    classes: int | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
) -> Explained:
    """A named network with its facts, on the paper's picture where none is given."""
    net = named_net(name)
    structure = resolve({**(settings or {}), "net": name}).structure
    usual = usual_picture(net, structure)
    given = PictureShape(size or usual.size, channels or usual.channels, classes or usual.classes)
    return Explained(net, structure, _facts(structure, given, name), _changes(net, structure))


@cache
def _facts(structure: NetworkStructure, picture: PictureShape, name: str) -> Any:
    with torch.device("meta"):
        network = network_of(structure, picture.channels, picture.classes)
    return explain_network(network, picture.size, name)


def usual_picture(net: NamedNet, structure: NetworkStructure) -> PictureShape:
    """Return the picture of the network's source, at the nearest legal size where the structure was changed."""
    return net.picture._replace(size=_legal_above(structure, net.picture.size))


def parsed_size(text: str) -> Size:
    """Rows and columns of ``572x572`` or ``572``. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,5})(?:[xX×](\d{1,5}))?", text.strip())
    if not match or "0" in (match[1].lstrip("0") or "0", (match[2] or "1").lstrip("0") or "0"):
        raise UsageError(
            f"--size {text}", "rows x columns in pixels", "write --size 360x480, or --size 572 for a square"
        )
    return int(match[1]), int(match[2] or match[1])


def page(name: str) -> str:
    """The page of a named network, as Markdown; its figure is ``NAME.svg`` beside it."""
    return _page(explained(name), f"{name}.svg")


def figure(name: str) -> str:
    """The figure of a named network, as SVG."""
    return figure_svg(explained(name).facts)


def table_1_page() -> str:
    """The comparison of SegNet's eight decoders, as Markdown."""
    facts = {name: explained(name).facts for name in PRINTED}
    return _markdown("SegNet's Table 1", table_1_sections(facts), TABLE_1)


def index_page() -> str:
    """The list of all networks with links to their pages, as Markdown."""
    rows = tuple(
        (f"`{name}`", _paper(net), net.summary, f"{explained(name).facts.parameters:,}", f"[{name}]({name}.md)")
        for name, net in NAMED_NETS.items()
    )
    table = Table(("name", "paper", "in one line", "parameters", "page"), rows, (0, 1, 2))
    words = (
        "Each is a value of `Structure` or of `FCNStructure`; its page has the figure, every layer, what crosses from "
        "encoder to decoder, and how it departs from its source. Parameters are for the paper's channels and classes. "
        f"[{TITLE[0].upper()}{TITLE[1:]}]({TABLE_1}.md) has the paper's numbers beside ours."
    )
    return _markdown("Networks", [Section("", (words, table))], "")


def pages() -> dict[str, str]:
    """Every file of ``docs/nets``, by name."""
    files = {"README.md": index_page(), f"{TABLE_1}.md": table_1_page()}
    for name in NAMED_NETS:
        files[f"{name}.md"], files[f"{name}.svg"] = page(name), figure(name)
    return files


def _told_all(readme: Path | None) -> ExplainResult:
    if readme is not None:
        for name, text in pages().items():
            _write(readme if name == "README.md" else readme.with_name(name), text)
    rows = tuple((name, net.summary) for name, net in NAMED_NETS.items())
    parts = (Table(("network", "what it is"), rows, wide=True), f"Also: {TABLE_1}, {TITLE}.")
    said = Section("", parts), Section("", ("Next: unpool explain unet-2015, or unpool explain unet-2015 segnet",))
    return ExplainResult(as_text(said), {name: net.summary for name, net in NAMED_NETS.items()})


def _explained_beside(one: Explained, other: str, settings: Mapping[str, Any] | None) -> Explained:
    """Another network on the same picture, or on the nearest legal one above it."""
    structure = resolve({**(settings or {}), "net": other}).structure
    size = _legal_above(structure, one.facts.size)
    return explained(other, size, one.facts.in_channels, one.facts.classes, settings=settings)


def _legal_above(structure: NetworkStructure, size: Size) -> Size:
    rows, columns = ((structure.nearest_legal_sizes(side) or (side,))[-1] for side in size)
    return rows, columns


def _changes(net: NamedNet, structure: NetworkStructure) -> tuple[str, ...]:
    named = net.structure.model_dump(mode="json")
    return tuple(
        f"{key}={value}" for key, value in structure.model_dump(mode="json").items() if named.get(key) != value
    )


def _page(given: Explained, drawing: str) -> str:
    name, facts = given.net.name, given.facts
    first, *sections = network_sections(given)
    alt = f"{name}: layers with their sizes and numbers of feature maps, and what crosses from encoder to decoder"
    command = f"unpool explain {name}" + "".join(f" --set {change}" for change in given.changes)
    usual = usual_picture(given.net, given.structure)
    if facts.size != usual.size:
        command += f" --size {facts.size[0]}x{facts.size[1]}"
    top = Section(
        "", (f"{given.net.summary[:1].upper()}{given.net.summary[1:]}.", *first.parts[1:], f"![{alt}]({drawing})")
    )
    return _markdown(name, [top, *sections], command.removeprefix("unpool explain "))


def _markdown(title: str, sections: list[Section], words: str) -> str:
    command = f"{SIGNATURE} {words}".strip()
    return (
        f"# {title}\n\n<!-- Written by {command} --page; change the code, not this page. -->\n\n{as_markdown(sections)}"
    )


def _paper(net: NamedNet) -> str:
    cited = re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", net.citation)
    return cited.partition(";")[0]


def _write(path: Path, text: str) -> None:
    """Write a file whole, unless there is one that this command did not write."""
    if path.exists() and SIGNATURE not in path.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"{path} exists and was not written by this command", "a new file", "give another name")
    write_text(path, text)
