"""The augmentation of a training in plain words: one line for each random change, those that are off too."""

from __future__ import annotations

from unpool.config.schema import AugmentationSettings

OFF = "none"
"""The words for a change that is switched off."""


def augmentation_words(given: AugmentationSettings) -> list[tuple[str, str]]:
    """Return the name and the meaning of every random change to a training crop.

    Parameters
    ----------
    given: with every choice made; a choice that is still open counts as switched off.
    """
    sides = [
        *["left to right"] * bool(given.flip_columns),
        *["top to bottom"] * bool(given.flip_rows),
    ]
    factor, shift = 1 + given.scale, given.brightness
    return [
        ("shift", f"crops from anywhere in a picture; {_around(given.rare)}"),
        ("mirror", " and ".join(f"half of the crops {side}" for side in sides) if sides else OFF),
        ("rotation", _rotation_text(given)),
        ("scale", f"between 1/{factor:g} and {factor:g} times the size" if given.scale else OFF),
        ("elastic", _elastic_text(given)),
        ("contrast", _factor_text(given.contrast)),
        ("brightness", f"up to {shift:g} standard deviations darker or lighter" if shift else OFF),
        ("noise", f"up to {given.noise:g} of the crop's own deviation" if given.noise else OFF),
    ]  # fmt: skip


def _around(rare: float) -> str:
    if not rare:
        return "none around a pixel of a chosen class"
    return f"{100 * rare:g} % of them around a pixel of a class, each class of the picture equally often"


def _rotation_text(given: AugmentationSettings) -> str:
    turns = "by 0, 90, 180 or 270 degrees" if given.quarter_turns else ""
    angles = f"up to {given.rotation:g} degrees in both directions" if given.rotation else ""
    return " and ".join(filter(None, (turns, angles))) or OFF


def _elastic_text(given: AugmentationSettings) -> str:
    if not given.elastic:
        return OFF
    points = given.elastic_points
    grid = f"{points} x {points} points" if points else "points about every 128 pixels"
    return f"{grid} move by {given.elastic:g} pixels (standard deviation), smoothly between them"


def _factor_text(share: float) -> str:
    return f"between 1/{1 + share:g} and {1 + share:g} times the contrast" if share else OFF
