"""A network drawn as in its paper, from what was read off the module: SVG text.

Where feature maps cross at every stage it is U-Net's U, in which boxes are maps and arrows are layers; otherwise a row
in the manner of SegNet's figure, in which boxes are layers and arcs are what crosses. In both the height of a box
follows the size and its width the number of maps. The same network gives the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from unpool.nets.explain.records import Explanation, LayerFacts, SkipFacts
from unpool.report.drawing import INK, PALE, PAPER, Box, Canvas, Scale
from unpool.report.prose import is_u_shaped

MAPS, ACROSS = "#5b93c9", "#7c8594"
COLOURS = {
    "picture": "#d5d8de",
    "normalisation": "#b7a8d6",
    "convolution": "#4a86c5",
    "no ReLU": "#a9cbea",
    "classifier": "#2a9187",
    "pooling": "#58a65c",
    "unpooling": "#cf4a55",
    "up-convolution": "#e08a3c",
    "interpolation": "#c58fb0",
    "sum": "#ffffff",
    "softmax": "#ecb840",
}
THIN = 7.0
"""Width of a layer that keeps the number of maps."""

ABBREVIATIONS = {"batch norm": "BN", "group norm": "GN", "instance norm": "IN"}


def figure_svg(facts: Explanation) -> str:
    """Draw a network. Returns an ``<svg>`` document on a white ground, readable in print."""
    canvas = Canvas()
    legend = _draw_u(canvas, facts) if is_u_shaped(facts) else _draw_row(canvas, facts)
    title = f"{facts.name}: {_size(facts.size)} to {_size(facts.output)}, {facts.parameters:,} parameters"
    foot = canvas.bottom + 34
    _draw_legend(canvas, legend, foot)
    head = canvas.top - 22
    canvas.text(0, head, title, size=14, anchor="start", bold=True)
    return canvas.document(title, note="Drawn by unpool explain.")


# U-Net's U: boxes are maps, arrows are layers.


def _draw_u(canvas: Canvas, facts: Explanation) -> dict[str, str]:
    """Draw the U; returns what its arrows mean, as label to colour."""
    path = [layer for layer in facts.layers if not layer.across]
    residual = any(layer.kind == "add" and not _joins(layer) for layer in path)
    step, wide = (14.0, 16.0) if residual else (40.0, 26.0)  # five convolutions a stage stand closer
    scale = _scale(facts, path, tall=168, thin=5, wide=wide)
    centres = _stage_centres(path, facts, scale)
    legend: dict[str, str] = {}
    last = _put(canvas, scale, centres[1], facts)
    leaving: dict[int, Box] = {}
    block: list[Box] = []
    for layer in path:
        word, colour = _arrow_of(layer)
        if not _joins(layer):
            legend.setdefault(word, colour)
        middle = centres[layer.stage]
        if layer.kind == "pooling":
            leaving[layer.stage] = last
            below = _beside(scale, last.middle, centres[layer.stage + 1], layer)
            last = _box(canvas, layer, below)
            canvas.arrow(f"M{last.middle:.1f} {leaving[layer.stage].low + 17:.1f}V{last.y - 17:.1f}", colour, width=2.6)
            block = []
        elif layer.kind in ("up-convolution", "interpolation", "unpooling"):
            grown = _beside(scale, last.middle, middle, layer)
            canvas.arrow(f"M{last.middle:.1f} {last.y - 17:.1f}V{grown.low + 18:.1f}", colour, width=2.6)
            last, block = grown, []
        elif _joins(layer):
            skip = next(s for s in facts.skips if s.stage == layer.stage)
            last = _draw_join(canvas, scale, skip, layer, grown=last, leaving=leaving[layer.stage])
        else:
            box = _put_after(canvas, scale, layer, last=last, step=step, centre=middle)
            canvas.arrow(f"M{last.right + 3:.1f} {middle:.1f}H{box.x - 2:.1f}", colour, width=2.2)
            if layer.kind == "add" and len(block) > 1:
                _draw_residual(canvas, block[0], box)
            last = box
            block.append(box)
    canvas.text(last.right + 10, last.centre + 4, "classes", size=10, anchor="start", colour=PALE)
    legend[_skip_word(facts)] = ACROSS
    return legend


def _draw_join(canvas: Canvas, scale: Scale, skip: SkipFacts, layer: LayerFacts, *, grown: Box, leaving: Box) -> Box:
    """The copied maps in white beside the upsampled ones, or a sum on their edge; the arrow from the encoder."""
    y = grown.centre
    if skip.joined == "concat":
        width = scale.width(skip.channels)
        copied = Box(grown.x - width, grown.y, width, grown.height)
        canvas.box(copied, PAPER)
        canvas.box(grown, MAPS)
        whole = Box(copied.x, grown.y, width + grown.width, grown.height)
        end = copied.x - 2
    else:
        canvas.box(grown, MAPS)
        canvas.sum(grown.x - 12, y)
        whole, end = grown, grown.x - 20
    note = f"crop {skip.crop_text}" if skip.is_cropped else ""
    canvas.arrow(f"M{leaving.right + 4:.1f} {leaving.centre:.1f}H{end:.1f}", ACROSS, width=3)
    canvas.text((leaving.right + end) / 2, leaving.centre - 6, note, size=10, colour=ACROSS)
    canvas.text(whole.middle, grown.y - 5, str(layer.channels))
    canvas.text(whole.middle, grown.low + 12, _size(layer.size), size=9)
    return grown


def _draw_residual(canvas: Canvas, start: Box, end: Box) -> None:
    y = min(start.y, end.y) - 17
    canvas.arrow(
        f"M{start.middle:.1f} {start.y - 14:.1f}V{y - 6:.1f}H{end.middle:.1f}V{end.y - 15:.1f}", INK, width=1.1
    )
    canvas.reach(end.right, y - 8)


def _arrow_of(layer: LayerFacts) -> tuple[str, str]:
    if layer.kind == "add":
        return "sum of a residual block", INK
    return _label(layer), _colour(layer)


def _put(canvas: Canvas, scale: Scale, centre: float, facts: Explanation) -> Box:
    """The picture."""
    height = scale.height(facts.size[0])
    box = Box(14, centre - height / 2, scale.width(facts.in_channels), height)
    canvas.box(box, COLOURS["picture"])
    canvas.text(box.middle, box.y - 5, str(facts.in_channels))
    canvas.text(box.middle, box.low + 12, _size(facts.size), size=9)
    canvas.text(box.middle, box.low + 25, "picture", colour=PALE)
    return box


def _put_after(canvas: Canvas, scale: Scale, layer: LayerFacts, *, last: Box, step: float, centre: float) -> Box:
    height = scale.height(layer.rows)
    box = Box(last.right + step, centre - height / 2, scale.width(layer.channels), height)
    return _box(canvas, layer, box, sized=abs(box.height - last.height) > 1e-6)


def _beside(scale: Scale, middle: float, centre: float, layer: LayerFacts) -> Box:
    width, height = scale.width(layer.channels), scale.height(layer.rows)
    return Box(middle - width / 2, centre - height / 2, width, height)


def _box(canvas: Canvas, layer: LayerFacts, box: Box, *, sized: bool = True) -> Box:
    """Maps: their number above and, where it is another than before, their size below."""
    canvas.box(box, COLOURS["classifier"] if layer.side == "head" else MAPS, dashed="dropout" in layer.after)
    canvas.text(box.middle, box.y - 5, str(layer.channels))
    if sized:
        canvas.text(box.middle, box.low + 12, _size(layer.size), size=9)
    return box


def _stage_centres(path: Sequence[LayerFacts], facts: Explanation, scale: Scale) -> dict[int, float]:
    """The middle line of every stage, from the top down."""
    tallest = {1: scale.height(facts.size[0])}
    for layer in path:
        stage = layer.stage + (layer.kind == "pooling")
        tallest[stage] = max(tallest.get(stage, 0.0), scale.height(layer.rows))
    centres, y = {}, 0.0
    for stage in sorted(tallest):
        centres[stage] = y + tallest[stage] / 2
        y += tallest[stage] + 64
    return centres


def _skip_word(facts: Explanation) -> str:
    crop = " and crop" if any(skip.is_cropped for skip in facts.skips) else ""
    return f"copy{crop}, " + ("then sum" if facts.skips[0].joined == "add" else "then concatenate (white and blue)")


# SegNet's row: boxes are layers, arcs are what crosses.


def _draw_row(canvas: Canvas, facts: Explanation) -> dict[str, str]:
    """Draw the row; returns what its boxes mean, as label to colour."""
    path = [layer for layer in facts.layers if not layer.across]
    widest = max(layer.channels for layer in path)
    scale = _scale(facts, path, tall=190, thin=6, wide=max(20.0, 20 * sqrt(widest / 512)))
    legend: dict[str, str] = {"picture": COLOURS["picture"]}
    last = _put_in_row(canvas, scale, 0.0, facts.in_channels, rows=facts.size[0], fill=COLOURS["picture"])
    places: dict[str, Box] = {}
    groups = [_Group(facts.size, "picture", [last])]
    before: LayerFacts | None = None
    for layer in path:
        first = before is None or (layer.side, layer.stage) != (before.side, before.stage)
        if first:
            groups.append(_Group(layer.size, layer.side, []))
        gap = 32.0 if before is None or before.side != layer.side else 11.0 if first else 2.5
        if _joins(layer) and layer.kind == "add":
            last = Box(last.right + 8, -7, 14, 14)
            canvas.sum(last.middle, 0)
        else:
            legend.setdefault(_label(layer), _colour(layer))
            last = _put_in_row(
                canvas, scale, last.right + gap, layer.channels, rows=layer.rows, fill=_colour(layer), layer=layer
            )
        groups[-1].boxes.append(last)
        places.update(_anchors(layer, last))
        before = layer
    end = _put_in_row(canvas, scale, last.right + 32, facts.classes, rows=facts.output[0], fill=COLOURS["softmax"])
    groups.append(_Group(facts.output, "softmax", [end]))
    legend["softmax" if facts.output == path[-1].size else "crop, softmax"] = COLOURS["softmax"]
    reduced = {layer.stage for layer in facts.layers if layer.across}
    for skip in sorted(facts.skips, key=lambda each: -each.stage):
        _draw_arc(canvas, skip, places, reduced=skip.stage in reduced)
    if any(skip.joined == "add" for skip in facts.skips):
        legend["sum"] = COLOURS["sum"]
    _name_groups(canvas, groups)
    return legend


@dataclass(frozen=True)
class _Group:
    """The boxes of one stage."""

    size: tuple[int, int]
    side: str
    boxes: list[Box]


def _name_groups(canvas: Canvas, groups: Sequence[_Group]) -> None:
    """The size under each stage, where it is another than before; the sides above all."""
    shown: tuple[int, int] | None = None
    side = ""
    for group in groups:
        if (side, group.side) in (("encoder", "decoder"), ("bottom", "decoder")):
            shown = None  # the size of the last stage was pooled in between
        if group.size != shown:
            low = max(box.low for box in group.boxes)
            wide = [box for box in group.boxes if box.width > THIN] or group.boxes  # arcs end at the thin ones
            canvas.text(_middle(wide), low + 13, _size(group.size), size=9)
        shown, side = group.size, group.side
    y = canvas.top - 14
    for side in ("encoder", "decoder"):
        boxes = [box for group in groups if group.side == side for box in group.boxes]
        if boxes:
            canvas.text(_middle(boxes), y, side, size=11, colour=PALE)


def _middle(boxes: Sequence[Box]) -> float:
    return (boxes[0].x + boxes[-1].right) / 2


def _anchors(layer: LayerFacts, box: Box) -> dict[str, Box]:
    """Where arcs begin and end: ``encoder2``, ``pool2``, ``unpool2``, ``join2``."""
    if layer.side == "encoder":
        return {f"{'pool' if layer.kind == 'pooling' else 'encoder'}{layer.stage}": box}
    if layer.kind == "unpooling":
        return {f"unpool{layer.stage}": box}
    return {f"join{layer.stage}": box} if _joins(layer) else {}


def _draw_arc(canvas: Canvas, skip: SkipFacts, places: dict[str, Box], *, reduced: bool) -> None:
    """Positions pass below the row, maps above it."""
    below = skip.what == "positions"
    start, end = places[skip.origin], places[f"{'unpool' if below else 'join'}{skip.stage}"]
    span = end.middle - start.middle
    away = 16 + 0.13 * span
    if below:
        y = max(start.low, end.low) + away
        first, last, colour = start.low + 2, end.low + 3, COLOURS["unpooling"]
        words, at = f"pooling indices, {skip.channels} x {skip.rows}x{skip.columns}", y + 11
    else:
        y = min(start.y, end.y, -30.0) - 18 - away
        labelled = not skip.origin.startswith("pool")
        first, last, colour = start.y - (24 if labelled else 3), end.y - 3, ACROSS
        crop = f", crop {skip.crop_text}" if skip.is_cropped else ""
        words, at = f"{'conv 1x1 to ' if reduced else ''}{skip.channels} maps{crop}", y - 4
    corner = min(14.0, span / 2)
    turn = -corner if below else corner
    canvas.arrow(
        f"M{start.middle:.1f} {first:.1f}V{y + turn:.1f}Q{start.middle:.1f} {y:.1f} {start.middle + corner:.1f} {y:.1f}"
        f"H{end.middle - corner:.1f}Q{end.middle:.1f} {y:.1f} {end.middle:.1f} {y + turn:.1f}V{last:.1f}",
        colour,
        width=1.6,
    )
    canvas.text((start.middle + end.middle) / 2, at, words, size=9.5, colour=colour)


def _put_in_row(
    canvas: Canvas, scale: Scale, x: float, maps: int, *, rows: int, fill: str, layer: LayerFacts | None = None
) -> Box:
    height = scale.height(rows)
    thin = layer is not None and layer.kind in ("pooling", "unpooling", "normalisation")
    box = Box(x, -height / 2, THIN if thin else scale.width(maps), height)
    canvas.box(box, fill, dashed=layer is not None and "dropout" in layer.after)
    if not thin:
        canvas.text(box.middle + 3.2, box.y - 5, str(maps), size=9, anchor="start", turned=True)
    return box


# What both have.


def _draw_legend(canvas: Canvas, legend: dict[str, str], y: float) -> None:
    """Colours and their meaning in lines under the figure."""
    x, right = 0.0, max(canvas.right, 560.0)
    for word, colour in legend.items():
        width = 22 + 5.9 * len(word) + 18
        if x + width > right:
            x, y = 0.0, y + 19
        canvas.box(Box(x, y - 9, 14, 11), colour)
        canvas.text(x + 20, y, word, size=10.5, anchor="start")
        x += width
    if any("dasharray" in shape for shape in canvas.shapes):
        canvas.text(x, y, "dashed edge: dropout follows", size=10.5, anchor="start")


def _label(layer: LayerFacts) -> str:
    """What a layer does, as the papers' legends say it."""
    kernel = f" {layer.kernel}x{layer.kernel}"
    follows = [ABBREVIATIONS.get(word, word) for word in layer.after if word != "dropout"]
    words = {
        "normalisation": "LRN",
        "convolution": "conv" + kernel,
        "pooling": "max-pooling 2x2",
        "unpooling": "unpooling",
        "up-convolution": "up-conv" + kernel,
        "interpolation": "interpolation",
        "add": "sum",
        "concatenate": "concatenation",
    }
    return " + ".join([words[layer.kind], *follows])


def _colour(layer: LayerFacts) -> str:
    if layer.kind == "convolution":
        plain = "convolution" if "ReLU" in layer.after else "no ReLU"
        return COLOURS["classifier" if (layer.kernel == 1 and plain == "no ReLU") or layer.side == "head" else plain]
    return COLOURS.get(layer.kind, COLOURS["sum"])


def _joins(layer: LayerFacts) -> bool:
    """Whether encoder and decoder meet here, and not the two ways of a residual block."""
    return layer.kind in ("add", "concatenate") and ("join" in layer.name or layer.name.startswith("fuse"))


def _scale(facts: Explanation, path: Sequence[LayerFacts], *, tall: float, thin: float, wide: float) -> Scale:
    rows = max(facts.size[0], *(layer.rows for layer in path))
    return Scale(rows, max(layer.channels for layer in path), tall, thin, wide)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
