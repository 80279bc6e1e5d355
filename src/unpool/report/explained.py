"""The page of one network, and the page that compares two, as sections."""

from __future__ import annotations

from dataclasses import dataclass

from unpool.nets.explain.records import Explanation, LayerFacts
from unpool.nets.families import words_of
from unpool.nets.named import NamedNet
from unpool.nets.network import NetworkStructure
from unpool.report.prose import figure_words
from unpool.report.sections import Section, Table
from unpool.wording import bytes_text, count_text, size_text

SHORT = {"batch norm": "BN", "group norm": "GN", "instance norm": "IN"}

SETTING_LABELS = {
    "encoder_convolutions": "encoder_convolutions, from the top down",
    "decoder_convolutions": "decoder_convolutions, from the top down",
    "widest": "widest (multiple of width)",
}
"""Labels of settings that need more than their name."""

FIGURES = {
    "unet-2015": " This is what Figure 1 of the paper shows.",
    "segnet": " This is what Figure 2 of the paper shows.",
}

LAYER_LEGEND = (
    "k: side of the kernel in pixels. field: receptive field, in pixels of the picture along one side. mult-adds: "
    "multiply-add operations, in millions. stored: memory stored at this layer for the backward pass of training. "
    "memory: memory in prediction while the layer works, if the picture is computed in one piece. MB: 10^6 bytes for "
    "one picture in float32, without weights. BN, GN and IN are batch, group and instance normalisation."
)

MEMORY_NOTE = (
    "Memory in prediction: if the picture is computed in one piece. `predict` computes large pictures by rows and "
    "takes less."
)


@dataclass(frozen=True)
class Explained:
    """A network with its facts.

    Attributes
    ----------
    net: the named network; ``structure`` may differ from its structure, by ``changes`` (settings as ``key=value``).
    """

    net: NamedNet
    structure: NetworkStructure
    facts: Explanation
    changes: tuple[str, ...] = ()


def network_sections(explained: Explained) -> list[Section]:
    """Return the page of one network; its first section has no title."""
    net, facts, words = explained.net, explained.facts, words_of(explained.structure)
    unchanged = ("These are the departures of the unchanged network.",) if explained.changes else ()
    return [
        Section("", (*_title(explained), net.citation)),
        Section("in short", (totals(facts), MEMORY_NOTE)),
        Section("sizes", (size_line(facts),)),
        Section("layers", (layer_table(facts), LAYER_LEGEND, *words.layer_notes())),
        Section("skip connections", _skip_parts(explained)),
        Section("the encoder", (words.encoder(facts),)),
        Section("the decoder", (words.decoder(facts),)),
        Section("how they are joined", (words.skips(facts),)),
        Section("the figure", (figure_words(facts) + FIGURES.get(net.name, ""),)),
        Section("padding", (words.padding(), padding_table(explained))),
        Section("departures from the source", (*unchanged, net.departures)),
    ]


def _title(explained: Explained) -> tuple[str, ...]:
    net = explained.net
    if not explained.changes:
        return (f"{net.name}: {net.summary}",)
    return f"{net.name}, changed by --set: {', '.join(explained.changes)}", f"The unchanged {net.name}: {net.summary}."


def comparison_sections(one: Explained, other: Explained) -> list[Section]:
    """Return the page that compares two networks."""
    header = ("", one.net.name, other.net.name)
    if one.structure == other.structure:
        same_network = f"{one.net.name} and {other.net.name} are the same network: nothing differs."
        return [Section("", (same_network, _on(one.facts))), Section("in short", (totals(one.facts), MEMORY_NOTE))]
    choices = [(what, a, b) for (what, a), (_, b) in zip(_choices(one), _choices(other), strict=True)]
    costs = [(what, a, b) for (what, a), (_, b) in zip(_costs(one.facts), _costs(other.facts), strict=True)]
    parts = [Section("", (f"{one.net.name} and {other.net.name}", _on(one.facts), _on(other.facts)))]
    differing = tuple(row for row in choices if row[1] != row[2])
    if differing:
        parts.append(Section("what differs", (Table(header, differing, wide=True),)))
    same = tuple(f"{what}: {a}" for what, a, b in choices if a == b)
    if same:
        parts.append(Section("what is the same", (same,)))
    parts.append(Section("what it costs", (Table(header, tuple(costs)), MEMORY_NOTE)))
    settings = _differing_settings(one.structure, other.structure)
    if settings:
        parts.append(Section("settings that differ", (Table(header, settings, wide=True),)))
    for each in (one, other):
        words = words_of(each.structure)
        parts.append(
            Section(each.net.name, (words.encoder(each.facts), words.decoder(each.facts), words.skips(each.facts)))
        )
    return parts


def totals(facts: Explanation) -> Table:
    """Return the numbers of a network that a reader looks for first."""
    fixed = f" ({facts.fixed:,} of them fixed)" if facts.fixed else ""
    return Table(
        ("", ""),
        (
            ("picture", f"{size_text(facts.size)}, {count_text(facts.in_channels, 'channel')}"),
            ("output", f"{size_text(facts.output)}, {count_text(facts.classes, 'class')}"),
            ("parameters", f"{facts.parameters:,}{fixed}"),
            ("convolutions", str(sum(1 for layer in facts.layers if layer.kernel and layer.parameters))),
            *_costs(facts)[1:],
        ),
        (0, 1),
    )


def size_line(facts: Explanation) -> str:
    """Return the sizes from picture to logits in one line; one number each where all are square."""
    if all(rows == columns for rows, columns in facts.sizes):
        return " ".join(str(rows) for rows, _ in facts.sizes)
    return ", ".join(map(size_text, facts.sizes))


