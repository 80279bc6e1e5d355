"""One look at a whole folder: every file is read once, and everything wrong is told at once."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from unpool.class_table import IGNORE_ID, ClassTable, MaskKind
from unpool.data.samples import Pair
from unpool.dataset.checks.pair import Inspection, inspect_pair
from unpool.dataset.checks.rare_values import rare_value_findings
from unpool.dataset.checks.unusable_masks import (
    common_values,
    joined,
    looks_numbered,
    numbers_objects,
    smeared,
    smeared_objects,
)
from unpool.dataset.checks.whole_set import whole_set_findings
from unpool.dataset.findings import SEVERITIES, Finding, from_error
from unpool.dataset.mask_values.class_names import ClassNames, names_by_hand, names_in_folder
from unpool.dataset.mask_values.given_values import Ignored, ignored_values, stated_values
from unpool.dataset.mask_values.palettes import clashing, colours_agree, permuted
from unpool.dataset.mask_values.table import TableChoice, choose_kind, instance_table, make_table
from unpool.dataset.mask_values.tally import MaskTally
from unpool.dataset.pairing.folder import Folder, find_pairs
from unpool.dataset.split import Split, make_split
from unpool.dataset.survey_result import PictureFacts, Survey
from unpool.dataset.survey_text import describe
from unpool.errors import DataError
from unpool.io.read.masks import read_mask, value_among_colours

__all__ = ["Finding", "MaskForm", "PictureFacts", "Survey", "describe", "survey", "survey_steps"]

MaskForm: TypeAlias = Literal["auto", "values", "colours", "instances"]
READERS = 2


def survey(
    root: Path,
    *,
    masks: MaskForm = "auto",
    classes: Sequence[str] = (),
    ignore: Ignored | None = None,
    seed: int = 0,
    val_share: float = 0.2,
    table: ClassTable | None = None,
) -> Survey:
    """Look at a folder of pictures and masks.

    Parameters
    ----------
    masks: what a mask pixel is; ``auto`` finds out, and refuses what could be object numbers.
    classes: names by hand: ``name``, ``value=name`` or ``#rrggbb=name``; else a class file in the folder counts.
    ignore: mask values that count nowhere, colours as ``#rrggbb``; None lets the values decide.
    seed, val_share: of the split, see ``make_split``.
    table: read the masks by this table, as when a model is tested; then no split is made, and pictures that the
        folder puts in none are all test pictures.

    Returns
    -------
    The survey; what is wrong with single files is among its findings.

    Raises
    ------
    DataError: there are no pairs, or no table can be made of the masks.
    UsageError: ``classes`` or ``ignore`` cannot be understood.
    """
    steps = survey_steps(root, masks=masks, classes=classes, ignore=ignore, seed=seed, val_share=val_share, table=table)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Survey = end.value
            return found


def survey_steps(
    root: Path,
    *,
    masks: MaskForm = "auto",
    classes: Sequence[str] = (),
    ignore: Ignored | None = None,
    seed: int = 0,
    val_share: float = 0.2,
    table: ClassTable | None = None,
) -> Generator[tuple[int, int], None, Survey]:
    """``survey`` in steps: yields (pairs read, all pairs) and returns the survey."""
    begun = time.perf_counter()
    testing = table is not None
    form = table.kind if table else masks
    names = names_by_hand(classes) if classes else None
    folder = find_pairs(root, instances=form == "instances")
    if table is None and names is None:
        names = names_in_folder(folder.root)
    pairs = folder.pairs
    inspections: list[Inspection] = []
    for inspection in _inspected(pairs, "instances" if form == "instances" else None):
        inspections.append(inspection)
        yield len(inspections), len(pairs)
    findings = [finding for inspection in inspections for finding in inspection.findings]
    tallies = {i.name: i.tally for i in inspections if i.tally is not None}
    if table is None:
        try:
            scan, unsound = _table(folder, tallies, masks, names, ignore)
        except DataError as error:
            raise _beside(error, findings) from error
        table, findings = scan.table, [*findings, *scan.findings]
    else:
        unsound = _unsound_for(table, tallies.values())
    findings += unsound
    left_out = _files([finding for finding in unsound if finding.code == "smeared-mask"])
    tallies = {name: tally for name, tally in tallies.items() if name not in left_out}
    facts, unknown = _all_facts(inspections, tallies, table)
    split, split_findings = (_given_split(folder, seed), []) if testing else _split(folder, seed, val_share)
    findings = joined([*findings, *unknown])
    result = Survey(
        folder=folder,
        table=table,
        split=split,
        pictures=facts,
        channels=_channels(facts),
        findings=(),
        seconds=time.perf_counter() - begun,
        fingerprint=_fingerprint(inspections),
    )
    findings += [*split_findings, *whole_set_findings(result, inspections, testing, testing or names is not None)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return replace(result, findings=tuple(findings), seconds=time.perf_counter() - begun)


def _inspected(pairs: Sequence[Pair], kind: MaskKind | None) -> Iterator[Inspection]:
    """Inspections in the order of pairs, a few read ahead."""
    waiting: deque[Future[Inspection]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        for pair in pairs:
            waiting.append(pool.submit(inspect_pair, pair, kind))
            if len(waiting) > 2 * READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _table(
    folder: Folder,
    tallies: Mapping[str, MaskTally],
    masks: MaskForm,
    names: ClassNames | None,
    ignore: Ignored | None,
) -> tuple[TableChoice, list[Finding]]:
    """The class table, with findings for the masks that do not fit the others."""
    if masks == "instances":
        scan = instance_table(names, ignore)
        return scan, _unsound_for(scan.table, tallies.values())
    if masks == "auto":
        _refuse_object_numbers(folder, list(tallies.values()))
    common = common_values(tallies.values())
    unsound = [finding for tally in tallies.values() if (finding := smeared(tally, common))]
    sound = [tally for name, tally in tallies.items() if name not in _files(unsound)]
    kind = choose_kind(sound, masks)
    clash = clashing(sound) if masks == "auto" and kind == "values" else None
    if clash and colours_agree(sound):
        kind, clash = "colours", None
    fitting = [same for tally in sound if (same := tally.as_kind(kind))]
    stated = {*stated_values(names, kind, fitting), *ignored_values(ignore, kind, fitting)}
    unsound += rare_value_findings(fitting, stated)
    usable = [tally for tally in fitting if tally.name not in _files(unsound)]
    if not usable:
        first = next(iter(unsound), None)
        raise DataError(
            first.found if first else f"{folder.root}: no mask can be read as {kind}",
            first.expected if first else "masks in one form",
            first.repair if first else "correct the masks",
        )
    camvid = all(pair.mask.parent.name.endswith("annot") for pair in folder.pairs)
    return make_table(usable, kind, names, ignore, camvid), [*unsound, *([clash] if clash else [])]


def _unsound_for(table: ClassTable, tallies: Iterable[MaskTally]) -> list[Finding]:
    """Findings of masks that are read by a table made without them."""
    look = smeared_objects if table.kind == "instances" else partial(permuted, table=table)
    return [finding for tally in tallies if (finding := look(tally))]


def _beside(error: DataError, findings: Sequence[Finding]) -> DataError:
    """The error of a set for which no table can be made, with what is wrong with single files."""
    wrong = [finding for finding in findings if finding.severity == "error"]
    if not wrong:
        return error
    count = "1 pair cannot" if len(wrong) == 1 else f"{len(wrong)} pairs cannot"
    shown = "; ".join(finding.found for finding in wrong[:3]) + ("; …" if len(wrong) > 3 else "")
    return DataError(f"{error.found}\n  besides, {count} be read: {shown}", error.expected, error.repair)


def _refuse_object_numbers(folder: Folder, tallies: Sequence[MaskTally]) -> None:
    suspects = looks_numbered(tallies)
    masks = {pair.name: pair.mask for pair in folder.pairs}
    if suspects and all(numbers_objects(read_mask(masks[name])) for name in suspects):
        top = max(max(tally.counts) for tally in tallies)
        raise DataError(
            f"{masks[suspects[0]]} and others number objects: values run to {top}, each is one connected region",
            "masks whose values mean classes",
            "use --masks instances (0 background, every other number an object), or --masks values if they are classes",
        )


def _files(findings: Sequence[Finding]) -> set[str]:
    return {name for finding in findings for name in finding.files}


def _all_facts(
    inspections: Sequence[Inspection], tallies: Mapping[str, MaskTally], table: ClassTable
) -> tuple[dict[str, PictureFacts], list[Finding]]:
    facts: dict[str, PictureFacts] = {}
    findings: list[Finding] = []
    for inspection in inspections:
        tally = tallies.get(inspection.name)
        if tally is None:
            continue
        unknown = _unfit(tally, table)
        findings += [unknown] if unknown else []
        if not unknown and not any(finding.severity == "error" for finding in inspection.findings):
            facts[inspection.name] = _facts(inspection, tally, table)
    return facts, findings


def _unfit(tally: MaskTally, table: ClassTable) -> Finding | None:
    """The error of a mask that the table cannot read; None where it can."""
    same = tally.as_kind(table.kind)
    try:
        if same is None and not tally.colour:
            raise value_among_colours(tally.name, max(tally.counts))
        table.check_form(tally.colour if same is None else same.colour, tally.name)
    except DataError as error:
        return from_error(error, "mask-form", tally.name)
    try:
        table.check_values(same.counts if same else (), tally.name)
    except DataError as error:
        return from_error(error, "unknown-value", tally.name)
    return None


def _facts(inspection: Inspection, tally: MaskTally, table: ClassTable) -> PictureFacts:
    info = inspection.image
    same = tally.as_kind(table.kind)
    assert info is not None
    assert same is not None
    lookup = table.lookup()
    counts = dict.fromkeys([*range(len(table)), IGNORE_ID], 0)
    for value, pixels in same.counts.items():
        counts[lookup.get(value, 1)] += pixels
    ignored = counts.pop(IGNORE_ID)
    objects = sum(lookup.get(value, 1) == 1 for value in same.counts) if table.kind == "instances" else None
    return PictureFacts(
        name=inspection.name,
        rows=info.rows,
        columns=info.columns,
        channels=info.channels,
        dtype=info.dtype,
        form=info.form,
        class_pixels=tuple(counts.values()),
        ignored_pixels=ignored,
        objects=objects,
        digest=inspection.pixels_digest,
    )


def _split(folder: Folder, seed: int, val_share: float) -> tuple[Split, list[Finding]]:
    try:
        return make_split(folder, seed, val_share), []
    except DataError as error:
        return _given_split(folder, seed), [from_error(error, "no-split")]


def _given_split(folder: Folder, seed: int) -> Split:
    """The folder's own splits; pictures in none are test pictures."""
    parts = {
        part: tuple(p.name for p in folder.pairs if (p.split or "test") == part) for part in ("train", "val", "test")
    }
    return Split(parts["train"], parts["val"], parts["test"], "as the folder gives it, the rest for testing", seed)


def _channels(facts: Mapping[str, PictureFacts]) -> int:
    found = {fact.channels for fact in facts.values()}
    return max(found, default=1)


def _fingerprint(inspections: Sequence[Inspection]) -> str:
    whole = hashlib.sha256()
    for inspection in inspections:
        whole.update(f"{inspection.name}\0{inspection.digest}\n".encode())
    return whole.hexdigest()
