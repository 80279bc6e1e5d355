"""The figure of a network, drawn as in its paper from the facts about its layers, as SVG.

A network with a skip connection of feature maps at every stage is drawn as U-Net's U, in which boxes are maps and
arrows are layers. Other networks are drawn as a row in the manner of SegNet's figure, in which boxes are layers and
arcs are skip connections. In both, the height of a box follows the size and its width the number of maps. The same
network gives the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

from unpool.nets.explain.records import Explanation, LayerFacts, SkipFacts
from unpool.report.drawing import INK, PALE, PAPER, SMALL, Box, Canvas, Scale, TextStyle
from unpool.report.prose import is_u_shaped
from unpool.wording import size_text

MAPS, SKIP = "#5b93c9", "#7c8594"
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
"""Width in pixels of a layer that keeps the number of maps."""

TITLE = TextStyle(size=14, anchor="start", bold=True)
LEGEND = TextStyle(size=10.5, anchor="start")

ABBREVIATIONS = {"batch norm": "BN", "group norm": "GN", "instance norm": "IN"}


def figure_svg(facts: Explanation) -> str:
    """Return the figure of a network as an ``<svg>`` document on a white ground, readable in print."""
    canvas = Canvas()
    legend = _draw_u(canvas, facts) if is_u_shaped(facts) else _draw_row(canvas, facts)
    title = f"{facts.name}: {size_text(facts.size)} to {size_text(facts.output)}, {facts.parameters:,} parameters"
    foot = canvas.bottom + 34
    _draw_legend(canvas, legend, foot)
    head = canvas.top - 22
    canvas.text(0, head, title, TITLE)
    return canvas.document(title, note="Drawn by unpool explain.")


@dataclass(frozen=True)
class _Sheet:
    """A canvas with the scale of its boxes."""

    canvas: Canvas
    scale: Scale


# U-Net's U: boxes are maps, arrows are layers.


def _draw_u(canvas: Canvas, facts: Explanation) -> dict[str, str]:
    """Draw the U; return the meaning of its arrows, as label to colour."""
    path = [layer for layer in facts.layers if not layer.across]
    residual = any(layer.kind == "add" and not layer.merges_skip for layer in path)
    step, wide = (14.0, 16.0) if residual else (40.0, 26.0)  # five convolutions per stage stand closer
    scale = _scale(facts, path, tall=168, thin=5, wide=wide)
    sheet = _Sheet(canvas, scale)
    centres = _stage_centres(path, facts, scale)
    legend: dict[str, str] = {}
    last = _put_picture(sheet, centres[1], facts)
    leaving: dict[int, Box] = {}
    block: list[Box] = []
    for layer in path:
        word, colour = _arrow_of(layer)
        if not layer.merges_skip:
            legend.setdefault(word, colour)
        middle = centres[layer.stage]
        if layer.kind == "pooling":
            leaving[layer.stage] = last
            below = _box_at(scale, last.middle, centres[layer.stage + 1], layer)
            last = _box(canvas, layer, below)
            canvas.arrow(f"M{last.middle:.1f} {leaving[layer.stage].low + 17:.1f}V{last.y - 17:.1f}", colour, width=2.6)
            block = []
        elif layer.kind in ("up-convolution", "interpolation", "unpooling") and layer.side != "head":
            grown = _box_at(scale, last.middle, middle, layer)
            canvas.arrow(f"M{last.middle:.1f} {last.y - 17:.1f}V{grown.low + 18:.1f}", colour, width=2.6)
            last, block = grown, []
        elif layer.merges_skip:
            skip = next(s for s in facts.skips if s.stage == layer.stage)
            last = _draw_merge(sheet, skip, layer, grown=last, leaving=leaving[layer.stage])
        else:
            box = _put_after(sheet, layer, last=last, step=step, centre=middle)
            canvas.arrow(f"M{last.right + 3:.1f} {middle:.1f}H{box.x - 2:.1f}", colour, width=2.2)
            if layer.kind == "add" and len(block) > 1:
                _draw_residual(canvas, block[0], box)
            last = box
            block.append(box)
    canvas.text(last.right + 10, last.centre + 4, "classes", TextStyle(anchor="start", colour=PALE))
    legend[_skip_word(facts)] = SKIP
    return legend


def _draw_merge(sheet: _Sheet, skip: SkipFacts, layer: LayerFacts, *, grown: Box, leaving: Box) -> Box:
    """Draw the copied maps in white next to the upsampled ones, or a sum on their edge; and the encoder's arrow."""
    canvas, y = sheet.canvas, grown.centre
    if skip.joined == "concat":
        width = sheet.scale.width(skip.channels)
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
    canvas.arrow(f"M{leaving.right + 4:.1f} {leaving.centre:.1f}H{end:.1f}", SKIP, width=3)
    canvas.text((leaving.right + end) / 2, leaving.centre - 6, note, TextStyle(colour=SKIP))
    canvas.text(whole.middle, grown.y - 5, str(layer.channels))
    canvas.text(whole.middle, grown.low + 12, size_text(layer.size), SMALL)
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


