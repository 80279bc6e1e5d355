"""The survey of a folder: every file is read once, and everything that is wrong is reported together."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unpool.class_table import IGNORE_ID, ClassTable, MaskKind, unflatten_value
from unpool.data.samples import Pair
from unpool.dataset.checks.dummy_masks import dummy_masks
from unpool.dataset.checks.one_pair import Inspection, inspect_pair
from unpool.dataset.checks.whole_set import whole_set_findings
from unpool.dataset.findings import SEVERITIES, Finding, from_error, joined
from unpool.dataset.mask_values.class_names import (
    ClassNames,
    names_by_hand,
    names_in_folder,
    unread_class_files,
)
from unpool.dataset.mask_values.known_sets import has_colours, known_set
from unpool.dataset.mask_values.model_names import WITHOUT_FILE, unknown_value_repair
from unpool.dataset.mask_values.new_table import unnamed_value_repair
from unpool.dataset.mask_values.options import BY_THE_MASKS, MaskOptions
from unpool.dataset.mask_values.readings import greys_as_colours, stated_table
from unpool.dataset.mask_values.stored_form import form_of_masks
from unpool.dataset.mask_values.tally import MaskTally
from unpool.dataset.outlines.class_values import renamed_classes
from unpool.dataset.pairing.folder import Folder
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.picture_facts import PictureFacts, picture_facts
from unpool.dataset.split import USUAL_SHARES, Split, SplitShares, folder_split, make_split
from unpool.dataset.survey_result import Survey
from unpool.dataset.table_choice import choose_table, given_table, no_mask, with_broken_pairs
from unpool.errors import DataError
from unpool.generators import result_of
from unpool.read_ahead import read_ahead

READERS = 2
"""Threads that read pairs."""


def survey(
    root: Path,
    options: MaskOptions = BY_THE_MASKS,
    *,
    seed: int = 0,
    shares: SplitShares = USUAL_SHARES,
    table: ClassTable | None = None,
    settled: str | None = None,
) -> Survey:
    """Survey a folder of pictures and masks.

    Parameters
    ----------
    seed, shares: of the split, see ``unpool.dataset.split.make_split``.
    table: the class table by which the masks are read, as when a model is tested. No split is made then: pairs in
        none of the folder's own parts are test pairs. None chooses a table by the masks.
    settled: digest of the class file that lay beside the masks from which ``table`` was made. The same file is not
        compared with it again, because a person may have given other names then.

    Returns
    -------
    The survey; errors in single files are among its findings.

    Raises
    ------
    DataError: there are no pairs, or no class table can be made from the masks.
    UsageError: the classes or the ignored values of ``options`` cannot be read, or do not fit the masks.
    """
    steps = survey_steps(root, options, seed=seed, shares=shares, table=table, settled=settled)
    return result_of(steps)


def survey_steps(
    root: Path,
    options: MaskOptions = BY_THE_MASKS,
    *,
    seed: int = 0,
    shares: SplitShares = USUAL_SHARES,
    table: ClassTable | None = None,
    settled: str | None = None,
) -> Generator[tuple[int, int], None, Survey]:
    """Yield (pairs read, all pairs) after each pair, and return the survey, see ``unpool.dataset.survey.survey``."""
    begun = time.perf_counter()
    testing = table is not None
    kind = options.kind if table is None else table.kind
    names = names_by_hand(options.classes) if options.classes else None
    folder = find_pairs(root, instances=kind == "instances", regions=kind in ("values", "colours"))
    if folder.objects:
        options, kind = replace(options, kind="instances"), "instances"
    in_folder = folder.names or _names_in_folder(folder, names, testing)
    if folder.names:
        names, options = _of_outlines(folder.names, names, options)
    names = names or in_folder
    if table is None and options.ignore is None and kind in ("auto", "values"):
        names = names or known_set(folder.pairs)
    reading = _reading(folder, names, options) if table is None else table if table.approximate else None
    form: MaskKind | None = reading.kind if reading else "instances" if kind == "instances" else None
    inspections: list[Inspection] = []
    for inspection in _inspected(folder.pairs, form, reading):
        inspections.append(inspection)
        yield len(inspections), len(folder.pairs)
    findings = [finding for inspection in inspections for finding in inspection.findings]
    tallies = {i.name: i.tally for i in inspections if i.tally is not None}
    if not tallies and table is None:
        raise no_mask(folder, findings)
    try:
        choice = (
            choose_table(folder, tallies, options, names, reading)
            if table is None
            else given_table(table, tallies.values(), None if in_folder and in_folder.digest == settled else in_folder)
        )
    except DataError as error:
        raise with_broken_pairs(error, findings) from error
    usable = {name: tally for name, tally in tallies.items() if name not in choice.left_out}
    if not testing:
        choice = choice._replace(table=replace(choice.table, form=form_of_masks(list(usable.values()), choice.table)))
    facts, unreadable = picture_facts(inspections, usable, choice.table)
    unread = unread_class_files(folder.root, folder.others, names)
    unreadable = [_with_repair(finding, usable, choice.table, in_folder, testing) for finding in unreadable]
    if dummies := dummy_masks(folder, facts):
        folder = replace(folder, pairs=tuple(pair for pair in folder.pairs if pair.name not in dummies.files))
        facts = {name: fact for name, fact in facts.items() if name not in dummies.files}
        unread = [*unread, dummies]
    findings = joined([*folder.findings, *unread, *findings, *choice.findings, *choice.mask_findings, *unreadable])
    split, split_findings = (folder_split(folder, seed), []) if testing else _split(folder, seed, shares)
    result = Survey(
        folder=folder,
        table=choice.table,
        split=split,
        pictures=facts,
        channels=_channels(facts),
        findings=tuple(findings),
        seconds=time.perf_counter() - begun,
        fingerprint=_fingerprint(inspections),
        class_file=in_folder.digest if in_folder else None,
    )
    findings += [*split_findings, *whole_set_findings(result, inspections, testing, testing or names is not None)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return replace(result, findings=tuple(findings), seconds=time.perf_counter() - begun)


def _of_outlines(drawn: ClassNames, by_hand: ClassNames | None, options: MaskOptions) -> tuple[ClassNames, MaskOptions]:
    """Return the names of masks that are drawn from outlines, and options that take their values as classes."""
    kind = "values" if options.kind == "auto" else options.kind
    ignore = options.ignore if drawn.ignore is None or options.ignore is not None else drawn.ignore
    names = renamed_classes(by_hand, drawn) if by_hand else drawn
    return names, replace(options, kind=kind, ignore=ignore)


def _names_in_folder(folder: Folder, by_hand: ClassNames | None, testing: bool) -> ClassNames | None:
    """Return the classes of the mask files' names, or read the folder's class file.

    A broken one counts as none where a person names the classes by hand.
    """
    if folder.classes:
        return replace(names_by_hand(folder.classes), source="the names of the mask files")
    try:
        otherwise = WITHOUT_FILE if testing else "name the classes with --classes"
        return names_in_folder(folder.root, folder.others, otherwise)
    except DataError:
        if by_hand is None:
            raise
        return None


def _reading(folder: Folder, names: ClassNames | None, options: MaskOptions) -> ClassTable | None:
    """Return the table of ranges or of nearest values by which the masks are read; None without one."""
    coloured = options.snap and any(has_colours(pair.mask) for pair in folder.pairs[:3])
    return stated_table(names, options, coloured)


def _with_repair(
    finding: Finding, tallies: Mapping[str, MaskTally], table: ClassTable, names: ClassNames | None, testing: bool
) -> Finding:
    """Return the error of a mask that the table cannot read, with a repair that names the values."""
    if finding.code == "mask-form" and any(each.class_id != IGNORE_ID for each in table.ranges) and not testing:
        return replace(finding, repair=f"name colours in place of greys: {greys_as_colours(table)}")
    if finding.code != "unknown-value":
        return finding
    readable = [each for tally in tallies.values() if (each := tally.as_kind(table.kind))]
    values = {value for tally in readable for value in tally.counts}
    unknown = sorted(values - table.ids_of(values).keys())
    if testing:
        return replace(finding, repair=unknown_value_repair(table, unknown, names.source if names else None))
    repair = unnamed_value_repair(table, [unflatten_value(value, table.kind) for value in unknown])
    return replace(finding, repair=f"correct the mask; {repair}")


def _inspected(pairs: Sequence[Pair], kind: MaskKind | None, reading: ClassTable | None) -> Iterator[Inspection]:
    """Yield the inspection of each pair, in order, while threads read the next pairs."""
    return read_ahead(lambda pair: inspect_pair(pair, kind, reading), pairs, ahead=2 * READERS, threads=READERS)


def _split(folder: Folder, seed: int, shares: SplitShares) -> tuple[Split, list[Finding]]:
    try:
        return make_split(folder, seed, shares), []
    except DataError as error:
        return folder_split(folder, seed), [from_error(error, "no-split")]


def _channels(facts: Mapping[str, PictureFacts]) -> int:
    return max((fact.channels for fact in facts.values()), default=1)


def _fingerprint(inspections: Sequence[Inspection]) -> str:
    digest = hashlib.sha256()
    for inspection in inspections:
        digest.update(f"{inspection.name}\0{inspection.digest}\n".encode())
    return digest.hexdigest()
