"""Inspection of one pair: both files are read once, and everything that is wrong in them becomes a finding."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unpool.appearance.picture import Appearance, appearance_of
from unpool.class_table import ClassTable, MaskKind
from unpool.data.field_of_view import inside_view
from unpool.data.samples import Pair
from unpool.dataset.checks.similarity import thumbnail
from unpool.dataset.findings import Finding, Severity, from_error
from unpool.dataset.mask_values.tally import MaskTally, tally_mask
from unpool.errors import DataError
from unpool.io.read.formats import open_file
from unpool.io.read.images import ImageInfo, Picture, load_picture
from unpool.io.read.masks import MaskPicture, load_mask
from unpool.io.read.raster import MAX_BYTES
from unpool.wording import size_text

_Content = TypeVar("_Content")


@dataclass(frozen=True)
class Inspection:
    """The facts and findings of one pair; those of a broken file are None.

    Attributes
    ----------
    digest: sha256 of both files' bytes, in hex.
    pixels_digest: sha256 of the decoded picture, in hex; empty where it is broken.
    thumb: float32 thumbnail, see ``unpool.dataset.checks.similarity.thumbnail``.
    appearance: the picture's values and colour.
    findings: what is wrong or noteworthy in this pair alone.
    """

    name: str
    image: ImageInfo | None
    tally: MaskTally | None
    digest: str
    pixels_digest: str
    thumb: NDArray[np.float32] | None
    appearance: Appearance | None
    findings: tuple[Finding, ...]


@dataclass
class _PairFindings:
    pair: Pair
    findings: list[Finding] = field(default_factory=list)

    def add(self, severity: Severity, code: str, found: str, expected: str = "", repair: str = "") -> None:
        name = self.pair.name
        self.findings.append(Finding(severity, code, f"{name}: {found}", expected, repair, (name,)))


def inspect_pair(pair: Pair, kind: MaskKind | None, reading: ClassTable | None = None) -> Inspection:
    """Read a pair and inspect it; a broken file becomes a finding and raises nothing.

    Parameters
    ----------
    kind: how to read the mask, see ``unpool.io.read.masks.load_mask``.
    reading: a table by which the mask's values are read, see ``unpool.dataset.mask_values.tally.tally_mask``.
    """
    findings = _PairFindings(pair)
    picture, image_digest = _loaded(partial(load_picture, pair.image), pair.image, "broken-image", findings)
    mask, mask_digest = _loaded(partial(load_mask, pair.mask, kind), pair.mask, "broken-mask", findings)
    inside, view_digest = _field_of_view(pair, mask, findings)
    if picture:
        _inspect_picture(picture, findings)
    if mask and mask.header.white_is_zero:
        findings.add("note", "white-is-zero", "the mask file shows 0 as white; its stored values are used")
    if picture and mask:
        _compare_sizes(picture, mask, findings)
    appearance = appearance_of(picture.pixels, picture.info.missing) if picture else None
    far = {value for value, _ in appearance.far_values} if appearance else set()
    return Inspection(
        name=pair.name,
        image=picture.info if picture else None,
        tally=tally_mask(pair.name, mask, picture.pixels if picture else None, reading, inside) if mask else None,
        digest=hashlib.sha256(image_digest + mask_digest + view_digest).hexdigest(),
        pixels_digest=_pixels_digest(picture.pixels) if picture else "",
        thumb=thumbnail(picture.pixels, far) if picture else None,
        appearance=appearance,
        findings=tuple(findings.findings),
    )


def _field_of_view(
    pair: Pair, mask: MaskPicture | None, findings: _PairFindings
) -> tuple[NDArray[np.bool_] | None, bytes]:
    """Return the pixels that count, None where all do or the file is broken, and the digest of its bytes."""
    if pair.field_of_view is None:
        return None, b""
    size = mask.values.shape[:2] if mask else None
    try:
        return inside_view(pair.field_of_view, size), _bytes(pair.field_of_view)[1]
    except DataError as error:
        findings.findings.append(from_error(error, "broken-field-of-view", pair.name))
        return None, _bytes(pair.field_of_view)[1]


def _loaded(
    load: Callable[[bytes | None], _Content], path: Path, code: str, findings: _PairFindings
) -> tuple[_Content | None, bytes]:
    """Return a file's content, None where it is broken, and the digest of its bytes."""
    content, digest = _bytes(path)
    try:
        return load(content), digest
    except DataError as error:
        findings.findings.append(from_error(error, code, findings.pair.name))
        return None, digest


def _bytes(path: Path) -> tuple[bytes | None, bytes]:
    """Return a file's bytes, and their digest; None where there are more than a picture in memory may take."""
    content, digest = None, hashlib.sha256()
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size <= MAX_BYTES:
                content = file.read()
                digest.update(content)
            else:
                digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type] # BinaryIO has readinto
    except (OSError, DataError):
        pass  # the decoder reports the reason
    return content, digest.digest()


def _pixels_digest(pixels: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode())
    digest.update(np.ascontiguousarray(pixels).data.cast("B"))
    return digest.hexdigest()


def _inspect_picture(picture: Picture, findings: _PairFindings) -> None:
    info = picture.info
    if info.exif_orientation != 1:
        findings.add("note", "exif-rotation", f"read as its EXIF orientation {info.exif_orientation} shows it")
    if picture.transparent:
        findings.add("note", "alpha-dropped", "the alpha channel is left out, although it hides some pixels")


def _compare_sizes(picture: Picture, mask: MaskPicture, findings: _PairFindings) -> None:
    picture_size, mask_size = picture.pixels.shape[:2], mask.values.shape[:2]
    if picture_size == mask_size:
        return
    repair = "draw or export the mask again at the picture's size; do not stretch one to the other"
    if picture_size == mask_size[::-1]:
        repair = "rows and columns are exchanged: rotate the mask by 90 degrees, or save it with its axes exchanged"
        if picture.info.orientation.exchanged:
            repair = (
                "the mask was drawn on the picture before its EXIF rotation: rotate the mask as the picture is "
                "shown, or remove the picture's EXIF orientation"
            )
    findings.add(
        "error",
        "size-mismatch",
        f"the picture is {size_text(picture_size)} and its mask {size_text(mask_size)} (rows x columns)",
        "a picture and a mask of one size",
        repair,
    )
