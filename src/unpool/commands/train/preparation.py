"""From a survey and a configuration to a training that is ready to run."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from unpool import optim
from unpool.checkpoint.models import load_model
from unpool.config.schema import AugmentationSettings, LossSettings, RunConfig
from unpool.config.settings import merge, resolve
from unpool.data.augmentation import Augmentation, Crop
from unpool.data.batches import CropSampler, SampleStore, crop_size
from unpool.data.samples import Sample
from unpool.data.training_normalisation import training_normalisation
from unpool.data.upright import UPRIGHT_ABOVE, vertical_displacement
from unpool.data.weight_maps import Emphasis
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError, UsageError
from unpool.losses.class_weights import balanced_weights, median_frequency_weights
from unpool.losses.loss import Loss, LossFactors
from unpool.machine.device import choose_machine
from unpool.nets.families import network_of
from unpool.nets.named import named_net
from unpool.nets.weights import begin_with
from unpool.processes import ALONE, Processes
from unpool.segmenter import Segmenter
from unpool.training.records import Budget, TrainingState
from unpool.training.setup import TrainingSetup

DEFAULT_MINUTES = 10.0


@dataclass(frozen=True)
class TrainingJob:
    """A training, ready to run."""

    config: RunConfig
    survey: Survey
    segmenter: Segmenter
    setup: TrainingSetup
    anew: tuple[str, ...] = ()
    """Tensors that do not come from the model the training starts with."""


def with_budget(config: RunConfig) -> RunConfig:
    """The configuration with the default budget where none is given."""
    given = config.training
    if given.epochs is None and given.minutes is None:
        return resolve(merge(config.model_dump(), {"training": {"minutes": DEFAULT_MINUTES}}))
    return config


def prepare(survey: Survey, config: RunConfig, processes: Processes = ALONE) -> TrainingJob:
    """Build network, batches, loss and optimiser; the configuration comes back with every choice made.

    Raises
    ------
    UsageError: the crops are too small for the network, or the device does not exist.
    DataError: validation pictures of a pixel type that no training picture has.
    """
    _require_trained_types(survey)
    sizes = [(survey.pictures[name].rows, survey.pictures[name].columns) for name in survey.split.train]
    crop = _crop(config, sizes)
    _require_passage(config, crop, survey.channels, len(survey.table))
    pairs = {pair.name: pair for pair in survey.folder.pairs}
    cache = int(config.data.cache_gb * (1 << 30))

    def store(names: Sequence[str], limit: int, emphasis: Emphasis | None = None) -> SampleStore:
        return SampleStore([pairs[name] for name in names], survey.table, limit, emphasis)

    trained = store(survey.split.train, cache * 4 // 5, _emphasis(config.loss))
    validated = store(survey.split.val, cache // 5)
    config = _with_orientation(config, trained, len(survey.table))
    given = config.training
    torch.manual_seed(given.seed)
    network = network_of(config.structure, survey.channels, len(survey.table))
    anew: tuple[str, ...] = ()
    if given.start is not None:
        anew = begin_with(network, load_model(Path(given.start)).segmenter.network.state_dict(), given.start)
    segmenter = Segmenter(config.net, network, training_normalisation(trained, survey.channels), survey.table)
    machine = choose_machine(config.machine.device, config.machine.precision)
    machine.place(network)  # before the optimiser, which keeps references to the parameters
    setup = TrainingSetup(
        batches=CropSampler(
            samples=trained,
            areas=[rows * columns for rows, columns in sizes],
            crop=crop,
            batch_size=given.batch_size,
            augmentation=_augmentation(config.augmentation),
            normalisation=segmenter.normalisation,
            seed=given.seed,
        ),
        validation=validated,
        loss=_loss(config.loss, survey),
        optimiser=optim.optimiser(network, given.optimiser, given.learning_rate, given.weight_decay, given.momentum),
        learning_rate=given.learning_rate,
        budget=Budget(given.epochs, given.minutes),
        machine=machine,
        schedule=given.schedule,
        clip=given.clip,
        settled=given.settled,
        recompute=given.recompute,
        validate_every=given.validate_every,
        best=given.best,
        processes=processes,
    )
    return TrainingJob(config, survey, segmenter, setup, anew)


def _loss(given: LossSettings, survey: Survey) -> Loss:
    weights: tuple[float, ...] | None = None
    if given.class_weights == "balanced":
        weights = balanced_weights(survey.class_shares(survey.split.train), given.class_weight_cap)
    elif given.class_weights == "median-frequency":
        trained = survey.split.train
        weights = median_frequency_weights(survey.class_pixels(trained), survey.pixels_with_class(trained))
    elif given.class_weights != "none":
        weights = given.class_weights
        if len(weights) != len(survey.table):
            raise UsageError(
                f"{len(weights)} class weights",
                f"one for each of {len(survey.table)} classes: {', '.join(survey.table.names)}",
                "write them in this order",
            )
    factors = {field.name: getattr(given, field.name) for field in fields(LossFactors)}
    return Loss(weights, given.division, **factors)


def _emphasis(given: LossSettings) -> Emphasis | None:
    return None if given.emphasis == "none" else Emphasis(given.emphasis, given.strength, given.sigma)


def _crop(config: RunConfig, sizes: Sequence[tuple[int, int]]) -> Crop:
    """The crop for pictures of these sizes; a network that loses pixels at the border gets as many around it."""
    structure = config.structure
    if len(set(sizes)) == 1 and max(sizes[0]) <= config.training.crop:
        whole = [structure.input_for(side) for side in sizes[0]]
        if all(each.size == side and each.margin == 0 for each, side in zip(whole, sizes[0], strict=True)):
            return Crop(*sizes[0])  # pictures of one size that the network takes as they are
    wanted = crop_size(sizes, config.training.crop, max(structure.stride, 16))
    fits = [structure.input_for(side) for side in wanted]
    margin = max(0, *(each.margin for each in fits))
    rows, columns = (each.size - 2 * margin for each in fits)
    return Crop(rows, columns, margin)


def _require_passage(config: RunConfig, crop: Crop, channels: int, classes: int) -> None:
    """Let an empty batch pass through a network without weights, so that what cannot train is refused now."""
    together = config.training.batch_size // (config.training.parts or 1)
    with torch.device("meta"), torch.no_grad():
        network = network_of(config.structure, channels, classes).train()
        try:
            network(torch.empty(together, channels, *crop.with_margin()))
        except ValueError as error:  # normalisation over a single value
            raise UsageError(
                f"crops of {crop.rows} x {crop.columns} pixels, {together} at a time: {error}",
                "at least two values a map everywhere in the network",
                "raise --set batch_size=… or crop=…, lower parts=…, or set norm=group",
            ) from error


def _require_trained_types(survey: Survey) -> None:
    known = {survey.pictures[name].dtype for name in survey.split.train}
    for name in survey.split.val:
        if survey.pictures[name].dtype not in known:
            raise DataError(
                f"validation picture {name}: pixels of type {survey.pictures[name].dtype}",
                f"{' or '.join(sorted(known))}, as in the training pictures",
                "convert it with the same scaling as the training pictures, or train on pictures of this type too",
            )


def _with_orientation(config: RunConfig, samples: Sequence[Sample], classes: int) -> RunConfig:
    """Fill in what the augmentation leaves to the pictures."""
    given = config.augmentation
    orientation = given.orientation
    if orientation == "auto":
        upright = vertical_displacement(samples, classes) > UPRIGHT_ABOVE
        orientation = "upright" if upright else "free"
    chosen = {key: value for key, value in measured(orientation).items() if getattr(given, key) is None}
    return resolve(merge(config.model_dump(), {"augmentation": {**chosen, "orientation": orientation}}))


def measured(orientation: str) -> dict[str, Any]:
    """The settings of the augmentation that suit pictures of an orientation, ``free`` or ``upright``, and itself."""
    free = orientation == "free"
    return {
        "orientation": orientation,
        "flip_rows": free,
        "flip_columns": True,
        "rotation": 180.0 if free else 5.0,
        "elastic": 4.0 if free else 0.0,
    }


def _augmentation(settings: AugmentationSettings) -> Augmentation:
    return Augmentation(**settings.model_dump(exclude={"orientation"}))


VALIDATED = ("mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "class_iou", "intervals")
"""What the card says of the validation, by its names in ``EpochRecord``."""


def story(job: TrainingJob, state: TrainingState) -> dict[str, Any]:
    """How the model came to be, for its card."""
    survey, last = job.survey, state.history[-1] if state.history else {}
    return {
        "config": job.config.model_dump(mode="json"),
        "citation": named_net(job.segmenter.net).citation,
        "data": {
            "name": survey.folder.root.resolve().name,
            "fingerprint": survey.fingerprint,
            "pairs": len(survey.folder.pairs),
            "split": survey.split.to_json(),
            "digests": {name: survey.pictures[name].digest for name in survey.split.train},
        },
        "epoch": state.epoch,
        "seconds": round(state.seconds, 1),
        "machine": job.setup.machine.describe(),
        "crop": job.setup.batches.crop._asdict(),
        "class_weights": list(job.setup.loss.weights or ()),
        "validation": {key: last.get(key) for key in VALIDATED},
        "history": state.history,
        "software": software(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def software() -> dict[str, str]:
    """The versions that a result depends on."""
    return {
        "unpool": metadata.version("unpool"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _loss_in_words(job: TrainingJob) -> str:
    given = job.config.loss
    entropy = f"focal cross-entropy (gamma {given.focal:g})" if given.focal else "cross-entropy"
    divided = {"weights": "", "pixels": ", divided by pixels", "sum": ", not divided"}[given.division]
    emphasis = f" with {given.emphasis} weights up to {given.strength:g}" if given.emphasis != "none" else ""
    factors = ((given.cross_entropy, entropy + emphasis + divided), (given.dice, "Dice"), (given.lovasz, "Lovász"))
    return " + ".join(name if factor == 1 else f"{factor:g} {name}" for factor, name in factors if factor)


def plan(job: TrainingJob, run: Path) -> str:
    """What is about to be trained, as a page of text."""
    given, batches = job.config.training, job.setup.batches
    margin = f" and {batches.crop.margin} around them" if batches.crop.margin else ""
    budget = f"{given.epochs} epochs" if given.epochs is not None else f"{given.minutes:g} minutes"
    weights = ", ".join(
        f"{name} {weight:.2f}"
        for name, weight in zip(job.segmenter.classes.names, job.setup.loss.weights or (), strict=False)
    )
    parameters = sum(p.numel() for p in job.segmenter.network.parameters())
    turned = job.config.augmentation
    ways = [way for way, on in (("top to bottom", turned.flip_rows), ("left to right", turned.flip_columns)) if on]
    mirrored = " and ".join(ways) or "not at all"
    rows = [
        (
            "network",
            f"{job.config.net}, {parameters:,} parameters, {job.survey.channels} channels in, "
            f"{len(job.segmenter.classes)} classes out",
        ),
        (
            "crops",
            f"{batches.crop.rows} x {batches.crop.columns} pixels{margin}, {given.batch_size} a step, "
            f"{batches.steps} steps an epoch",
        ),
        (
            "pictures are",
            f"{turned.orientation}: turned up to {turned.rotation:g} degrees, mirrored {mirrored}",
        ),
        ("class weights", weights),
        (
            "optimiser",
            f"{given.optimiser}, {'one cycle up to' if given.schedule == 'one-cycle' else 'always'} "
            f"{given.learning_rate:g}, weight decay {given.weight_decay:g}",
        ),
        ("loss", _loss_in_words(job)),
        ("starts with", f"{given.start}; anew: {', '.join(job.anew) or 'nothing'}" if given.start else ""),
        ("budget", budget),
        ("machine", job.setup.machine.describe()),
        ("run folder", str(run)),
    ]
    return "\n".join(["Training", *(f"  {label:<15}{value}" for label, value in rows if value)])
