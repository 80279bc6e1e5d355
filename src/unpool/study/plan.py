"""The plan of a study: its baseline, variants, seeds and budget, from a TOML file or the command line."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from unpool.config.assignments import nested_settings, parse_assignments, value_of
from unpool.config.settings import merge
from unpool.config.shipped import read_own_or_shipped, shipped_file, shipped_names
from unpool.errors import UsageError
from unpool.wording import dotted_names, first_of, problem_text

MOST_VARIANTS = 200
"""The most variants of a grid; more than that are searched, not tried one by one."""

PLANS = "plans"
"""The folder of the package with the plans."""

Scalar = bool | int | float | str
SettingValue = Scalar | list[Any]
"""The value of a setting, as TOML and ``--set`` write it."""
LONGEST_NAME_OF_VARIANT = 200
"""The most letters of a name."""

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME_OF_VARIANT)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PlannedVariant(_Form):
    """A variant: its name, the settings that differ from the baseline, and why it is tried."""

    name: Name
    set: dict[str, SettingValue]
    note: str = ""


class Range(_Form):
    """The numbers from ``low`` to ``high``; ``log``: equal factors are equally likely; ``step``: whole steps only.

    Where ``low``, ``high`` and ``step`` are whole numbers, so are the values.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: Annotated[int | float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"a range from {self.low} to {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a logarithmic range begins above 0 and has no step")
        return self


class Search(_Form):
    """A search: the number of variants to try, and for each setting a list of values or a range."""

    attempts: Annotated[int, Field(ge=3, le=10_000)]
    ranges: Annotated[dict[str, Range | Annotated[list[SettingValue], Field(min_length=2)]], Field(min_length=1)]


class StudyPlan(_Form):
    """The plan of a study.

    Attributes
    ----------
    question: what the study asks.
    net, set: network and settings of the baseline; a variant has them too, apart from what it changes.
    note: why the baseline is the baseline.
    variant: variants by name.
    vary: values of settings; every combination of them is a variant.
    search: settings that are searched.
    minutes: time of all trainings together.
    epochs: epochs of a full training; None: as many as the minutes allow.
    equal: what is the same for all variants, the ``steps`` or the ``seconds`` of a training.
    seeds: seeds that every finalist gets; most_seeds: seeds that a finalist can get where the verdict needs them.
    first_seed: the first seed of the trainings.
    halving: whether half of the variants are given up after a part of the training, and again.
    val_share, test_share: shares of the pictures that choose, and that judge, where the folder has no such parts.
    split_seed: seed by which these pictures are drawn.
    """

    name: Name = "study"
    question: str = ""
    net: str = "unet"
    set: dict[str, SettingValue] = {}
    note: str = ""
    variant: tuple[PlannedVariant, ...] = ()
    vary: dict[str, Annotated[list[SettingValue], Field(min_length=2)]] = {}
    search: Search | None = None
    minutes: Annotated[float, Field(gt=0, le=1e6)] = 60.0
    epochs: Annotated[int, Field(ge=1, le=10**6)] | None = None
    equal: Literal["steps", "seconds"] = "steps"
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    most_seeds: Annotated[int, Field(ge=1, le=100)] = 6
    first_seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    halving: bool = True
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    split_seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [each.name for each in self.variant]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1 or name == "baseline"]
        if twice:
            raise ValueError(f"the name {twice[0]} twice; the baseline is called baseline")
        if not (self.variant or self.vary or self.search):
            raise ValueError("no variants: write [[variant]] tables, [vary] or [search]")
        if self.vary and self.search:
            raise ValueError("[vary] and [search] together: write the values into [search.ranges]")
        if self.epochs is not None and self.equal == "seconds":
            raise ValueError("epochs, and equal = 'seconds': leave out one of them")
        return self

    @property
    def data_settings(self) -> dict[str, Any]:
        """Settings by which the pictures are divided, nested; they are the same for all variants."""
        return {"data": {"val_share": self.val_share, "test_share": self.test_share, "split_seed": self.split_seed}}

    @property
    def seeds_at_most(self) -> int:
        """The most seeds of a finalist."""
        return max(self.seeds, self.most_seeds)


def shipped_plans() -> tuple[str, ...]:
    """Return the names of the plans that come with the package."""
    return shipped_names(PLANS)


def read_plan(plan: Path | str, changes: Mapping[str, Any]) -> StudyPlan:
    """Return the plan in a TOML file, or the plan of this name that comes with the package.

    Parameters
    ----------
    changes: what the command line says; it overrides the file.

    Raises
    ------
    UsageError: neither the file nor the plan exists, or the file is no plan.
    """
    written = read_own_or_shipped(plan, PLANS)
    merged = {"name": Path(plan).stem[:LONGEST_NAME_OF_VARIANT], **written, **changes}
    if isinstance(written.get("search"), dict) and "search" in changes:
        merged["search"] = {**written["search"], **changes["search"]}
    if isinstance(written.get("set"), dict):
        settings = merge(nested_settings(written["set"]), nested_settings(changes.get("set", {})))
        merged["set"] = dict(dotted_names(settings))
    return plan_of(merged, str(plan))