def _put_picture(sheet: _Sheet, centre: float, facts: Explanation) -> Box:
    canvas, scale = sheet.canvas, sheet.scale
    height = scale.height(facts.size[0])
    box = Box(14, centre - height / 2, scale.width(facts.in_channels), height)
    canvas.box(box, COLOURS["picture"])
    canvas.text(box.middle, box.y - 5, str(facts.in_channels))
    canvas.text(box.middle, box.low + 12, size_text(facts.size), SMALL)
    canvas.text(box.middle, box.low + 25, "picture", TextStyle(colour=PALE))
    return box


def _put_after(sheet: _Sheet, layer: LayerFacts, *, last: Box, step: float, centre: float) -> Box:
    box = _box_at(sheet.scale, 0, centre, layer)
    box = replace(box, x=last.right + step)
    return _box(sheet.canvas, layer, box, sized=abs(box.height - last.height) > 1e-6)


def _box_at(scale: Scale, middle: float, centre: float, layer: LayerFacts) -> Box:
    width, height = scale.width(layer.channels), scale.height(layer.rows)
    return Box(middle - width / 2, centre - height / 2, width, height)


def _box(canvas: Canvas, layer: LayerFacts, box: Box, *, sized: bool = True) -> Box:
    """Draw maps, with their number above and, if ``sized``, their size below."""
    canvas.box(box, COLOURS["classifier"] if layer.side == "head" else MAPS, dashed="dropout" in layer.after)
    canvas.text(box.middle, box.y - 5, str(layer.channels))
    if sized:
        canvas.text(box.middle, box.low + 12, size_text(layer.size), SMALL)
    return box


def _stage_centres(path: Sequence[LayerFacts], facts: Explanation, scale: Scale) -> dict[int, float]:
    """Return the middle line of every stage, from the top down."""
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


# SegNet's row: boxes are layers, arcs are skip connections.


def _draw_row(canvas: Canvas, facts: Explanation) -> dict[str, str]:
    """Draw the row; return the meaning of its boxes, as label to colour."""
    path = [layer for layer in facts.layers if not layer.across]
    widest = max(layer.channels for layer in path)
    sheet = _Sheet(canvas, _scale(facts, path, tall=190, thin=6, wide=max(20.0, 20 * sqrt(widest / 512))))
    legend: dict[str, str] = {"picture": COLOURS["picture"]}
    last = _put_in_row(sheet, 0.0, facts.in_channels, rows=facts.size[0], fill=COLOURS["picture"])
    places: dict[str, Box] = {}
    groups = [_Group(facts.size, "picture", [last])]
    before: LayerFacts | None = None
    for layer in path:
        first = before is None or (layer.side, layer.stage) != (before.side, before.stage)
        if first:
            groups.append(_Group(layer.size, layer.side, []))
        gap = 32.0 if before is None or before.side != layer.side else 11.0 if first else 2.5
        if layer.merges_skip and layer.kind == "add":
            last = Box(last.right + 8, -7, 14, 14)
            canvas.sum(last.middle, 0)
        else:
            legend.setdefault(_label(layer), _colour(layer))
            x = last.right + gap
            last = _put_in_row(sheet, x, layer.channels, rows=layer.rows, fill=_colour(layer), layer=layer)
        groups[-1].boxes.append(last)
        places.update(_anchors(layer, last))
        before = layer
    end = _put_in_row(sheet, last.right + 32, facts.classes, rows=facts.output[0], fill=COLOURS["softmax"])
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
    """Write the size under each stage where it changes, and the names of the two sides above them."""
    shown: tuple[int, int] | None = None
    side = ""
    for group in groups:
        if (side, group.side) in (("encoder", "decoder"), ("bottom", "decoder")):
            shown = None  # the size of the last stage was pooled in between
        if group.size != shown:
            low = max(box.low for box in group.boxes)
            wide = [box for box in group.boxes if box.width > THIN] or group.boxes  # arcs end at the thin ones
            canvas.text(_middle(wide), low + 13, size_text(group.size), TextStyle(size=8))
        shown, side = group.size, group.side
    y = canvas.top - 14
    for side in ("encoder", "decoder"):
        boxes = [box for group in groups if group.side == side for box in group.boxes]
        if boxes:
            canvas.text(_middle(boxes), y, side, TextStyle(size=11, colour=PALE))


