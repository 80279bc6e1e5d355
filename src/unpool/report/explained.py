"""What ``explain`` says of a network, and of two side by side."""

from __future__ import annotations

from dataclasses import dataclass

from unpool.nets.explain.records import Explanation, LayerFacts
from unpool.nets.fcn import FCNStructure
from unpool.nets.named import NamedNet
from unpool.nets.sizes import AnyStructure
from unpool.nets.structure import Structure
from unpool.report.prose import (
    NORMS,
    UPS,
    crop_text,
    decoder_words,
    encoder_words,
    figure_words,
    join_words,
    padding_rows,
    padding_words,
)
from unpool.report.sections import Section, Table
from unpool.shapes import Size

SHORT = {"batch norm": "BN", "group norm": "GN", "instance norm": "IN"}

FIGURES = {
    "unet-2015": " This is what Figure 1 of the paper shows.",
    "segnet": " This is what Figure 2 of the paper shows.",
}

LEGEND = (
    "k: side of the kernel. sees: receptive field, in pixels of the picture along one side. mult-adds: millions of "
    "multiplications with addition. keeps: what training keeps from this layer on for the backward pass. holds: what "
    "prediction holds while the layer works. MB: 10^6 bytes of one picture in float32, weights not counted. BN, GN and "
    "IN are batch, group and instance normalisation."
)


@dataclass(frozen=True)
class Explained:
    """A network with what is known of it; ``changes`` are the settings that depart from the named one."""

    net: NamedNet
    structure: AnyStructure
    facts: Explanation
    changes: tuple[str, ...] = ()


def network_sections(given: Explained) -> list[Section]:
    """Everything about one network; the first section has no title."""
    net, facts = given.net, given.facts
    changed = (f"Changed by --set: {', '.join(given.changes)}.",) if given.changes else ()
    return [
        Section("", (f"{net.name}: {net.summary}", net.citation, *changed)),
        Section("in short", (totals(given),)),
        Section("sizes", (size_line(facts),)),
        Section("layers", (layer_table(facts), LEGEND)),
        Section("what crosses", _crossing_parts(given)),
        Section("the encoder", (encoder_words(given.structure, facts),)),
        Section("the decoder", (decoder_words(given.structure, facts),)),
        Section("how they are joined", (join_words(given.structure, facts),)),
        Section("the figure", (figure_words(facts) + FIGURES.get(net.name, ""),)),
        Section("padding", (padding_words(given.structure), padding_table(given))),
        Section("departures from the source", (net.departures,)),
    ]


def comparison_sections(one: Explained, other: Explained) -> list[Section]:
    """Two networks side by side."""
    header = ("", one.net.name, other.net.name)
    built = zip(_choices(one), _choices(other), strict=True)
    costs = zip(_costs(one.facts), _costs(other.facts), strict=True)
    rows = [(what, a, b) for (what, a), (_, b) in built]
    parts = [Section("", (f"{one.net.name} and {other.net.name}", _on(one.facts), _on(other.facts)))]
    parts.append(Section("what differs", (Table(header, tuple(r for r in rows if r[1] != r[2]), wide=True),)))
    same = tuple(f"{what}: {a}" for what, a, b in rows if a == b)
    if same:
        parts.append(Section("what is the same", (same,)))
    parts.append(Section("what it costs", (Table(header, tuple((w, a, b) for (w, a), (_, b) in costs)),)))
    settings = _differing_settings(one.structure, other.structure)
    if settings:
        parts.append(Section("settings that differ", (Table(header, settings, wide=True),)))
    words = (encoder_words, decoder_words, join_words)
    for each in (one, other):
        parts.append(Section(each.net.name, tuple(word(each.structure, each.facts) for word in words)))
    return parts


def totals(given: Explained) -> Table:
    """The numbers of a network that one looks for first."""
    facts = given.facts
    fixed = f" ({facts.fixed:,} of them fixed)" if facts.fixed else ""
    return Table(
        ("", ""),
        (
            ("picture", f"{size_text(facts.size)}, {_plural(facts.in_channels, 'channel')}"),
            ("output", f"{size_text(facts.output)}, {_plural(facts.classes, 'class')}"),
            ("parameters", f"{facts.parameters:,}{fixed}"),
            ("convolutions", str(sum(1 for layer in facts.layers if layer.kernel and layer.parameters))),
            *_costs(facts)[1:],
        ),
        (0, 1),
    )


