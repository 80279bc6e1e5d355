"""The variants of a study: each a name, settings that differ from the baseline, and why it is tried."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from unpool.config.assignments import nested_settings, section_and_name
from unpool.config.schema import RunConfig
from unpool.config.settings import merge, resolve
from unpool.errors import UsageError
from unpool.ledger.changes import assignments_text
from unpool.study.plan import LONGEST_NAME_OF_VARIANT, PlannedVariant, StudyPlan, combinations
from unpool.wording import shortened

BASELINE = "baseline"

FIXED = ("data", "stages", "recipe", "config_version", "licence")
"""Sections and keys that no variant can change, because they are the same for all."""

FIXED_KEYS = (
    "training.seed",
    "training.epochs",
    "training.minutes",
    "machine.device",
    "machine.memory_gb",
    "training.validate_every",
)
"""Settings that no variant can change, because the study sets them, or because they would make it unfair."""

DIVIDING = ("data.val_share", "data.test_share", "data.split_seed")
"""Settings that divide the pictures; the plan has keys of its own for them."""


class Variant(BaseModel):
    """A variant of a study; the first one is the baseline.

    Attributes
    ----------
    settings: nested as ``RunConfig``, without seed, budget and split.
    given: settings as the plan gives them, by their keys.
    changes: settings that differ from the baseline, by their keys.
    refused: why no training can have these settings; empty where one can.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    name: str
    settings: dict[str, Any]
    given: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    note: str = ""
    refused: str = ""

    @property
    def slug(self) -> str:
        """A name for its folders: the number, and those letters of the name that every file system takes."""
        return f"{self.number:02}-{folder_name(self.name) or 'variant'}"


def variants_of(plan: StudyPlan) -> tuple[Variant, ...]:
    """Return the baseline and every variant that a plan names; those of a search come later.

    A combination of a grid with the settings of another variant, such as the baseline's, is left out. A variant that no
    training can have keeps the reason.

    Raises
    ------
    UsageError: the baseline is refused, a variant changes what is the same for all, has an unknown key, or has a name
        of its own and the settings of another one.
    """
    base = merge({"net": plan.net}, nested_settings(plan.set))
    _require_variable(plan.set, "the settings of all variants", ("data", "machine"))
    _require_variable(plan.search.ranges if plan.search else {}, "the ranges of the search")
    known = {BASELINE: resolve(base, "the baseline")}
    variants = [Variant(number=0, name=BASELINE, settings=base, note=plan.note)]
    for planned in planned_variants(plan):
        variant, config = variant_of(len(variants), planned, base, known[BASELINE])
        same = next((name for name, each in known.items() if each == config), None)
        if same is None:
            if variant.name in [each.name for each in variants]:
                raise UsageError(
                    f"two variants are called {variant.name}",
                    "a name for each",
                    "give the one in the plan another name",
                )
            variants.append(variant)
            known |= {variant.name: config} if config is not None else {}
        elif planned in plan.variant:
            raise UsageError(
                f"the variant {planned.name} has the settings of {same}",
                "variants that differ from each other and from the baseline",
                "leave it out, or change other settings",
            )
    return tuple(variants)


def planned_variants(plan: StudyPlan) -> list[PlannedVariant]:
    """Return the variants by name, then those of the grid, each named after what it changes."""
    grid = combinations(plan.vary) if plan.search is None else []
    return [*plan.variant, *(PlannedVariant(name=name_after(each), set=each) for each in grid)]


def variant_of(
    number: int, planned: PlannedVariant, base: Mapping[str, Any], usual: RunConfig
) -> tuple[Variant, RunConfig | None]:
    """Return a variant, and its configuration; None where no training can have these settings.

    Parameters
    ----------
    base, usual: settings of the baseline, nested, and its configuration.

    Raises
    ------
    UsageError: it has an unknown key, or changes what is the same for all variants.
    """
    _require_variable(planned.set, f"the variant {planned.name}")
    nested = nested_settings(planned.set)
    settings, refused, config = merge(base, nested), "", None
    try:
        config = resolve(settings, planned.name)
    except UsageError as error:
        refused = f"{error.found}; {error.repair}"
    changes = {key: value for key, value in planned.set.items() if config is None or _differs(key, config, usual)}
    name = planned.name if planned.name != name_after(planned.set) or not changes else name_after(changes)
    return Variant(
        number=number,
        name=name,
        settings=settings,
        given=planned.set,
        changes=changes,
        note=planned.note,
        refused=refused,
    ), config


def folder_name(name: str) -> str:
    """Return those letters of a name that every file system takes, at most 60."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:60].rstrip("-.")


def name_after(changes: Mapping[str, Any]) -> str:
    """Return the name of a variant that has none of its own: ``skip=add up=bilinear``."""
    return shortened(assignments_text(changes), LONGEST_NAME_OF_VARIANT)


def _differs(key: str, config: RunConfig, usual: RunConfig) -> bool:
    section, name = section_and_name(key)
    mine, its = (each if section is None else getattr(each, section) for each in (config, usual))
    return bool(getattr(mine, name, None) != getattr(its, name, None))


def _require_variable(values: Mapping[str, Any], whose: str, allowed: Sequence[str] = ()) -> None:
    for key in values:
        section, name = section_and_name(key)
        full = name if section is None else f"{section}.{name}"
        if full in DIVIDING or ((full in FIXED_KEYS or (section or name) in FIXED) and section not in allowed):
            raise UsageError(
                f"{whose} change {full}",
                "settings that can differ between fair trainings",
                "leave it out; options of their own set what is the same for all: --val-share, --seeds, --minutes",
            )