def plan_of(written: Mapping[str, Any], origin: str) -> StudyPlan:
    """Return the plan that plain data describes.

    Parameters
    ----------
    origin: where the data is from, for messages.

    Raises
    ------
    UsageError: an unknown key, a value out of its range, or no variants.
    """
    try:
        return StudyPlan.model_validate(dict(written))
    except ValidationError as error:
        known = ", ".join(StudyPlan.model_fields)
        raise UsageError(
            f"{origin}: {problem_text(error.errors()[0])}",
            f"the plan of a study, with keys among {known}",
            "correct the plan",
        ) from error


def plan_given(
    plan: str | None,
    given: Mapping[str, Any],
    assignments: Sequence[str],
    options: Mapping[str, Any],
    vary: Sequence[str],
    search: int | None,
) -> StudyPlan:
    """Return the plan that a command line describes.

    Parameters
    ----------
    plan: a file, or the name of a plan that comes with the package; None for a plan without either.
    given: keys of the plan; those that are None are not given.
    assignments: settings of the baseline as ``key=value``; options: further ones by their keys, None for not given.
    vary: settings with their values, as ``key=a,b,c`` or, in a search, ``key=low..high``.
    search: number of variants to try; None for all combinations.

    Raises
    ------
    UsageError: the plan cannot be read, or a text has no such form.
    """
    changes = {key: value for key, value in given.items() if value is not None}
    settings = dict(dotted_names(parse_assignments(assignments)))
    changes["set"] = settings | {key: value for key, value in options.items() if value is not None}
    if search is not None:
        changes["search"] = {"attempts": search, **({"ranges": ranges_of(vary)} if vary else {})}
    elif vary:
        changes["vary"] = vary_of(vary)
    return plan_of(changes, "the command line") if plan is None else read_plan(plan, changes)


def plans_text() -> str:
    """Return a list of the plans that come with the package."""
    plans = [(name, read_plan(name, {})) for name in shipped_plans()]
    width = max(len(name) for name, _ in plans)
    lines = [f"{name:{width}}  {plan.question}" for name, plan in plans]
    return "\n".join(
        [*lines, "", "try one:      unpool study DATA --plan NAME", "show as TOML: unpool study plans NAME"]
    )


def plan_text(name: str) -> str:
    """Return the TOML text of a plan that comes with the package. Raises UsageError for another name."""
    if name not in shipped_plans():
        raise UsageError(f"no plan is called {name}", f"one of {', '.join(shipped_plans())}", "give one of them")
    return shipped_file(PLANS, name).read_text(encoding="utf-8").rstrip()


def ranges_of(texts: Sequence[str]) -> dict[str, Any]:
    """Return the values or the range of each setting from texts such as ``skip=none,add`` and ``width=8..32``.

    A range whose ends are both above 0 and ten times apart or more is logarithmic.

    Raises
    ------
    UsageError: no key, fewer than two values, a range without numbers, or a key twice.
    """
    lists = vary_of([text for text in texts if ".." not in text])
    ranges: dict[str, Any] = {}
    for text in texts:
        key, _, values = text.partition("=")
        low, dots, high = values.partition("..")
        if not dots:
            ranges[key.strip()] = lists[key.strip()]
            continue
        ends = [value_of(low), value_of(high)]
        numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
        if not key.strip() or key.strip() in ranges or not numbers:
            raise UsageError(
                f"--vary {text}", "each setting once, with a range", "write for example --vary width=8..32"
            )
        ranges[key.strip()] = {"low": ends[0], "high": ends[1], "log": bool(ends[0] > 0 and ends[1] >= 10 * ends[0])}
    return ranges


def vary_of(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of each setting from texts such as ``skip=none,add,concat``.

    A comma inside brackets belongs to a value: ``dropout_after=[],[bottom]`` has two.

    Raises
    ------
    UsageError: no key, fewer than two values, or a key twice.
    """
    varied: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        parts = [part for part in _parts(values) if part]
        if not key.strip() or not equals or len(parts) < 2:
            raise UsageError(
                f"--vary {text}", "a setting with two values or more", "write for example --vary skip=none,add,concat"
            )
        if key.strip() in varied:
            raise UsageError(f"--vary {key.strip()} twice", "each setting once", "write all its values in one --vary")
        varied[key.strip()] = [value_of(part) for part in parts]
    return varied


def combinations(vary: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the values of settings; the last setting changes fastest.

    Raises
    ------
    UsageError: there are more than ``MOST_VARIANTS``.
    """
    if not vary:
        return []
    count = 1
    for values in vary.values():
        count *= len(values)
    if count > MOST_VARIANTS:
        raise UsageError(
            f"{count:,} combinations of {first_of(list(vary))}",
            f"at most {MOST_VARIANTS}",
            "vary fewer settings, or let them be searched: give --search 30 with the same --vary",
        )
    return [dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())]


def _parts(text: str) -> list[str]:
    """Return the parts of a text between commas that are outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if letter == "," and not depth and not quote:
            parts.append("")
            continue
        if letter in "\"'":
            quote = "" if quote == letter else quote or letter
        depth += (letter in "[{") - (letter in "]}") if not quote else 0
        parts[-1] += letter
    return [part.strip() for part in parts]
