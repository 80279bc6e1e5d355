"""The split: which pairs are trained on, which choose the best epoch, and which are only scored."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from unpool.data.groups import copies_of, group_of, kind_of, slices_of
from unpool.dataset.pairing.folder import Folder
from unpool.errors import DataError
from unpool.wording import count_text, first_of

SMALLEST_SHARE, LARGEST_SHARE = 0.08, 0.45
"""Share of drawn pairs between which groups stay undivided; otherwise pictures are drawn one by one."""


class SplitShares(NamedTuple):
    """Shares of the training pairs: to validate on, above 0 and below 1, and to set aside as test pairs, 0 for none."""

    val: float = 0.2
    test: float = 0.0


USUAL_SHARES = SplitShares()


@dataclass(frozen=True)
class Split:
    """The pair names of train, val and test.

    Attributes
    ----------
    origin: one sentence on how the split was made.
    seed: the seed that it was made with.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    origin: str
    seed: int

    def members(self, part: str) -> tuple[str, ...]:
        """Return the names in ``train``, ``val`` or ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test}[part]

    def to_json(self) -> dict[str, Any]:
        """Return the split as JSON data, which ``Split.from_json`` reads."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Split:
        """Read JSON data of ``Split.to_json``. Raises KeyError, TypeError or ValueError for other data."""
        train, val, test = (tuple(str(name) for name in data[part]) for part in ("train", "val", "test"))
        return cls(train, val, test, str(data["origin"]), int(data["seed"]))


def make_split(folder: Folder, seed: int, shares: SplitShares = USUAL_SHARES) -> Split:
    """Divide a folder's pairs into train, val and test.

    The folder's own parts are kept. Where it has no test part and the share of test is above 0, one is drawn from its
    train part; where it has no val part, one is drawn from what remains. Pairs whose names show one source
    (``unpool.data.groups.group_of``) stay together if that leaves a sensible share; of stacks that are too few for
    that, neighbouring slices at one end stay together. The result depends on names, seed and shares only.

    Parameters
    ----------
    shares: of the parts that are drawn.

    Raises
    ------
    DataError: there are fewer than two pairs to divide, or no training pairs.
    """
    parts = {part: tuple(p.name for p in folder.pairs if p.split == part) for part in ("train", "val", "test")}
    free = tuple(pair.name for pair in folder.pairs if pair.split is None)
    train = (*parts["train"], *free)
    given = [part for part, names in parts.items() if names]
    origin = f"{', '.join(given)} as the folder gives {'it' if len(given) == 1 else 'them'}" if given else ""
    if given and free:
        origin += f", and {count_text(len(free), 'pair')} outside these parts as train"
    if not train:
        raise DataError(
            f"{folder.root}: only pairs for {' and '.join(given)}",
            "pairs to train on",
            "add a train part, or move the pairs out of these parts so that Unpool makes the split",
        )
    origins, rest = [origin] * bool(origin), tuple(sorted(train))
    for part, share in (("test", shares.test), ("val", shares.val)):
        if not parts[part] and (part == "val" or share):
            parts[part], how = _drawn_part(part, rest, seed, share, str(folder.root))
            rest = tuple(name for name in rest if name not in set(parts[part]))
            origins.append(how)
    return Split(rest, parts["val"], parts["test"], "; ".join(origins), seed)


def folder_split(folder: Folder, seed: int) -> Split:
    """Return the folder's own split; pairs in none of its parts are test pairs."""
    parts = {
        part: tuple(p.name for p in folder.pairs if (p.split or "test") == part) for part in ("train", "val", "test")
    }
    return Split(parts["train"], parts["val"], parts["test"], "as the folder gives it, all other pairs as test", seed)


def keeps_groups(split: Split) -> bool:
    """Return whether no source, as the names show it, has pairs in train and in val."""
    groups = group_of((*split.train, *split.val))
    return not {groups[name] for name in split.train} & {groups[name] for name in split.val}


