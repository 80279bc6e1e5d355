"""Reading one pair once, and everything that reading shows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import MaskKind
from unpool.data.samples import Pair
from unpool.dataset.checks.duplicates import thumbnail
from unpool.dataset.findings import Finding, from_error
from unpool.dataset.mask_values.tally import MaskTally, tally_mask
from unpool.errors import DataError
from unpool.io.read.images import ImageInfo, Picture, load_picture
from unpool.io.read.masks import MaskPicture, load_mask

T = TypeVar("T")


@dataclass(frozen=True)
class Inspection:
    """What one pair is. ``image`` and ``tally`` are None where a file is broken.

    Attributes
    ----------
    digest: sha256 of both files' bytes, in hex.
    pixels_digest: sha256 of the decoded picture, in hex; empty where it is broken.
    thumb: float32 thumbnail, see ``likeness.thumbnail``.
    findings: what is wrong or noteworthy in this pair alone.
    """

    name: str
    image: ImageInfo | None
    tally: MaskTally | None
    digest: str
    pixels_digest: str
    thumb: NDArray[np.float32] | None
    findings: tuple[Finding, ...]


@dataclass
class _Notes:
    pair: Pair
    findings: list[Finding] = field(default_factory=list)

    def add(self, severity: Any, code: str, found: str, expected: str = "", repair: str = "") -> None:
        name = self.pair.name
        self.findings.append(Finding(severity, code, f"{name}: {found}", expected, repair, (name,)))


def inspect_pair(pair: Pair, kind: MaskKind | None) -> Inspection:
    """Read a pair and look at it. What is wrong becomes a finding; nothing is raised for the files."""
    notes = _Notes(pair)
    picture, image_digest = _loaded(partial(load_picture, pair.image), pair.image, "broken-image", notes)
    mask, mask_digest = _loaded(partial(load_mask, pair.mask, kind), pair.mask, "broken-mask", notes)
    if picture:
        _look_at_picture(picture, notes)
    if mask and mask.header.white_is_zero:
        notes.add("note", "white-is-zero", "the mask is a TIFF that shows 0 white; its stored values count")
    if picture and mask:
        _compare_sizes(picture, mask, notes)
    return Inspection(
        name=pair.name,
        image=picture.info if picture else None,
        tally=tally_mask(pair.name, mask) if mask else None,
        digest=hashlib.sha256(image_digest + mask_digest).hexdigest(),
        pixels_digest=_pixels_digest(picture.pixels) if picture else "",
        thumb=thumbnail(picture.pixels) if picture else None,
        findings=tuple(notes.findings),
    )


def _loaded(load: Callable[[bytes | None], T], path: Path, code: str, notes: _Notes) -> tuple[T | None, bytes]:
    """What a file holds, None where it is broken, and the digest of its bytes, which are let go here."""
    try:
        content = path.read_bytes()
    except OSError:
        content = None  # the decoder will say why
    digest = hashlib.sha256(content or b"").digest()
    try:
        return load(content), digest
    except DataError as error:
        notes.findings.append(from_error(error, code, notes.pair.name))
        return None, digest


def _pixels_digest(pixels: NDArray[Any]) -> str:
    whole = hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode())
    whole.update(np.ascontiguousarray(pixels).data.cast("B"))
    return whole.hexdigest()


def _look_at_picture(picture: Picture, notes: _Notes) -> None:
    pixels, info = picture.pixels, picture.info
    if info.exif_orientation != 1:
        notes.add("note", "exif-rotation", f"is turned as its EXIF orientation {info.exif_orientation} says")
    if picture.transparent:
        notes.add("note", "alpha-dropped", "the alpha channel is left out, and it hid some pixels")
    if pixels.dtype.kind == "u" and pixels.max() < (int(np.iinfo(pixels.dtype).max) + 1) // 16:
        top = np.iinfo(pixels.dtype).max
        found = f"no pixel is above {pixels.max()} of {top}; pictures are scaled by the training set"
        notes.add("note", "dark-picture", found)


def _compare_sizes(picture: Picture, mask: MaskPicture, notes: _Notes) -> None:
    ours, theirs = picture.pixels.shape[:2], mask.values.shape[:2]
    if ours == theirs:
        return
    hint = "make the mask anew at the picture's size; never stretch one to the other"
    if ours == theirs[::-1]:
        hint = "rows and columns are exchanged: turn the mask, or save it with its axes the other way round"
        if picture.info.orientation.exchanged:
            hint = (
                "the mask was drawn on the picture before its EXIF rotation: turn the mask as the picture is "
                "shown, or remove the picture's EXIF orientation"
            )
    notes.add(
        "error",
        "size-mismatch",
        f"the picture is {ours[0]} x {ours[1]} and its mask {theirs[0]} x {theirs[1]} (rows x columns)",
        "one size",
        hint,
    )
