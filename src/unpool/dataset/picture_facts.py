"""Facts of each usable pair: size, pixel type and the pixels of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unpool.appearance.picture import Appearance
from unpool.class_table import IGNORE_ID, ClassTable
from unpool.dataset.checks.one_pair import Inspection
from unpool.dataset.findings import Finding, from_error
from unpool.dataset.mask_values.tally import MaskTally
from unpool.errors import DataError
from unpool.io.read.masks import value_among_colours


@dataclass(frozen=True)
class PictureFacts:
    """Facts of one usable pair.

    Attributes
    ----------
    rows, columns, channels, dtype, form: of the picture as ``unpool.io.read.images.read_image`` returns it.
    class_pixels: pixels of each of the K classes; ``ignored_pixels`` are not among them.
    objects: number of objects in a mask of object numbers; None for other masks.
    digest: sha256 of the decoded picture, in hex; equal for equal pixels.
    appearance: the picture's values and colour.
    """

    name: str
    rows: int
    columns: int
    channels: int
    dtype: str
    form: str
    class_pixels: tuple[int, ...]
    ignored_pixels: int
    objects: int | None
    digest: str
    appearance: Appearance


def picture_facts(
    inspections: Sequence[Inspection], tallies: Mapping[str, MaskTally], table: ClassTable
) -> tuple[dict[str, PictureFacts], list[Finding]]:
    """Return the facts of all usable pairs, and the errors of masks that the table cannot read.

    Parameters
    ----------
    tallies: of the masks to use; a pair without one has no facts.
    """
    facts: dict[str, PictureFacts] = {}
    findings: list[Finding] = []
    for inspection in inspections:
        tally = tallies.get(inspection.name)
        if tally is None:
            continue
        error = _table_error(tally, table)
        findings += [error] if error else []
        if not error and not any(finding.severity == "error" for finding in inspection.findings):
            facts[inspection.name] = _facts(inspection, tally, table)
    return facts, findings


def _table_error(tally: MaskTally, table: ClassTable) -> Finding | None:
    """Return the error of a mask that the table cannot read; None where it can."""
    readable = tally.as_kind(table.kind)
    try:
        if readable is None and not tally.colour:
            raise value_among_colours(tally.name, max(tally.counts))
        table.check_form(tally.colour if readable is None else readable.colour, tally.name)
    except DataError as error:
        return from_error(error, "mask-form", tally.name)
    try:
        table.check_values(readable.counts if readable else (), tally.name)
    except DataError as error:
        return from_error(error, "unknown-value", tally.name)
    return None


def _facts(inspection: Inspection, tally: MaskTally, table: ClassTable) -> PictureFacts:
    info = inspection.image
    readable = tally.as_kind(table.kind)
    assert info is not None
    assert inspection.appearance is not None
    assert readable is not None
    ids = table.ids_of(readable.counts)
    counts = dict.fromkeys([*range(len(table)), IGNORE_ID], 0)
    for value, pixels in readable.counts.items():
        counts[ids[value]] += pixels
    ignored = counts.pop(IGNORE_ID)
    objects = sum(k == 1 for k in ids.values()) if table.kind == "instances" else None
    return PictureFacts(
        name=inspection.name,
        rows=info.rows,
        columns=info.columns,
        channels=info.channels,
        dtype=info.dtype,
        form=info.form,
        class_pixels=tuple(counts.values()),
        ignored_pixels=ignored + readable.outside,
        objects=objects,
        digest=inspection.pixels_digest,
        appearance=inspection.appearance,
    )
