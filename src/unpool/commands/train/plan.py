"""The plan of a training, as text: what is about to be trained, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unpool.commands.train.preparation import TrainingJob
from unpool.config.augmentation_words import augmentation_words
from unpool.wording import count_text, minutes_text, on_one_line, percent_text


def plan(job: TrainingJob, run: Path) -> str:
    """Return a page of text about the training that is to begin in the run folder ``run``."""
    given = job.config.training
    budget = count_text(given.epochs, "epoch") if given.epochs is not None else minutes_text(given.minutes or 0)
    weights = zip(job.segmenter.classes.names, job.setup.loss.weights or (), strict=False)
    rows = [
        ("network", _network_text(job)),
        ("crops", _crops_text(job)),
        ("orientation", "any" if job.config.augmentation.orientation == "free" else "upright"),
        ("normalisation", _normalisation_text(job)),
        ("class weights", ", ".join(f"{name} {weight:.2f}" for name, weight in weights)),
        (
            "optimiser",
            f"{given.optimiser}, {'one cycle up to' if given.schedule == 'one-cycle' else 'always'} "
            f"{given.learning_rate:g}, weight decay {given.weight_decay:g}",
        ),
        ("loss", _loss_text(job)),
        ("starts with", f"{given.start}; new weights: {', '.join(job.fresh) or 'none'}" if given.start else ""),
        ("budget", budget),
        ("machine", job.setup.machine.describe()),
        ("run folder", str(run)),
    ]
    return "\n".join(
        [*_section("Training", rows), *_section("Augmentation", augmentation_words(job.config.augmentation))]
    )


def _section(title: str, rows: Sequence[tuple[str, str]]) -> list[str]:
    return [title, *(f"  {label:<15}{on_one_line(value)}" for label, value in rows if value)]


def _network_text(job: TrainingJob) -> str:
    parameters = sum(p.numel() for p in job.segmenter.network.parameters())
    borders = " and borders of objects" if job.segmenter.borders else ""
    return (
        f"{job.config.net}, {parameters:,} parameters, {count_text(job.survey.channels, 'channel')} in, "
        f"{count_text(len(job.segmenter.classes), 'class')}{borders} out"
    )


def _crops_text(job: TrainingJob) -> str:
    batches = job.setup.batches
    margin = f" and {batches.crop.margin} around them" if batches.crop.margin else ""
    return (
        f"{batches.crop.rows} x {batches.crop.columns} pixels{margin}, {job.config.training.batch_size} per step, "
        f"{batches.steps} steps per epoch"
    )


def _normalisation_text(job: TrainingJob) -> str:
    """Return what pictures are normalised by and why; an empty text for the usual, the set's constants."""
    if job.segmenter.normalisation.by == "set":
        return ""
    text = "each picture by its own mean and deviation"
    if job.contrast is None:
        return text
    return (
        f"{text}, because the classes then explain {percent_text(job.contrast.by_picture)} of the values, and only "
        f"{percent_text(job.contrast.by_set)} with those of all pictures"
    )


def _loss_text(job: TrainingJob) -> str:
    given = job.config.loss
    titles = {name: term.title for name, term in job.setup.loss.terms().items()}
    if "cross_entropy" in titles:
        focal = f"focal cross-entropy (gamma {given.focal:g})" if given.focal else "cross-entropy"
        divided = {"weights": "", "pixels": ", divided by pixels", "sum": ", not divided"}[given.division]
        emphasis = f" with {given.emphasis} weights up to {given.strength:g}" if given.emphasis != "none" else ""
        titles["cross_entropy"] = focal + emphasis + divided
    factors = {name: getattr(given, name) for name in titles}
    return " + ".join(title if factors[name] == 1 else f"{factors[name]:g} {title}" for name, title in titles.items())
