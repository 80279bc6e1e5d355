"""Which pairs train, which choose the best epoch, which are only measured."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unpool.data.groups import group_of
from unpool.dataset.pairing.folder import Folder
from unpool.errors import DataError

SMALLEST_SHARE, LARGEST_SHARE = 0.08, 0.45
"""Shares of validation pairs between which whole groups are kept together."""


@dataclass(frozen=True)
class Split:
    """Pair names of the three parts.

    Attributes
    ----------
    origin: one sentence on where the split comes from.
    seed: the seed it was made with.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    origin: str
    seed: int

    def members(self, which: str) -> tuple[str, ...]:
        """The names in ``train``, ``val`` or ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test}[which]

    def to_json(self) -> dict[str, Any]:
        """The split as plain data; ``from_json`` reads it back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Split:
        """Read a split written by ``to_json``. Raises KeyError, TypeError or ValueError on foreign data."""
        train, val, test = (tuple(str(name) for name in data[part]) for part in ("train", "val", "test"))
        return cls(train, val, test, str(data["origin"]), int(data["seed"]))


def make_split(folder: Folder, seed: int, val_share: float = 0.2) -> Split:
    """Divide a folder's pairs.

    The folder's own parts are honoured; where it has no validation part, one is made from the training part.
    Pairs that share a source by their names (``group_of``) stay together if that leaves a sensible share. The
    result depends on names, seed and share only.

    Parameters
    ----------
    val_share: share of the training pairs to validate on, between 0 and 1.

    Raises
    ------
    DataError: fewer than two pairs to divide, or no training pictures.
    """
    parts = {part: tuple(p.name for p in folder.pairs if p.split == part) for part in ("train", "val", "test")}
    free = tuple(pair.name for pair in folder.pairs if pair.split is None)
    train = (*parts["train"], *free)
    given = [part for part, names in parts.items() if names]
    said = f"{', '.join(given)} as the folder gives {'it' if len(given) == 1 else 'them'}" if given else ""
    if given and free:
        said += f", the {len(free)} pairs outside these parts count as train"
    if not train:
        raise DataError(
            f"{folder.root}: only pairs for {' and '.join(given)}",
            "pairs to train on",
            "add a train part, or leave the parts away so that one is chosen",
        )
    if parts["val"]:
        return Split(tuple(sorted(train)), parts["val"], parts["test"], said, seed)
    val, how = _validation(train, seed, val_share, str(folder.root))
    rest = tuple(sorted(set(train) - set(val)))
    return Split(rest, val, parts["test"], "; ".join(filter(None, (said, how))), seed)


def keeps_groups(split: Split) -> bool:
    """Whether no source, as the names tell it, has pairs both in train and in val."""
    groups = group_of((*split.train, *split.val))
    return not {groups[name] for name in split.train} & {groups[name] for name in split.val}


def _validation(names: Sequence[str], seed: int, share: float, where: str) -> tuple[tuple[str, ...], str]:
    if len(names) < 2:
        raise DataError(
            f"{where}: {len(names)} pair to train and validate on", "at least two pairs", "add pictures with masks"
        )
    if not 0 < share < 1:
        raise DataError(f"a validation share of {share:g}", "a share between 0 and 1", "choose one near 0.2")
    groups = group_of(names)
    sizes = Counter(groups.values())
    chosen = _near_share(sizes, seed, share * len(names))
    val = tuple(sorted(name for name in names if groups[name] in chosen))
    if len(sizes) == len(names):
        return val, f"val drawn at random with seed {seed}; the names show no groups"
    if SMALLEST_SHARE <= len(val) / len(names) <= LARGEST_SHARE:
        shown = ", ".join(sorted(chosen)[:4]) + (f" and {len(chosen) - 4} more" if len(chosen) > 4 else "")
        return val, (
            f"val drawn with seed {seed} by whole groups, so that no source is on both sides: {shown} of {len(sizes)}"
        )
    chosen = _near_share(Counter(names), seed, share * len(names))
    return tuple(sorted(chosen)), (
        f"val drawn at random with seed {seed}, because the {len(sizes)} groups are too few or too unequal"
    )


def _near_share(sizes: Mapping[str, int], seed: int, wanted: float) -> set[str]:
    """Groups drawn in the seed's order while each brings their sum nearer to the wanted one; at least one."""
    chosen: set[str] = set()
    total = 0
    for group in _drawn(sizes, seed):
        if abs(total + sizes[group] - wanted) < abs(total - wanted) and len(chosen) + 1 < len(sizes):
            chosen.add(group)
            total += sizes[group]
    return chosen or {min(_drawn(sizes, seed), key=lambda group: sizes[group])}


def _drawn(names: Iterable[str], seed: int) -> list[str]:
    """The names in an order that depends on the seed and on nothing else."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
