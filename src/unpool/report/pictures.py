"""Pictures to look at: overlays of classes, error pictures, thumbnails, data URIs. All are uint8 RGB."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from unpool.class_table import IGNORE_ID, Colour, Labels

WRONG: Colour = (226, 62, 48)
"""Colour in an error picture: a wrong class other than class 0 is predicted (with two classes: a false positive)."""

MISSED: Colour = (255, 200, 70)
"""Colour in an error picture: class 0 is predicted and another class is true (a false negative)."""

RIGHT: Colour = (104, 104, 104)
"""Colour in an error picture: the prediction is right and not class 0."""

RIGHT_FIRST: Colour = (38, 38, 38)
"""Colour in an error picture: the prediction is right and class 0."""

OPACITY = 0.25
"""Weight of a class colour inside its regions in an overlay, so that the picture is seen through it."""

_NEAR = 150
"""Distance in RGB below which a border cannot be seen well on the picture."""

_BLACK = (0, 0, 0)
_HATCH = ((92, 92, 92), (58, 58, 58))
_DARK = 100  # an 8-bit picture whose 99th percentile is below this is stretched for display


_QUALITIES = (85, 65, 45, 25)


class Bounds(NamedTuple):
    """The bounds of a picture in a page: pixels of its longer side, and characters of its URI."""

    longest: int
    characters: int


class Levels(NamedTuple):
    """The pixel values that are shown as black and as white."""

    low: float
    high: float


def levels_of(image: NDArray[Any]) -> Levels | None:
    """Return the levels to which ``displayable`` stretches a picture; None for a picture that it does not stretch."""
    shown = (image[..., None] if image.ndim == 2 else image)[..., :3]
    if shown.dtype == np.uint8 and np.percentile(shown, 99) >= _DARK:
        return None
    values = shown.astype(np.float32)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Levels(0.0, 0.0)
    low, high = np.percentile(finite, (1, 99))
    if high <= low:  # a flat picture, or a flat one with few bright pixels
        low, high = finite.min(), finite.max()
    return Levels(float(low), float(high))


def displayable(image: NDArray[Any], levels: Levels | Literal["own"] | None = "own") -> NDArray[np.uint8]:
    """Return a picture as RGB for a screen: uint8 (rows, columns, 3).

    The first three channels are shown: one channel as grey, two channels as red and green. An 8-bit picture is not
    changed unless it is dark. All others are stretched from their 1st to their 99th percentile, all channels alike.
    Pixels that are not finite become black.

    Parameters
    ----------
    image: uint8, uint16 or float32 of shape (rows, columns) or (rows, columns, channels).
    levels: ``own`` for those of ``image``; for a part of a picture, give those of the picture. None does not stretch.
    """
    shown = (image[..., None] if image.ndim == 2 else image)[..., :3]
    stretch_to = levels_of(image) if levels == "own" else levels
    shown = shown if stretch_to is None else _stretch(shown, stretch_to)
    if shown.shape[2] == 1:
        return np.repeat(shown, 3, axis=2)
    missing = 3 - shown.shape[2]
    return np.pad(shown, ((0, 0), (0, 0), (0, missing)))


def _stretch(image: NDArray[Any], levels: Levels) -> NDArray[np.uint8]:
    values = image.astype(np.float32)
    low, high = np.float32(levels.low), np.float32(levels.high)
    scaled = (np.where(np.isfinite(values), values, low) - low) / max(high - low, np.finfo(np.float32).tiny)
    return np.asarray(np.round(np.clip(scaled, 0, 1) * 255), dtype=np.uint8)


def overlay(
    image: NDArray[Any],
    labels: Labels,
    colours: Sequence[Colour],
    opacity: float = OPACITY,
    levels: Levels | Literal["own"] | None = "own",
    outline: int = 1,
) -> NDArray[np.uint8]:
    """Tint a picture with the colours of its classes and draw the classes' borders in full colour.

    Where a border's colour is near that of the picture, it is mixed with white on dark pixels and with black on bright
    ones.

    Class 0 is not tinted if its colour is black. Ignored pixels are dimmed and hatched.

    Parameters
    ----------
    image, levels: as ``unpool.report.pictures.displayable`` takes them.
    labels: (rows, columns) class ids; ``IGNORE_ID`` for ignored pixels.
    colours: one RGB colour for each class.
    opacity: weight of the class colour inside a region, 0..1.
    outline: pixels of the border that are drawn on each side of it.

    Returns
    -------
    uint8 (rows, columns, 3).
    """
    if image.shape[:2] != labels.shape:
        raise ValueError(f"image of size {image.shape[:2]}, labels of size {labels.shape}")
    shown = displayable(image, levels)
    flat = colourise(labels, colours)
    ignored = labels == IGNORE_ID
    tinted = ~ignored & ((labels != 0) | (tuple(colours[0]) != _BLACK))
    blended = np.round(shown * np.float32(1 - opacity) + flat * np.float32(opacity)).astype(np.uint8)
    result = np.where(tinted[..., None], blended, shown)
    border = tinted & _borders(labels, outline)
    result[border] = _in_contrast(flat[border], shown[border])
    return np.where(ignored[..., None], shown // 3 + flat // 2, result)


def _in_contrast(colours: NDArray[np.uint8], ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return colours (pixels, 3) that can be seen on the colours of the ground: those that are near are mixed."""
    seen, under = colours.astype(np.float32), ground.astype(np.float32)
    near = np.linalg.norm(seen - under, axis=1, keepdims=True) < _NEAR
    far_end = np.where(under.mean(axis=1, keepdims=True) < 128, np.float32(255), np.float32(0))
    return np.where(near, (seen + far_end) / 2, seen).round().astype(np.uint8)


