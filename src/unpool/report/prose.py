"""The figure of a network in words."""

from __future__ import annotations

from unpool.nets.explain.records import Explanation


def figure_words(facts: Explanation) -> str:
    """Describe what the drawing shows."""
    what = {skip.what for skip in facts.skips}
    if "positions" in what:
        also = " Arcs above the row are feature maps that are added or concatenated." if "maps" in what else ""
        return (
            "The drawing goes from left to right and is narrow in the middle, like an hourglass. The encoder's stages "
            "(convolutions, then pooling) shrink, the decoder's mirrored stages (upsampling, then convolutions) grow, "
            "and the softmax gives every pixel its class. "
            "An arc from each pooling to its upsampling carries the pooling indices. The height of a box follows the "
            f"size, its width the number of maps, which stands above it.{also}"
        )
    if is_u_shaped(facts):
        word = "copied and cropped" if any(skip.is_cropped for skip in facts.skips) else "copied"
        joined = {
            "add": "added to the upsampled maps on the right (a plus in a circle)",
            "concat": "placed next to the upsampled maps on the right (white boxes)",
            "index": "",
        }[facts.skips[0].joined]
        return (
            "The drawing is a U: the contracting path goes down on the left, the expansive path up on the right. A box "
            "is a stack of feature maps, with their number above and their size below; arrows are operations. Grey "
            f"arrows to the right are the encoder's maps, {word}, then {joined}."
        )
    return (
        "The drawing goes from left to right. Boxes are layers: their height follows the size, their width the number "
        "of maps, which stands above"
        + ("; arcs carry encoder maps to the layer that adds them." if facts.skips else ".")
    )


def is_u_shaped(facts: Explanation) -> bool:
    """Return whether every stage above a bottom has a skip connection of feature maps only, as in U-Net."""
    stages = {layer.stage for layer in facts.layers if layer.kind == "pooling"}
    return (
        bool(stages)
        and {skip.stage for skip in facts.skips} == stages
        and all(skip.what == "maps" for skip in facts.skips)
        and any(layer.side == "bottom" and layer.kernel > 1 for layer in facts.layers)
    )
