"""The command ``explain``: the page of a network, the comparison of two, the settings, and all of ``docs/nets``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from unpool.class_table import MAX_CLASSES
from unpool.config.listing import Setting, all_settings, settings_named
from unpool.config.settings import resolve
from unpool.errors import UsageError
from unpool.io.files import write_text
from unpool.nets.explain.explanation import LARGEST_SIDE
from unpool.nets.explain.explanation import explain as explain_network
from unpool.nets.explain.words import sentence_case
from unpool.nets.families import network_of
from unpool.nets.named import NAMED_NETS, NamedNet, PictureShape, named_net
from unpool.nets.network import NetworkStructure
from unpool.report.explained import Explained, comparison_sections, network_sections
from unpool.report.figure import figure_svg
from unpool.report.sections import Section, Table, as_markdown, as_text
from unpool.report.settings import full_sections, list_sections
from unpool.report.table_1 import PRINTED, TABLE_1_TITLE, table_1_sections
from unpool.shapes import Size
from unpool.wording import shortened

TABLE_1 = "segnet-table-1"
"""Name of the comparison of SegNet's decoders, in the place of a network's name."""

ALL_PAGES = "--page docs/nets/README.md"
"""Arguments of this command that write every page of ``docs/nets``."""

MOST_CHANNELS = 4096
"""The most channels of a picture that a network is explained for."""

SIGNATURE = re.compile(
    r"# [^\n]*\n\n<!-- Written by `unpool explain [^\n]*`; change the code, not this page\. -->\n"
    r"|<svg [^\n]*>\n<title>[^\n]*</title>\n<desc>Drawn by unpool explain\.</desc>\n"
)
"""The beginning of every file that this command writes; another file is a person's own and is not replaced."""


@dataclass(frozen=True)
class ExplainResult:
    """The result of ``explain``: a page of text, and its facts as plain JSON data."""

    text: str
    data: Any


class RequestedPicture(NamedTuple):
    """The picture that a network is explained for; None takes the value of the paper's picture.

    Attributes
    ----------
    size: ``ROWSxCOLUMNS``, or one number for both.
    """

    size: str | None = None
    channels: int | None = None
    classes: int | None = None


PAPERS_PICTURE = RequestedPicture()


def explain(
    net: str | None = None,
    other: str | None = None,
    picture: RequestedPicture = PAPERS_PICTURE,
    *,
    settings: Mapping[str, Any] | None = None,
    figure: Path | None = None,
    page: Path | None = None,
) -> ExplainResult:
    """Explain one network, compare two, explain SegNet's Table 1 (``segnet-table-1``), or list all networks.

    Parameters
    ----------
    settings: nested as for ``train``; ``structure`` changes the networks.
    figure: SVG file for the figure of one network.
    page: Markdown file for the page of one network, with the figure in the same folder; without a network, for the
        list, with the page of every network in the same folder.

    Raises
    ------
    UsageError: an unknown network or setting, a size that the network cannot run on, or an existing file that this
        command did not write.
    """
    _require_single(net, other, picture, settings or {}, figure=figure, page=page)
    if net is None:
        return _explain_all(page)
    if net == TABLE_1:
        if page is not None:
            write_own({page: table_1_page()})
        facts = {name: explained(name).facts for name in PRINTED}
        return ExplainResult(as_text(table_1_sections(facts)), {name: each.to_json() for name, each in facts.items()})
    size = parsed_size(picture.size) if picture.size is not None else None
    _require_within("--channels", picture.channels, (1, MOST_CHANNELS))
    _require_within("--classes", picture.classes, (2, MAX_CLASSES))
    one = explained(net, size, picture.channels, picture.classes, settings=settings)
    if other is not None:
        second = _explained_alike(one, other, settings)
        text = as_text(comparison_sections(one, second))
        return ExplainResult(text, [one.facts.to_json(), second.facts.to_json()])
    write_own(_files(one, figure, page))
    return ExplainResult(as_text(network_sections(one)), one.facts.to_json())


def explain_settings(net: str | None, keys: Sequence[str]) -> ExplainResult:
    """Explain the settings of these keys in full, or list all settings if there are none.

    Parameters
    ----------
    net: the network whose defaults are shown; None shows those of all in full, and those of ``unet`` in the list.

    Raises
    ------
    UsageError: an unknown network or setting, or a setting that the network does not have.
    """
    shown = named_net(net if net is not None else resolve({}).net, "unpool explain").name
    if not keys:
        settings = all_settings()
        text = as_text(list_sections(settings, shown))
    else:
        settings = [each for key in keys for each in _settings_named(key, net)]
        text = as_text(full_sections(settings, net))
    return ExplainResult(text, [each.to_json(shown) for each in settings])


