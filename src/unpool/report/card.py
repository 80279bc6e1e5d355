"""The card of a model as a page: network, classes, pictures, training, scores and origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unpool.class_table import IGNORE_ID, ClassTable, value_text
from unpool.ledger.text import TITLES
from unpool.metrics.intervals import Interval
from unpool.report.sections import Section, Table
from unpool.report.text import NamedTexts, with_interval
from unpool.wording import DASH, count_text

CARD_SETTINGS = ("epochs", "minutes", "optimiser", "learning_rate", "batch_size", "crop", "seed")
"""Settings of the training on the page; the card has all of them."""


DIGITS = 16
"""Digits of a member's digest on the page; the card has all of them."""


def card_sections(card: Mapping[str, Any], file: NamedTexts, tests: NamedTexts = ()) -> list[Section]:
    """Return the sections of a card's page.

    Parameters
    ----------
    card: a card as ``unpool.checkpoint.models.load_model`` returns it.
    file: facts about the file, such as its size.
    tests: name and result of each test of the model in its folder.
    """
    story = card["story"]
    return [
        Section("", (_rows(("network", _network(card)), *file),)),
        Section("classes", (_class_table(ClassTable.from_card(card["classes"])),)),
        Section("pictures", (_rows(*_picture_rows(card)),)),
        *([Section("members", (_member_table(story["members"]),))] if story.get("members") else []),
        Section("training", (_rows(*_training_rows(story)),)),
        Section("scores", (_rows(*_score_rows(story), *tests),)),
        Section("origin", (_rows(*_origin_rows(card)),)),
    ]


def _network(card: Mapping[str, Any]) -> str:
    borders = f" and borders of objects, {card['borders']} pixels wide" if card.get("borders") else ""
    return (
        f"{card['net']}, {count_text(card['in_channels'], 'channel')} in, "
        f"{count_text(len(card['classes']['classes']), 'class')}{borders} out"
    )


def _class_table(classes: ClassTable) -> Table:
    """Return the table of ids, names, mask values and display colours."""
    merged = classes.approximate or any(len(values) > 1 for values in classes.values)
    rows = [
        (
            str(k),
            name,
            " ".join(classes.value_texts(k)),
            *([value_text(values[0])] if merged else []),
            value_text(colour),
        )
        for k, (name, values, colour) in enumerate(zip(classes.names, classes.values, classes.colours, strict=True))
    ]
    ignored = " ".join(classes.value_texts(IGNORE_ID))
    further = [("ignored", ignored)] if ignored else []
    further += [("the nearest of these", "all others")] if classes.snap else []
    rows += [(DASH, name, values, *([DASH] if merged else []), DASH) for name, values in further]
    heading = ("id", "class", "in masks", *(["predicted as"] if merged else []), "colour")
    return Table(heading, tuple(rows), wide=True)


def _picture_rows(card: Mapping[str, Any]) -> NamedTexts:
    rule = card["size_rule"]
    halo = rule["context"]
    halo_text = f"{halo['before']} before, {halo['after']} after" if halo else "the whole picture"
    seen = (card["appearance"] or {}).get("ranges", {})
    constants = [
        (f"{kind} pixels", f"mean {_numbers(each['mean'])}; deviation {_numbers(each['std'])}{_range(seen.get(kind))}")
        for kind, each in card["normalisation"]["constants"].items()
    ]
    by_picture = card["normalisation"].get("by") == "picture"
    own = [("normalised by", "each picture's own mean and deviation")] if by_picture else []
    return [("sizes", rule["words"]), ("halo, pixels", f"{halo_text} (stride {rule['stride']})"), *own, *constants]


def _member_table(members: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the models that an ensemble was made of, with their scores as each was trained."""
    rows = []
    for member in members:
        score = (member.get("validation") or {}).get("mean_iou")
        epoch = DASH if member.get("epoch") is None else str(member["epoch"])
        validation = DASH if score is None else f"{score:.3f}"
        rows.append((member["name"], member["net"], member["data"], epoch, validation, member["weights"][:DIGITS]))
    return Table(("run", "network", "data", "best epoch", "validation IoU", "weights"), tuple(rows), (0, 1, 2, 5))


def _range(seen: Mapping[str, Any] | None) -> str:
    return f"; from {seen['least']:.5g} to {seen['largest']:.5g}" if seen else ""


def _training_rows(story: Mapping[str, Any]) -> NamedTexts:
    data = story.get("data", {})
    split = data.get("split", {})
    training = story.get("config", {}).get("training", {})
    settings = ", ".join(f"{key} {training[key]}" for key in CARD_SETTINGS if training.get(key) is not None)
    counts = [len(split.get(part, ())) for part in ("train", "val", "test")]
    return [
        ("data", str(data.get("name", DASH))),
        ("pictures", f"{counts[0]} for training, {counts[1]} for validation, {counts[2]} for testing"),
        ("fingerprint", str(data.get("fingerprint", DASH))),
        ("settings", settings or DASH),
        ("best epoch", f"{story['epoch']}, after {story.get('seconds', DASH)} s" if "epoch" in story else DASH),
        ("machine", str(story.get("machine", DASH))),
    ]


def _score_rows(story: Mapping[str, Any]) -> NamedTexts:
    scores = story.get("validation", {})
    intervals = {key: Interval(*each) for key, each in (scores.get("intervals") or {}).items()}
    rows = [
        (f"validation {title}", with_interval(scores[key], intervals.get(key)))
        for key, title in TITLES.items()
        if scores.get(key) is not None
    ]
    return rows or [("validation", DASH)]


def _origin_rows(card: Mapping[str, Any]) -> NamedTexts:
    story = card["story"]
    software = ", ".join(f"{name} {version}" for name, version in story.get("software", {}).items())
    return [
        ("software", software or DASH),
        ("created", str(story.get("created", DASH))),
        ("citation", str(card["citation"] or DASH)),
        ("licence", str(card["licence"] or "not given")),
    ]


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _rows(*rows: tuple[str, str]) -> Table:
    return Table(rows[0], rows[1:], wide=True)
