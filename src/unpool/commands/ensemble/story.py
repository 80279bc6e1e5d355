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

    A picture belongs to train if any member was trained on it, otherwise to val if it chose the best epoch of any
    member, and only otherwise to test. Members of different data give no fingerprint, so that no folder is taken for
    the one that all were trained on; the digests of their pictures still show which were trained on.
    """
    fingerprints = [str(each.get("fingerprint", "")) for each in data]
    same = len(set(fingerprints)) == 1 and bool(fingerprints[0])
    prefixes = ["" if same else f"{number} " for number in range(1, len(data) + 1)]
    split: dict[str, list[str]] = {}
    taken: set[str] = set()
    for part in PARTS:
        names = [
            f"{prefix}{name}"
            for prefix, each in zip(prefixes, data, strict=True)
            for name in each.get("split", {}).get(part, ())
        ]
        split[part] = [name for name in dict.fromkeys(names) if name not in taken]
        taken.update(split[part])
    digests = {
        f"{prefix}{name}": digest
        for prefix, each in zip(prefixes, data, strict=True)
        for name, digest in each.get("digests", {}).items()
    }
    splits = [each.get("split", {}) for each in data]
    alike = same and all(each == splits[0] for each in splits)
    origin = splits[0].get("origin", "") if alike else "a picture is in train if any member was trained on it"
    class_files = {each.get("class_file") for each in data}
    return {
        "name": all_of(list(dict.fromkeys(str(each.get("name", "")) for each in data))),
        "fingerprint": fingerprints[0] if same else "",
        "class_file": class_files.pop() if len(class_files) == 1 else None,
        "split": {**split, "origin": origin},
        "digests": digests,
    }