def _settings_named(key: str, net: str | None) -> list[Setting]:
    """Return the settings of a key; with a network, the one that this network has."""
    if key in NAMED_NETS:
        repair = f"write the network first: unpool explain {key} --settings"
        raise UsageError(f"--settings {key}: a network", "a key of the configuration", repair)
    found = settings_named(key)
    had = [each for each in found if net is None or net in each.defaults]
    if not had:
        other = next(iter(found[0].defaults))
        raise UsageError(
            f"--settings {key}: {net} has no such setting",
            f"a setting of {net}",
            f"take a network that has it: unpool explain {other} --settings {key}",
        )
    return had


def _files(network: Explained, figure: Path | None, page: Path | None) -> dict[Path, str]:
    """Return the texts of the files of one network."""
    files = {figure: figure_svg(network.facts)} if figure is not None else {}
    if page is not None:
        drawing = page.with_suffix(".svg")
        files[drawing] = figure_svg(network.facts)
        if page in files:
            raise UsageError(f"--page {page}: the name of the drawing", "a Markdown file", "name it x.md")
        files[page] = _page(network, drawing.name, f"{_options(network)} --page {page.name}")
    return files


def explained(
    name: str,
    size: Size | None = None,
    channels: int | None = None,
    classes: int | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
) -> Explained:
    """Return a named network with its facts, for the paper's picture where no other is given."""
    net = named_net(name, "unpool explain")
    structure = resolve({**(settings or {}), "net": name}, "--set").structure
    usual = usual_picture(net, structure)
    picture = PictureShape(size or usual.size, channels or usual.channels, classes or usual.classes)
    return Explained(net, structure, _facts(structure, picture, name), _changes(net, structure))


@cache
def _facts(structure: NetworkStructure, picture: PictureShape, name: str) -> Any:
    with torch.device("meta"):
        network = network_of(structure, picture.channels, picture.classes)
    return explain_network(network, picture.size, name)


def usual_picture(net: NamedNet, structure: NetworkStructure) -> PictureShape:
    """Return the picture of the network's source, at the nearest legal size where the structure was changed."""
    return net.picture._replace(size=_legal_above(structure, net.picture.size))


def parsed_size(text: str) -> Size:
    """Return rows and columns from ``572x572`` or ``572``. Raises UsageError for another text."""
    match = re.fullmatch(r"0*(\d{1,5})(?:[xX×]0*(\d{1,5}))?", text.strip(), re.ASCII)
    sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if 0 in sides:
        raise UsageError(
            f"--size {shortened(text, 40)}",
            f"rows x columns in pixels, each from 1 to {LARGEST_SIDE}",
            "write --size 360x480, or --size 572 for a square",
        )
    return sides


def _require_within(option: str, value: int | None, limits: tuple[int, int]) -> None:
    """Raise UsageError for a number outside of its limits; None is not given."""
    least, most = limits
    if value is not None and not least <= value <= most:
        found, expected = f"{option} {shortened(str(value), 40)}", f"a whole number from {least} to {most}"
        raise UsageError(found, expected, f"give {option} {least if value < least else most}")


def _require_single(
    net: str | None, other: str | None, picture: RequestedPicture, settings: Mapping[str, Any], **files: Path | None
) -> None:
    """Raise UsageError for an option that a list, a comparison or SegNet's Table 1 does not have."""
    given = {f"--{name}": path is not None for name, path in files.items()}
    if net in (None, TABLE_1):
        given |= {f"--{name}": value is not None for name, value in picture._asdict().items()}
        given |= {"--set": bool(settings), "--page": False}
    wrong = next((option for option, is_given in given.items() if is_given), None)
    if wrong and (other is not None or net in (None, TABLE_1)):
        what = "two networks" if other is not None else "SegNet's Table 1" if net == TABLE_1 else "the list of networks"
        repair = f"leave {wrong} out, or name one network, as in: unpool explain unet"
        raise UsageError(f"{wrong} for {what}", "one network", repair)
    if other is not None and TABLE_1 in (net, other):
        repair = f"explain it by itself: unpool explain {TABLE_1}"
        raise UsageError(f"{TABLE_1} beside another name", "two networks", repair)
    for option, path in files.items():
        if path is not None and (path.is_dir() or not path.name):
            raise UsageError(f"--{option} {path}: a folder", "the file to write", "give the name of a file in it")
    unused = sorted(set(settings) - {"structure"})
    if unused:
        raise UsageError(f"--set: the setting {unused[0]} changes no network", "settings of structure", "leave it out")