def layer_table(facts: Explanation) -> Table:
    """Return the layers in the order in which they work, under the names of their sides."""
    rows: list[tuple[str, ...]] = []
    side = ""
    for layer in facts.layers:
        if layer.side != side:
            side = layer.side
            rows.append((side,))
        rows.append(_layer_row(layer))
    header = (
        "layer", "output", "maps", "k", "then", "parameters", "field", "mult-adds", "stored MB", "memory MB",
    )  # fmt: skip
    return Table(header, tuple(rows), (0, 4))


def padding_table(explained: Explained) -> Table:
    """Return the legal sizes near the picture's rows, with each padding that the network could have."""
    near = explained.facts.size[0]
    header = ("padding", f"legal sizes at or near {near}", "output", "lost on each side")
    return Table(header, tuple(words_of(explained.structure).padding_rows(near)), wide=True)


def _layer_row(layer: LayerFacts) -> tuple[str, ...]:
    then = " ".join(SHORT.get(word, word) for word in layer.after)
    fixed = " fixed" if layer.parameters and not layer.trained else ""
    return (
        f"{layer.paper_name}",
        size_text(layer.size),
        f"{layer.channels}",
        f"{layer.kernel or ''}",
        (then + fixed).strip(),
        f"{layer.parameters:,}" if layer.parameters else "",
        f"{layer.receptive_field}",
        f"{layer.multiply_adds / 1e6:,.1f}" if layer.multiply_adds else "",
        _megabytes(layer.bytes_kept),
        _megabytes(layer.bytes_held),
    )


def _skip_parts(explained: Explained) -> tuple[str | Table, ...]:
    facts = explained.facts
    if not facts.skips:
        return ("This network has none.",)
    rows = [
        (
            str(skip.stage),
            "pooling indices" if skip.what == "positions" else "feature maps",
            size_text((skip.rows, skip.columns)),
            f"{skip.channels}",
            skip.crop_text if skip.what == "maps" else "",
            {"index": "unpooling", "add": "added", "concat": "concatenated"}[skip.joined],
            f"{skip.stored_bytes:,}",
        )
        for skip in facts.skips
    ]
    header = ("to stage", "what", "size", "maps", "crop each side", "then", "bytes stored")
    notes = []
    indices = sum(skip.stored_bytes for skip in facts.skips if skip.what == "positions")
    if indices:
        notes.append(
            "A pooling index takes 2 bits per 2x2 pooling window; size and maps count pooling windows. The feature "
            f"maps before pooling would take about {64 * indices:,} bytes in float32, 64 times as much."
        )
        notes += _segnet_basic_note(facts)
    return (Table(header, tuple(rows), (0, 1, 5)), *notes, *words_of(explained.structure).skip_notes())


def _segnet_basic_note(facts: Explanation) -> list[str]:
    first = next(skip for skip in facts.skips if skip.what == "positions")
    if (first.channels, first.rows, first.columns) != (64, 180, 240):
        return []
    return [
        "SegNet's paper gives 0.17 MB for the indices of the first encoder stage. 64 maps of 180 x 240 pooling windows "
        "at 2 bits are 64 x 180 x 240 x 2 / 8 = 691,200 bytes, 4 times as much. 0.17 MB (172,800 bytes) would be the "
        "indices of a quarter of the pooling windows (90 x 120), or a single map of 180 x 240 in float32. The paper "
        "does not show its calculation."
    ]


def _choices(explained: Explained) -> list[tuple[str, str]]:
    """Return the choices that define a network, each with its label."""
    choices = words_of(explained.structure).choices()
    return [
        ("paper", explained.net.citation),
        ("encoder", choices.encoder),
        ("maps", choices.maps),
        ("bottom", choices.bottom),
        ("padding", choices.padding),
        ("after a convolution", choices.after_convolution),
        ("skip connections", choices.skips),
        ("up", choices.up),
        ("decoder", choices.decoder),
        ("dropout", choices.dropout),
    ]


def _costs(facts: Explanation) -> list[tuple[str, str]]:
    pixels = facts.output[0] * facts.output[1]
    return [
        ("parameters", f"{facts.parameters:,}"),
        ("multiply-adds", f"{facts.multiply_adds / 1e9:,.1f} x 10^9"),
        ("multiply-adds per output pixel", f"{facts.multiply_adds / pixels / 1e6:,.2f} x 10^6"),
        ("receptive field", f"{facts.receptive_field} pixels"),
        ("stored for the backward pass", f"{bytes_text(facts.training_bytes)} per picture"),
        ("memory in prediction", f"{bytes_text(facts.prediction_bytes)} per picture"),
        ("stored for skips", f"{facts.skip_bytes:,} bytes per picture"),
    ]


def _on(facts: Explanation) -> str:
    return (
        f"{facts.name}: on a picture of {size_text(facts.size)} with {count_text(facts.in_channels, 'channel')}, "
        f"{count_text(facts.classes, 'class')}; the output is {size_text(facts.output)}."
    )


def _differing_settings(one: NetworkStructure, other: NetworkStructure) -> tuple[tuple[str, str, str], ...]:
    a, b = one.model_dump(), other.model_dump()
    if a.keys() != b.keys():
        return ()
    return tuple((SETTING_LABELS.get(key, key), _value(a[key]), _value(b[key])) for key in a if a[key] != b[key])


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "as padding" if value is None else str(value)


def _megabytes(count: int) -> str:
    """Return a number of bytes for a column that is headed MB; empty for 0."""
    return f"{count / 1e6:,.1f}" if count else ""