def _middle(boxes: Sequence[Box]) -> float:
    return (boxes[0].x + boxes[-1].right) / 2


def _anchors(layer: LayerFacts, box: Box) -> dict[str, Box]:
    """Return the ends of arcs at this layer, by name: ``encoder2``, ``pool2``, ``unpool2``, ``join2``."""
    if layer.side == "encoder":
        return {f"{'pool' if layer.kind == 'pooling' else 'encoder'}{layer.stage}": box}
    if layer.kind == "unpooling":
        return {f"unpool{layer.stage}": box}
    return {f"join{layer.stage}": box} if layer.merges_skip else {}


def _draw_arc(canvas: Canvas, skip: SkipFacts, places: dict[str, Box], *, reduced: bool) -> None:
    """Draw an arc: pooling indices below the row, feature maps above it."""
    below = skip.what == "positions"
    start, end = places[skip.origin], places[f"{'unpool' if below else 'join'}{skip.stage}"]
    span = end.middle - start.middle
    away = (21 if below else 16) + 0.13 * span  # below, clear of the sizes
    if below:
        y = max(start.low, end.low) + away
        first, last, colour = start.low + 2, end.low + 3, COLOURS["unpooling"]
        words, at = f"pooling indices {size_text((skip.channels, skip.rows, skip.columns))}", y + 11
    else:
        y = min(start.y, end.y, -30.0) - 18 - away
        labelled = not skip.origin.startswith("pool")
        first, last, colour = start.y - (24 if labelled else 3), end.y - 3, SKIP
        crop = f", crop {skip.crop_text}" if skip.is_cropped else ""
        words, at = f"{'conv 1x1 to ' if reduced else ''}{skip.channels} maps{crop}", y - 4
    corner = min(14.0, span / 2)
    bend = -corner if below else corner
    canvas.arrow(
        f"M{start.middle:.1f} {first:.1f}V{y + bend:.1f}Q{start.middle:.1f} {y:.1f} {start.middle + corner:.1f} {y:.1f}"
        f"H{end.middle - corner:.1f}Q{end.middle:.1f} {y:.1f} {end.middle:.1f} {y + bend:.1f}V{last:.1f}",
        colour,
        width=1.6,
    )
    canvas.text((start.middle + end.middle) / 2, at, words, TextStyle(size=9.5, colour=colour))


def _put_in_row(sheet: _Sheet, x: float, maps: int, *, rows: int, fill: str, layer: LayerFacts | None = None) -> Box:
    canvas, scale = sheet.canvas, sheet.scale
    height = scale.height(rows)
    thin = layer is not None and layer.kind in ("pooling", "unpooling", "normalisation")
    box = Box(x, -height / 2, THIN if thin else scale.width(maps), height)
    canvas.box(box, fill, dashed=layer is not None and "dropout" in layer.after)
    if not thin:
        canvas.text(box.middle + 3.2, box.y - 5, str(maps), TextStyle(size=9, anchor="start", rotated=True))
    return box


# Both figures.


def _draw_legend(canvas: Canvas, legend: dict[str, str], y: float) -> None:
    """Draw the colours and their meaning in lines under the figure."""
    x, right = 0.0, max(canvas.right, 560.0)
    for word, colour in legend.items():
        width = 22 + 5.9 * len(word) + 18
        if x + width > right:
            x, y = 0.0, y + 19
        canvas.box(Box(x, y - 9, 14, 11), colour)
        canvas.text(x + 20, y, word, LEGEND)
        x += width
    if any("dasharray" in shape for shape in canvas.shapes):
        canvas.text(x, y, "dashed edge: dropout follows", LEGEND)


def _label(layer: LayerFacts) -> str:
    """Return the name of a layer for the legend, as the papers write it."""
    kernel = f" {layer.kernel}x{layer.kernel}"
    by = f", stride {layer.stride}" if layer.stride > 1 else ""
    follows = [ABBREVIATIONS.get(word, word) for word in layer.after if word != "dropout"]
    words = {
        "normalisation": "LRN",
        "convolution": "conv" + kernel + by,
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


def _scale(facts: Explanation, path: Sequence[LayerFacts], *, tall: float, thin: float, wide: float) -> Scale:
    rows = max(facts.size[0], *(layer.rows for layer in path))
    return Scale(rows, max(layer.channels for layer in path), tall, thin, wide)