def page(name: str) -> str:
    """Return the page of a named network as Markdown; it shows the figure ``NAME.svg`` of the same folder."""
    return _page(explained(name), f"{name}.svg", ALL_PAGES)


def figure(name: str) -> str:
    """Return the figure of a named network as SVG."""
    return figure_svg(explained(name).facts)


def table_1_page() -> str:
    """Return the comparison of SegNet's eight decoders as Markdown."""
    facts = {name: explained(name).facts for name in PRINTED}
    return _markdown("SegNet's Table 1", table_1_sections(facts))


def index_page() -> str:
    """Return the list of all networks, with links to their pages, as Markdown."""
    rows = tuple(
        (f"`{name}`", _paper(net), net.summary, f"{explained(name).facts.parameters:,}", f"[{name}]({name}.md)")
        for name, net in NAMED_NETS.items()
    )
    table = Table(("name", "paper", "in one line", "parameters", "page"), rows, (0, 1, 2))
    words = (
        "Each network is one value of `Structure` or of `FCNStructure`. Its page has the figure, every layer, the skip "
        "connections, and the departures from its source. Parameters are for the paper's channels and classes. "
        f"[{sentence_case(TABLE_1_TITLE)}]({TABLE_1}.md) compares the paper's numbers with ours."
    )
    return _markdown("Networks", [Section("", (words, table))])


def pages() -> dict[str, str]:
    """Return every file of ``docs/nets``, by name."""
    files = {"README.md": index_page(), f"{TABLE_1}.md": table_1_page()}
    for name in NAMED_NETS:
        files[f"{name}.md"], files[f"{name}.svg"] = page(name), figure(name)
    return files


def _explain_all(readme: Path | None) -> ExplainResult:
    if readme is not None:
        if readme.stem in (*NAMED_NETS, TABLE_1) and readme.suffix in (".md", ".svg"):
            raise UsageError(f"--page {readme}: the name of a network's page", "another name", "name it README.md")
        files = {readme.with_name(name): text for name, text in pages().items() if name != "README.md"}
        write_own({readme: index_page(), **files})
    rows = tuple((name, net.summary) for name, net in NAMED_NETS.items())
    parts = (Table(("network", "what it is"), rows, wide=True), f"Also: {TABLE_1}, {TABLE_1_TITLE}.")
    following = Section("", ("Next: unpool explain unet-2015, or unpool explain unet-2015 segnet",))
    return ExplainResult(as_text([Section("", parts), following]), dict(rows))


def _explained_alike(one: Explained, other: str, settings: Mapping[str, Any] | None) -> Explained:
    """Return another network with its facts, for the same picture at its nearest legal size."""
    named_net(other, f"unpool explain {one.net.name}")
    structure = resolve({**(settings or {}), "net": other}, "--set").structure
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


def _page(network: Explained, drawing: str, arguments: str) -> str:
    """Return the page of a network; ``arguments`` of this command write it."""
    name = network.net.name
    first, *sections = network_sections(network)
    alt = f"{name}: layers with their sizes and numbers of feature maps, and the skip connections"
    head = first.parts if network.changes else (f"{sentence_case(network.net.summary)}.", *first.parts[1:])
    top = Section("", (*head, f"![{alt}]({drawing})"))
    return _markdown(name, [top, *sections], arguments)


def _options(network: Explained) -> str:
    """Return the name of a network, and the options that change it or its picture."""
    facts = network.facts
    options = [f"--set {change}" for change in network.changes]
    if facts.size != usual_picture(network.net, network.structure).size:
        options.append(f"--size {facts.size[0]}x{facts.size[1]}")
    return " ".join([network.net.name, *options])


def _markdown(title: str, sections: list[Section], arguments: str = ALL_PAGES) -> str:
    written = f"Written by `unpool explain {arguments}`; change the code, not this page."
    return f"# {title}\n\n<!-- {written} -->\n\n{as_markdown(sections)}"


def _paper(net: NamedNet) -> str:
    cited = re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", net.citation)
    return cited.partition(";")[0]


def write_own(files: Mapping[Path, str]) -> None:
    """Write drawings and pages. Raises UsageError if one of the files is a person's own; then none is written."""
    for path in files:
        if os.path.lexists(path) and not _is_own(path):
            raise UsageError(f"{path} exists and was not written by this command", "a new file", "give another name")
    for path, text in files.items():
        write_text(path, text)


def _is_own(path: Path) -> bool:
    try:
        return path.is_file() and SIGNATURE.match(path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False