def colourise(labels: Labels, colours: Sequence[Colour]) -> NDArray[np.uint8]:
    """Return every class in its colour and ignored pixels hatched in grey: uint8 (rows, columns, 3)."""
    ignored = labels == IGNORE_ID
    palette = np.array(colours, dtype=np.uint8)
    painted = palette[np.where(ignored, 0, labels)]
    return np.where(ignored[..., None], _hatching(labels.shape), painted)


def error_picture(labels: Labels, prediction: Labels) -> NDArray[np.uint8]:
    """Return a picture of the wrong pixels of a prediction: uint8 (rows, columns, 3).

    Right pixels are grey (class 0 darker), wrong ones ``WRONG`` or ``MISSED``, ignored ones hatched.

    Parameters
    ----------
    labels: (rows, columns) class ids; ``IGNORE_ID`` for ignored pixels.
    prediction: (rows, columns) class ids.
    """
    if labels.shape != prediction.shape:
        raise ValueError(f"labels of size {labels.shape}, prediction of size {prediction.shape}")
    palette = np.array((RIGHT_FIRST, RIGHT, WRONG, MISSED), dtype=np.uint8)
    right = (labels > 0).astype(np.uint8)
    wrong = np.where(prediction == 0, 3, 2)
    painted = palette[np.where(labels == prediction, right, wrong)]
    return np.where((labels == IGNORE_ID)[..., None], _hatching(labels.shape), painted)


def heat_picture(values: NDArray[np.float32], top: float) -> NDArray[np.uint8]:
    """Return values as colours, black (0), violet, orange, pale yellow (``top`` and above): uint8 (rows, columns, 3).

    Equal steps look equal, and lightness rises with the value, so it can be read in grey (matplotlib's magma).

    Parameters
    ----------
    values: float32 (rows, columns), 0 or more.
    """
    ramp = np.round(colormaps["magma"](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
    return np.asarray(ramp[np.round(np.clip(values / top, 0, 1) * 255).astype(np.uint8)])


def shrink(picture: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Shrink a picture until its longer side is at most ``longest`` pixels; a smaller one is returned unchanged.

    A picture (rows, columns, 3) is averaged over areas. Labels (rows, columns) take the nearest pixel.
    """
    rows, columns = picture.shape[:2]
    scale = longest / max(rows, columns)
    if scale >= 1:
        return picture
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    method = Image.Resampling.NEAREST if picture.ndim == 2 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize(size, method))


def png_data_uri(picture: NDArray[np.uint8]) -> str:
    """Return a picture as a lossless ``data:image/png`` URI, for flat colours."""
    return _data_uri(picture, "png", optimize=True)


def png_file(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    return _encoded(picture, "png", optimize=True)


def jpeg_data_uri(picture: NDArray[np.uint8], quality: int = 85) -> str:
    """Return a picture as a small ``data:image/jpeg`` URI with colours at full resolution, for photographs."""
    # Not optimize=True: with it, Pillow's buffer is too small for noise at full colour resolution, and it fails.
    return _data_uri(picture, "jpeg", quality=quality, subsampling=0)


def small_data_uri(picture: NDArray[np.uint8], bounds: Bounds, *, flat: bool = False) -> str:
    """Return the best encoding of a shrunk picture that keeps the bounds, or else the smallest.

    Parameters
    ----------
    flat: whether the picture has flat colours, which stay lossless if that is small enough.
    """
    thumbnail = shrink(picture, bounds.longest)
    uri = png_data_uri(thumbnail) if flat else jpeg_data_uri(thumbnail, _QUALITIES[0])
    for quality in _QUALITIES:
        if len(uri) <= bounds.characters:
            break
        uri = jpeg_data_uri(thumbnail, quality)
    return uri


def _data_uri(picture: NDArray[np.uint8], kind: str, **options: int) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(_encoded(picture, kind, **options)).decode('ascii')}"


def _encoded(picture: NDArray[np.uint8], kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, kind, **options)
    return stream.getvalue()


def _borders(labels: Labels, width: int) -> NDArray[np.bool_]:
    """Return the pixels that have a pixel of another class above, below, left or right, or so near for a width."""
    if width > 1:
        side = 2 * width + 1
        return np.asarray(maximum_filter(labels, side) != minimum_filter(labels, side))
    border = np.zeros(labels.shape, dtype=bool)
    vertical = labels[1:] != labels[:-1]
    border[1:] |= vertical
    border[:-1] |= vertical
    horizontal = labels[:, 1:] != labels[:, :-1]
    border[:, 1:] |= horizontal
    border[:, :-1] |= horizontal
    return border


def _hatching(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return grey diagonal stripes, three pixels wide: uint8 (rows, columns, 3)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.array(_HATCH, dtype=np.uint8)[(rows + columns) // 3 % 2])