def size_line(facts: Explanation) -> str:
    """Every size on the way, in one line; one number where pictures are square."""
    square = all(rows == columns for rows, columns in facts.sizes)
    return " ".join(str(size[0]) if square else size_text(size) for size in facts.sizes)


def layer_table(facts: Explanation) -> Table:
    """The layers in the order in which they work, under the names of their sides."""
    rows: list[tuple[str, ...]] = []
    side = ""
    for layer in facts.layers:
        if layer.side != side:
            side = layer.side
            rows.append((side,))
        rows.append(_layer_row(layer))
    header = (
        "layer", "output", "maps", "k", "then", "parameters", "sees", "mult-adds", "keeps MB", "holds MB",
    )  # fmt: skip
    return Table(header, tuple(rows), (0, 4))


def padding_table(given: Explained) -> Table:
    """What each padding would make of the sizes near the picture's rows."""
    near = given.facts.size[0]
    header = ("padding", f"legal sizes at or near {near}", "output", "lost on each side")
    return Table(header, tuple(padding_rows(given.structure, near)), wide=True)


def size_text(size: Size) -> str:
    """Rows x columns."""
    return f"{size[0]}x{size[1]}"


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
        _mega(layer.bytes_kept),
        _mega(layer.bytes_held),
    )


def _crossing_parts(given: Explained) -> tuple[str | Table, ...]:
    facts = given.facts
    if not facts.skips:
        return ("Nothing crosses from encoder to decoder.",)
    rows = [
        (
            str(skip.stage),
            "pooling indices" if skip.what == "positions" else "feature maps",
            size_text((skip.rows, skip.columns)),
            f"{skip.channels}",
            crop_text(skip) if skip.what == "maps" else "",
            {"index": "unpooling", "add": "added", "concat": "concatenated"}[skip.joined],
            f"{skip.stored_bytes:,}",
        )
        for skip in facts.skips
    ]
    header = ("to stage", "what", "size", "maps", "crop each side", "then", "bytes stored")
    notes = []
    if any(skip.what == "positions" for skip in facts.skips):
        indices = sum(skip.stored_bytes for skip in facts.skips if skip.what == "positions")
        notes.append(
            "An index takes 2 bits a 2x2 window; size and maps count windows. The same maps themselves, before "
            f"pooling, would take about {64 * indices:,} bytes in float32, 64 times as much."
        )
        notes += _segnet_basic_note(facts)
    if isinstance(given.structure, Structure) and given.structure.squeeze:
        notes.append(
            "Counted as the paper counts, reduced to one map a class. Here the reduction stands in the decoder, so "
            "prediction holds the maps unreduced."
        )
    if isinstance(given.structure, FCNStructure):
        notes.append("Counted as scores, one map a class. Scoring waits for its turn, so prediction holds the pools.")
    return (Table(header, tuple(rows), (0, 1, 5)), *notes)


def _segnet_basic_note(facts: Explanation) -> list[str]:
    first = next(skip for skip in facts.skips if skip.what == "positions")
    if (first.channels, first.rows, first.columns) != (64, 180, 240):
        return []
    return [
        "SegNet's paper says 0.17 MB for the indices of the first encoder. 64 maps of 180x240 windows at 2 bits are "
        "64 x 180 x 240 x 2 / 8 = 691,200 bytes, 4 times as much. 0.17 MB (172,800 bytes) is the same with a quarter "
        "of the windows, 90x120, or a single map of 180x240 in float32: the paper gives no sum that decides."
    ]


