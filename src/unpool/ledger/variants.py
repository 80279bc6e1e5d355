"""Changes against scores: a table with a row for each variant, which is all trainings of the same settings."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, stdev
from typing import Any, NamedTuple

from unpool.ledger.changes import (
    SEED_SETTING,
    assignments_text,
    changed_settings,
    in_order,
    setting,
    setting_text,
    short_name,
)
from unpool.ledger.folders import FoundRun
from unpool.ledger.lineage import Lineage, PicturesTested, pictures_tested, standing
from unpool.wording import DASH, PAGE_WIDTH, count_text, on_one_line


class MeanScore(NamedTuple):
    """The mean of a score over trainings, its standard deviation (None for one training), and their number."""

    mean: float
    deviation: float | None
    trainings: int

    @property
    def text(self) -> str:
        """The mean with three decimals, and the deviation: ``0.812 ± 0.011``."""
        return f"{self.mean:.3f}" + ("" if self.deviation is None else f" ± {self.deviation:.3f}")


@dataclass(frozen=True)
class VariantRow:
    """The trainings of the same settings on the same data: of each seed the newest of the tested ones, or of all.

    Attributes
    ----------
    values: values of the settings in which variants differ, in the order of the table's settings.
    ids: of the trainings, as short as they can be named.
    val, test: mean IoU; ``test`` of those trainings whose model has a test as the table names it.
    """

    data: str
    values: tuple[Any, ...]
    ids: tuple[str, ...]
    val: MeanScore
    test: MeanScore | None


@dataclass(frozen=True)
class VariantTable:
    """Variants, the highest mean validation score first.

    Attributes
    ----------
    settings: full names of the settings in which variants differ; ``net`` is one of them.
    shared: settings that differ from the defaults in the same way in all variants.
    tested_on: the test whose scores are shown: the one that most trainings have; None where there is none.
    other_pictures: whether trainings on the same data have different validation pictures.
    left_out: number of trainings that are not finished or have no score.
    """

    settings: tuple[str, ...]
    variants: tuple[VariantRow, ...]
    shared: dict[str, Any]
    tested_on: PicturesTested | None
    other_pictures: bool
    left_out: int

    @property
    def text(self) -> str:
        """The table as Markdown, and below it how to read it."""
        if not self.variants:
            return "no finished training with a score"
        rows = [self._head(), *map(self._cells, self.variants)]
        kept = [k for k in range(len(rows[0])) if k > 0 or len({row[0] for row in rows[1:]}) > 1]
        return "\n\n".join([_markdown([[row[k] for k in kept] for row in rows]), *map(_filled, self._remarks())])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "variants": [
                {
                    "data": each.data,
                    "settings": dict(zip(self.settings, each.values, strict=True)),
                    "runs": list(each.ids),
                    "val": each.val._asdict(),
                    "test": each.test._asdict() if each.test is not None else None,
                }
                for each in self.variants
            ],
            "shared": self.shared,
            "tested_on": self.tested_on._asdict() if self.tested_on is not None else None,
            "other_pictures": self.other_pictures,
            "left_out": self.left_out,
        }

    def _head(self) -> list[str]:
        return ["data", *map(short_name, self.settings), "seeds", "val mIoU", "test mIoU", "runs"]

    def _cells(self, variant: VariantRow) -> list[str]:
        test = variant.test.text if variant.test is not None else DASH
        if variant.test is not None and variant.test.trainings < len(variant.ids):
            test += f" (of {variant.test.trainings})"
        values = map(setting_text, variant.values)
        return [variant.data, *values, str(len(variant.ids)), variant.val.text, test, " ".join(variant.ids)]

    def _remarks(self) -> Iterable[str]:
        if self.shared:
            yield f"The same in all: {assignments_text(self.shared)}."
        spread = (
            "±: standard deviation over seeds. "
            if any(each.val.deviation is not None for each in self.variants)
            else ""
        )
        test = f" test: {self.tested_on.text}." if self.tested_on is not None else ""
        yield f"{spread}Sorted by the validation score, by which a variant is chosen.{test}"
        if self.other_pictures:
            yield (
                "The trainings have different validation pictures, because other seeds draw other splits; their scores "
                "differ for that reason too. --set split_seed=0 draws the same ones for every seed."
            )
        if self.left_out:
            yield f"Left out: {count_text(self.left_out, 'training')} not finished or without a score."


def variant_table(runs: Sequence[FoundRun], lineage: Lineage) -> VariantTable:
    """Return the table of the trainings among some runs.

    Parameters
    ----------
    lineage: of all runs among which tests are searched.
    """
    trainings = [run for run in runs if run.record.kind == "train"]
    scored = [run for run in trainings if run.state == "finished" and run.record.mean_iou is not None]
    groups: dict[tuple[str, ...], dict[int | None, FoundRun]] = {}
    for run in sorted(scored, key=lambda run: (lineage.held_out(run) is not None, run.record.created)):
        groups.setdefault(_key(run), {})[run.record.seed] = run
    members = [sorted(group.values(), key=lambda run: run.record.created) for group in groups.values()]
    names = _differing([group[0] for group in members])
    test = _usual_test([run for group in members for run in group], lineage)
    variants = [_variant(group, names, test, lineage) for group in members]
    changed = [_changed(group[0]) for group in members]
    pictures = {(run.record.data.fingerprint, run.record.data.choice) for group in members for run in group}
    return VariantTable(
        settings=tuple(names),
        variants=tuple(sorted(variants, key=lambda each: each.val.mean, reverse=True)),
        shared={name: value for name, value in (changed[0] if changed else {}).items() if name not in names},
        tested_on=test,
        other_pictures=len(pictures) > len({fingerprint for fingerprint, _ in pictures}),
        left_out=len(trainings) - len(scored),
    )


def _variant(
    group: Sequence[FoundRun], names: Sequence[str], test: PicturesTested | None, lineage: Lineage
) -> VariantRow:
    record = group[0].record
    tests = [found.record.mean_iou for run in group if (found := _test_on(test, run, lineage)) is not None]
    return VariantRow(
        data=record.data.name,
        values=tuple(setting(record, name) for name in names),
        ids=tuple(map(lineage.name, group)),
        val=_mean([run.record.mean_iou for run in group if run.record.mean_iou is not None]),
        test=_mean(known) if (known := [score for score in tests if score is not None]) else None,
    )


def _mean(scores: Sequence[float]) -> MeanScore:
    return MeanScore(fmean(scores), stdev(scores) if len(scores) > 1 else None, len(scores))


def _key(run: FoundRun) -> tuple[str, ...]:
    changes = json.dumps(_changed(run), sort_keys=True)
    return run.record.data.fingerprint, run.record.net, changes


def _changed(run: FoundRun) -> dict[str, Any]:
    return {name: value for name, value in changed_settings(run.record).items() if name != SEED_SETTING}


def _differing(runs: Sequence[FoundRun]) -> list[str]:
    """Return the settings in which runs differ: of those that differ from the default in some run, and ``net``."""
    changed = [{"net": run.record.net, **_changed(run)} for run in runs]
    names = in_order(dict.fromkeys(name for each in changed for name in each))
    return [name for name in names if any(each.get(name, ...) != changed[0].get(name, ...) for each in changed)]


def _usual_test(runs: Sequence[FoundRun], lineage: Lineage) -> PicturesTested | None:
    """Return the test on held-out pictures that most trainings have; of equally frequent ones the newest."""
    counts: Counter[PicturesTested] = Counter()
    newest: dict[PicturesTested, datetime] = {}
    for run in runs:
        tests = [each for each in lineage.tests(run) if _is_held_out(each)]
        counts.update({pictures_tested(each.record) for each in tests})
        for each in tests:
            key = pictures_tested(each.record)
            newest[key] = max(newest.get(key, each.record.created), each.record.created)
    return max(counts, key=lambda key: (counts[key], newest[key]), default=None)


def _test_on(test: PicturesTested | None, run: FoundRun, lineage: Lineage) -> FoundRun | None:
    same = (each for each in lineage.tests(run) if _is_held_out(each) and pictures_tested(each.record) == test)
    return next(same, None)


def _is_held_out(test: FoundRun) -> bool:
    return test.state == "finished" and standing(test.record) == "test"


def _filled(text: str) -> str:
    return textwrap.fill(on_one_line(text), PAGE_WIDTH)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    cells = [[on_one_line(cell).replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)
