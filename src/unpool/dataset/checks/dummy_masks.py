"""Dummy masks: test masks in which every pixel is ignored, as sets are published whose true masks stay secret."""

from __future__ import annotations

from collections.abc import Mapping

from unpool.dataset.findings import Finding
from unpool.dataset.pairing.folder import Folder
from unpool.dataset.picture_facts import PictureFacts
from unpool.wording import count_text


def dummy_masks(folder: Folder, facts: Mapping[str, PictureFacts]) -> Finding | None:
    """Return the note on the test pairs of a folder, where all of their masks are dummies and others are not."""
    tests = [pair.name for pair in folder.pairs if pair.split == "test"]
    counted = {name for name, fact in facts.items() if any(fact.class_pixels)}
    if not tests or not facts.keys() >= set(tests) or not counted or not counted.isdisjoint(tests):
        return None
    return Finding(
        "note",
        "dummy-masks",
        f"{count_text(len(tests), 'mask')} in test with nothing but ignored pixels, as Cityscapes publishes its test: "
        "these pairs are left out",
        "",
        "use unpool predict for these pictures",
        tuple(tests),
    )
