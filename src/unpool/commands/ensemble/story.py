"""The story of an ensemble for its card: its members, and on which pictures any of them was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from unpool.checkpoint.card import Card
from unpool.commands.train.provenance import software
from unpool.wording import all_of

MEMBER_KEYS = ("epoch", "seconds", "crop", "validation", "created")
"""Parts of a member's story that the ensemble's story repeats."""

PARTS = ("train", "val", "test")


class Member(NamedTuple):
    """A member of an ensemble: the name of its run or file, its card, and the digest of its weights."""

    name: str
    card: Card
    weights: str


def ensemble_story(members: Sequence[Member]) -> dict[str, Any]:
    """Return the story of an ensemble, as plain JSON data.

    An ensemble has no training and no validation of its own, so these keys are missing.
    """
    stories = [member.card["story"] for member in members]
    citations = dict.fromkeys(str(member.card["citation"]) for member in members if member.card["citation"])
    orientations = [story.get("config", {}).get("augmentation", {}).get("orientation") for story in stories]
    return {
        "members": [
            {
                "name": member.name,
                "net": member.card["net"],
                "citation": member.card["citation"],
                "weights": member.weights,
                "data": story.get("data", {}).get("name", ""),
                **{key: story[key] for key in MEMBER_KEYS if key in story},
            }
            for member, story in zip(members, stories, strict=True)
        ],
        "citation": "; ".join(citations),
        # One member that saw upright pictures only is wrong on others, and then so is the mean.
        "config": {"augmentation": {"orientation": "upright"}} if "upright" in orientations else {},
        "data": shared_data([story.get("data", {}) for story in stories]),
        "software": software(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def shared_data(data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the data of an ensemble from those of its members.

    For members of the same data, a picture is in train if any member was trained on it, otherwise in val if it chose
    the best epoch of any member, and only otherwise in test. Members of different data have no split together and no
    fingerprint, so that no folder is taken for one that all were trained on; the digests of all their training
    pictures still show which pictures were trained on.
    """
    fingerprints = {str(each.get("fingerprint", "")) for each in data}
    same = len(fingerprints) == 1 and "" not in fingerprints
    digests: dict[str, str] = {}
    for number, each in enumerate(data, start=1):
        known = set(digests.values())
        for name, digest in each.get("digests", {}).items():
            if same or digest not in known:
                digests[name if same else f"{number} {name}"] = digest
    class_files = {each.get("class_file") for each in data}
    return {
        "name": all_of(list(dict.fromkeys(str(each["name"]) for each in data if each.get("name")))),
        "fingerprint": fingerprints.pop() if same else "",
        "class_file": class_files.pop() if len(class_files) == 1 else None,
        "split": _shared_split([each.get("split", {}) for each in data]) if same else {"train": list(digests)},
        "digests": digests,
    }


def _shared_split(splits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if all(split == splits[0] for split in splits):
        return dict(splits[0])
    taken: set[str] = set()
    shared: dict[str, Any] = {}
    for part in PARTS:
        names = dict.fromkeys(name for split in splits for name in split.get(part, ()))
        shared[part] = [name for name in names if name not in taken]
        taken.update(shared[part])
    return {**shared, "origin": "in train what any member was trained on, in val what chose the epoch of another"}