def _choices(given: Explained) -> list[tuple[str, str]]:
    """What a network is made of, in a few words each."""
    made = given.structure
    paper = ("paper", given.net.citation)
    if isinstance(made, FCNStructure):
        norm = "batch normalisation, " if made.norm == "batch" else ""
        fused = {
            32: "nothing",
            16: "scores of pool4, cropped and added",
            8: "scores of pool4 and pool3, cropped and added",
        }
        return [
            paper,
            ("encoder", "5 stages of 2, 2, 3, 3, 3 convolutions 3x3"),
            ("maps", ", ".join(map(str, made.widths))),
            ("below", f"fc6 7x7 and fc7 1x1 of {made.fc_width} maps, 1x1 scores"),
            ("padding", f"{made.padding} in the first convolution, same after it"),
            ("after a convolution", f"{norm}ReLU"),
            ("crosses", fused[made.prediction_stride]),
            ("up", f"{made.upsampling} bilinear deconvolutions, the last {made.prediction_stride} times"),
            ("decoder", "no convolutions"),
            ("dropout", "after fc6, fc7"),
        ]
    counts = [made.encoder_count(s) for s in range(1, made.depth + 1)]
    kernel = f"{made.kernel}x{made.kernel}"
    up = f"{made.up_kernel}x{made.up_kernel} up-convolution" if made.up == "transposed" else UPS[made.up]
    decoder = [made.decoder_count(s) for s in range(made.depth, 0, -1)]
    return [
        paper,
        ("encoder", f"{made.depth} stages of {_numbers(counts)} convolutions {kernel}{_block(made)}"),
        ("maps", ", ".join(map(str, made.widths))),
        ("below", f"{made.encoder_count(made.depth + 1)} convolutions of {made.bottom_width} maps" if made.bottom
         else "nothing"),
        ("padding", made.padding if made.decoder_padding in (None, made.padding)
         else f"{made.padding}, in the decoder {made.decoder_padding}"),
        ("after a convolution", _after(made)),
        ("crosses", _crosses(made)),
        ("up", up),
        ("decoder", f"{_numbers(decoder)} convolutions a stage{_block(made)}" if any(decoder) else "no convolutions"),
        ("dropout", ", ".join(f"after {place}" for place in made.dropout_after) or "none"),
    ]  # fmt: skip


def _crosses(made: Structure) -> str:
    indices = "pooling indices at 2 bits a window" if made.up == "unpool" else ""
    reduced = " reduced to the classes" if made.squeeze else ""
    maps = {"add": f"feature maps{reduced}, added", "concat": "feature maps, concatenated"}.get(made.skip, "")
    if maps and made.padding != "same":
        maps = maps.replace(",", ", cropped and", 1)
    return " and ".join(part for part in (indices, maps) if part) or "nothing"


def _after(made: Structure) -> str:
    norm = NORMS[made.norm]
    both = ", ".join(p for p in (norm, "ReLU" if made.encoder_relu else "") if p) or "nothing"
    return both if made.encoder_relu == made.decoder_relu else f"{both}; in the decoder {norm or 'nothing'}"


def _block(made: Structure) -> str:
    return ", the inner ones residual" if made.block == "residual" else ""


def _costs(facts: Explanation) -> list[tuple[str, str]]:
    pixels = facts.output[0] * facts.output[1]
    return [
        ("parameters", f"{facts.parameters:,}"),
        ("multiply-adds", f"{facts.multiply_adds / 1e9:,.1f} x 10^9"),
        ("multiply-adds an output pixel", f"{facts.multiply_adds / pixels / 1e6:,.2f} x 10^6"),
        ("sees (receptive field)", f"{facts.receptive_field} pixels"),
        ("kept for training", f"{facts.training_bytes / 1e6:,.1f} MB a picture"),
        ("held in prediction", f"{facts.prediction_bytes / 1e6:,.1f} MB a picture"),
        ("stored for skips", f"{facts.skip_bytes:,} bytes a picture"),
    ]


def _on(facts: Explanation) -> str:
    return (
        f"{facts.name}: on a picture of {size_text(facts.size)} with {_plural(facts.in_channels, 'channel')}, "
        f"{_plural(facts.classes, 'class')}; the output is {size_text(facts.output)}."
    )


def _differing_settings(one: AnyStructure, other: AnyStructure) -> tuple[tuple[str, str, str], ...]:
    a, b = one.model_dump(), other.model_dump()
    if a.keys() != b.keys():
        return ()
    return tuple((key, _value(a[key]), _value(b[key])) for key in a if a[key] != b[key])


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "as padding" if value is None else str(value)


def _numbers(counts: list[int]) -> str:
    return str(counts[0]) if len(set(counts)) == 1 else ", ".join(map(str, counts))


def _mega(count: int) -> str:
    return f"{count / 1e6:,.1f}" if count else ""


def _plural(count: int, word: str) -> str:
    return f"{count} {word if count == 1 else word + ('es' if word.endswith('s') else 's')}"