def _drawn_part(part: str, names: Sequence[str], seed: int, share: float, root: str) -> tuple[tuple[str, ...], str]:
    """Return the names of a part that is drawn from ``names``, and one sentence on how they were drawn."""
    if len(names) < 2:
        raise DataError(
            f"{root}: {count_text(len(names), 'pair')} to train and {'validate' if part == 'val' else 'test'} on",
            "two pairs or more",
            "add pictures with masks",
        )
    if not 0 < share < 1:
        raise DataError(
            f"a {'validation' if part == 'val' else part} share of {share:g}",
            "a share between 0 and 1",
            f"choose a share near 0.2, as with --set {part}_share=0.2",
        )
    groups = group_of(names)
    sizes = Counter(groups.values())
    kinds = _kinds_of_groups(names, groups)
    chosen = _chosen_groups(groups, kinds, seed, share)
    drawn = tuple(sorted(name for name in names if groups[name] in chosen))
    alone = len(sizes) == len(names)
    slices = slices_of(names) if alone or not SMALLEST_SHARE <= len(drawn) / len(names) <= LARGEST_SHARE else None
    if slices:
        stacks = "the stack" if len(slices) == 1 else f"each of {len(slices)} stacks"
        return _end_blocks(slices, seed, share), (
            f"{part}: neighbouring slices at one end of {stacks}, the end drawn with seed {seed}, because slices that "
            "are neighbours look alike"
        )
    each = f" from each kind of names ({first_of(sorted(set(kinds.values())))})" if kinds else ""
    if alone:
        why = "" if kinds else "; file names show no groups of related pictures"
        return drawn, f"{part} drawn at random with seed {seed}{each}{why}"
    if SMALLEST_SHARE <= len(drawn) / len(names) <= LARGEST_SHARE:
        return drawn, (
            f"{part} drawn with seed {seed}{each} by whole groups, so that no source is on both sides: "
            f"{first_of(sorted(chosen))} of {count_text(len(sizes), 'group')}"
        )
    copies = copies_of(names)
    chosen = _near_share(Counter(copies.values()), seed, share * len(names))
    return tuple(sorted(name for name in names if copies[name] in chosen)), (
        f"{part} drawn at random with seed {seed}, because the {len(sizes)} groups are too few or too unequal"
    )


def _end_blocks(slices: Mapping[str, Sequence[str]], seed: int, share: float) -> tuple[str, ...]:
    """Draw a share of the slices of each stack, one or more in all, from its beginning or its end."""
    counts = {stack: min(round(share * len(names)), len(names) - 1) for stack, names in slices.items()}
    if not any(counts.values()):
        counts[max(slices, key=lambda stack: len(slices[stack]))] = 1
    drawn: list[str] = []
    for stack, names in slices.items():
        at_end = _drawn(("begin", "end"), seed + len(drawn))[0] == "end"
        drawn += names[len(names) - counts[stack] :] if at_end else names[: counts[stack]]
    return tuple(sorted(drawn))


def _kinds_of_groups(names: Sequence[str], groups: Mapping[str, str]) -> dict[str, str]:
    """Return the kind of each group, such as ``benign``; none where names have no kinds, or a group has several."""
    kinds = kind_of(names)
    found = {(groups[name], kinds[name]) for name in names}
    return dict(found) if any(kinds.values()) and len(found) == len({group for group, _ in found}) else {}


def _chosen_groups(groups: Mapping[str, str], kinds: Mapping[str, str], seed: int, share: float) -> set[str]:
    """Return the groups that are drawn: of each kind, where there are kinds and some have groups enough."""
    chosen: set[str] = set()
    for kind in sorted(set(kinds.values())):
        sizes = Counter(group for group in groups.values() if kinds[group] == kind)
        if len(sizes) > 1:
            chosen |= _near_share(sizes, seed, share * sum(sizes.values()))
    return chosen or _near_share(Counter(groups.values()), seed, share * len(groups))


def _near_share(sizes: Mapping[str, int], seed: int, target: float) -> set[str]:
    """Draw groups in the seed's order, each that brings their sum nearer to the target; at least one."""
    chosen: set[str] = set()
    total = 0
    for group in _drawn(sizes, seed):
        if abs(total + sizes[group] - target) < abs(total - target) and len(chosen) + 1 < len(sizes):
            chosen.add(group)
            total += sizes[group]
    return chosen or {min(_drawn(sizes, seed), key=lambda group: sizes[group])}


def _drawn(names: Iterable[str], seed: int) -> list[str]:
    """Return the names in an order that depends on the seed only."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
