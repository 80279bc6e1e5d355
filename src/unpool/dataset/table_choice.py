"""The class table of a folder: chosen by all usable masks, or given by a model."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from unpool.class_table import ClassTable, MaskKind
from unpool.dataset.checks.class_meaning import class_meaning, missing_background
from unpool.dataset.checks.inverted_masks import inverted_masks, shown_white
from unpool.dataset.checks.object_numbers import (
    equally_many_regions,
    numbers_of_several_regions,
    refuse_object_numbers,
)
from unpool.dataset.checks.rare_values import rare_value_findings
from unpool.dataset.checks.smeared_masks import (
    common_values,
    ranges_or_nearest,
    smeared,
    smeared_objects,
    with_way_in,
)
from unpool.dataset.checks.smoothed_ids import smoothed_ids
from unpool.dataset.checks.two_ways import two_ways_findings
from unpool.dataset.findings import Finding, files_of, joined
from unpool.dataset.mask_values.class_names import ClassNames
from unpool.dataset.mask_values.given_values import ignored_ranges, ignored_values, stated_values
from unpool.dataset.mask_values.known_sets import counted_as_the_masks
from unpool.dataset.mask_values.model_names import table_by_names
from unpool.dataset.mask_values.new_table import (
    choose_kind,
    instance_table,
    make_table,
    names_notes,
    with_display_colours,
)
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.mask_values.palettes import colours_agree, exchanged_colours, palette_conflict
from unpool.dataset.mask_values.readings import reading_findings, settled_table, unnamed_values
from unpool.dataset.mask_values.tally import MaskTally
from unpool.dataset.pairing.folder import Folder
from unpool.errors import DataError
from unpool.wording import command_text, count_text, first_of


class TableChoice(NamedTuple):
    """The class table of a folder.

    Attributes
    ----------
    findings: findings about the table.
    mask_findings: errors and warnings of masks that differ from the others or from the table.
    left_out: names of the masks that are not read by the table; it was made without them.
    """

    table: ClassTable
    findings: tuple[Finding, ...]
    mask_findings: tuple[Finding, ...]
    left_out: frozenset[str]


def choose_table(
    folder: Folder,
    tallies: Mapping[str, MaskTally],
    options: MaskOptions,
    names: ClassNames | None,
    reading: ClassTable | None = None,
) -> TableChoice:
    """Choose the class table of a folder, and find the masks that do not fit the others.

    Parameters
    ----------
    tallies: of every mask that can be read, by pair name.
    names: the class names that a person or a file gives.
    reading: the table of ranges or of nearest values by which the tallies were made; None without one.

    Raises
    ------
    DataError: the masks hold object numbers or too many values, or no mask is usable.
    UsageError: the ignored values do not fit the masks.
    """
    every = list(tallies.values())
    if reading is not None:
        return _read_choice(reading, every, names)
    if options.snap:
        raise unnamed_values(every, names)
    if options.kind == "instances":
        choice = given_table(instance_table(names, options.ignore).table, every)
        several = numbers_of_several_regions(folder.pairs, every)
        return choice._replace(mask_findings=(*choice.mask_findings, *several))
    plain = [(tally.as_kind("values") if tally.grey else None) or tally for tally in every]
    if names:
        names = counted_as_the_masks(names, {value for tally in plain if not tally.colour for value in tally.counts})
    own = {coloured: stated_values(names, "colours" if coloured else "values", plain) for coloured in (True, False)}
    own[False] |= {*ignored_values(options.ignore, "values", plain)} if ignored_ranges(options.ignore) else set()
    if options.kind == "auto" and not all(own[tally.colour].issuperset(tally.counts) for tally in plain):
        refuse_object_numbers(folder.pairs, every)
    common = common_values(plain)
    wrong = [finding for tally in plain if (finding := smeared(tally, common, own[tally.colour]))]
    exact = [tally for tally in plain if tally.name not in files_of(wrong)]
    kind = choose_kind(exact or plain, options.kind)
    conflict = palette_conflict(exact) if options.kind == "auto" and kind == "values" else None
    if conflict and colours_agree(exact):
        kind, conflict = "colours", None
    fitting = [converted for tally in exact if (converted := tally.as_kind(kind))]
    stated = {*stated_values(names, kind, fitting), *ignored_values(options.ignore, kind, fitting)}
    wrong += rare_value_findings(fitting, stated)
    usable = [tally for tally in fitting if tally.name not in files_of(wrong)]
    ways = two_ways_findings(usable, kind, stated)
    wrong += [way for way in ways if way.severity == "error"]
    usable = [tally for tally in fitting if tally.name not in files_of(wrong)]
    if not usable:
        raise _not_usable(with_way_in(wrong, ranges_or_nearest(every, names)), folder, kind)
    camvid = all(pair.mask.parent.name.endswith("annot") for pair in folder.pairs)
    made = make_table(usable, kind, names, options.ignore, camvid)
    warnings = [way for way in ways if way.severity != "error"]
    warnings += smoothed_ids(usable) if kind == "values" else []
    if names is None and not made.known:
        warnings += [*class_meaning(made.table, usable), *shown_white(usable, made.table)]
        if options.kind == "auto":
            warnings += equally_many_regions(folder.pairs, usable, made.table)
    elif names is not None and made.by_order and not names.by_hand:
        warnings += missing_background(made.table, usable)
    wrong = with_way_in(wrong, ranges_or_nearest(every, names, made.table) if wrong else "")
    findings = (*wrong, *warnings, *([conflict] if conflict else []))
    return TableChoice(made.table, made.findings, findings, frozenset(files_of(wrong)))


def _read_choice(reading: ClassTable, tallies: Sequence[MaskTally], names: ClassNames | None) -> TableChoice:
    """Return the choice of a table of ranges or of nearest values, by which the masks were counted."""
    table = with_display_colours(settled_table(reading, tallies), tallies, names)
    notes = names_notes(names, by_order=False) if names else []
    return TableChoice(table, (*notes, *reading_findings(table, tallies)), (), frozenset())


def _not_usable(wrong: Sequence[Finding], folder: Folder, kind: MaskKind) -> DataError:
    """Return the error of a folder in which every mask can be read and none is usable."""
    if wrong:
        first = joined(wrong)[0]
        return DataError(first.found, first.expected, first.repair)
    other = "values" if kind == "colours" else "colours"
    return DataError(
        f"{folder.root}: no mask can be read as {kind}; the masks hold {other}",
        f"masks of {kind}, or --masks {other}",
        f"use --masks {other}, or leave --masks out",
    )


def given_table(table: ClassTable, tallies: Iterable[MaskTally], names: ClassNames | None = None) -> TableChoice:
    """Return the choice of a table that was made without these masks, with the masks that do not fit it.

    Parameters
    ----------
    names: of the classes in the folder's file, by which the table's classes get other mask values.

    Raises
    ------
    DataError: the masks have a class with a name that the table lacks.
    """
    tallies = list(tallies)
    table, findings = (table, ()) if names is None else table_by_names(table, names, tallies)
    check = smeared_objects if table.kind == "instances" else partial(exchanged_colours, table=table)
    of_masks = [finding for tally in tallies if (finding := check(tally))]
    of_masks += inverted_masks(tallies, table.kind, frozenset())
    errors = [finding for finding in of_masks if finding.severity == "error"]
    findings = (*findings, *reading_findings(table, tallies))
    return TableChoice(table, findings, tuple(of_masks), frozenset(files_of(errors)))


def no_mask(folder: Folder, findings: Sequence[Finding]) -> DataError:
    """Return the error of a folder in which no mask can be read: the fault of the masks, with its own repair.

    A line that repairs the files of one mask's folder then names the folder around the masks of all.
    """
    faults = [finding for finding in findings if finding.code == "broken-mask"]
    repair, _ = Counter(fault.repair for fault in faults).most_common(1)[0]
    fault = next(fault for fault in faults if fault.repair == repair)
    more = f"; and {count_text(len(faults) - 1, 'more mask')}" if len(faults) > 1 else ""
    folders = {pair.mask.parent for pair in folder.pairs if pair.mask.is_relative_to(folder.root)}
    own = next((text for text in map(command_text, ([place] for place in folders)) if f" {text}" in repair), None)
    if own and len(folders) > 1:
        repair = repair.replace(f" {own}", f" {command_text([os.path.commonpath(folders)])}")
    return DataError(f"no mask can be read: {fault.found}{more}", fault.expected, repair)


def with_broken_pairs(error: DataError, findings: Sequence[Finding]) -> DataError:
    """Return the error of a folder without a table, with the errors of single pairs added to its first part."""
    wrong = [finding for finding in findings if finding.severity == "error"]
    if not wrong:
        return error
    pairs = f"{count_text(len(wrong), 'pair')} cannot be used: {first_of([f.found for f in wrong], 3, '; ')}"
    return DataError(f"{error.found}\n  also, {pairs}", error.expected, error.repair)
