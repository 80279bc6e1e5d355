"""From a survey and a configuration to a training that is ready to run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from unpool import optim
from unpool.appearance.seen import SeenPictures
from unpool.checkpoint.models import load_model
from unpool.commands.run_folder import model_file
from unpool.config.schema import AugmentationSettings, LossSettings, RunConfig, TrainingSettings
from unpool.config.settings import merge, resolve
from unpool.data.augmentation import Augmentation, Crop
from unpool.data.batches import CropSampler, SampleStore, crop_size
from unpool.data.class_contrast import ClassContrast, class_contrast
from unpool.data.samples import Sample
from unpool.data.training_normalisation import training_normalisation
from unpool.data.upright import UPRIGHT_ABOVE, vertical_displacement
from unpool.data.weight_maps import Emphasis
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError, TrainingError, UsageError
from unpool.losses.class_weights import balanced_weights, median_frequency_weights
from unpool.losses.loss import Loss, LossFactors
from unpool.machine.device import Machine, choose_machine, free_memory
from unpool.nets.families import network_of
from unpool.nets.network import Network
from unpool.nets.weights import begin_with
from unpool.normalisation import Normalisation, NormalisedBy
from unpool.processes import ALONE, Processes
from unpool.segmenter import Segmenter
from unpool.shapes import Size
from unpool.training.records import Budget
from unpool.training.rehearsal import Rehearsal
from unpool.training.setup import TrainingSetup
from unpool.wording import bytes_text

DEFAULT_MINUTES = 10.0
"""Budget of a training without ``--epochs`` and ``--minutes``."""


@dataclass(frozen=True)
class TrainingJob:
    """A training that is ready to run.

    Attributes
    ----------
    config: the configuration with every choice made.
    fresh: names of tensors that do not come from the model that the training starts with.
    contrast: of the classes, where it chose what pictures are normalised by.
    rehearsal: of this training on this machine, where it was rehearsed already.
    """

    config: RunConfig
    survey: Survey
    segmenter: Segmenter
    setup: TrainingSetup
    fresh: tuple[str, ...] = ()
    contrast: ClassContrast | None = None
    rehearsal: Rehearsal | None = None


def with_budget(config: RunConfig) -> RunConfig:
    """Return the configuration, with the default budget where it has none."""
    given = config.training
    if given.epochs is None and given.minutes is None:
        return resolve(merge(config.model_dump(), {"training": {"minutes": DEFAULT_MINUTES}}))
    return config


def prepare(survey: Survey, config: RunConfig, processes: Processes = ALONE) -> TrainingJob:
    """Build network, batches, loss and optimiser, and make every choice that the configuration leaves open.

    Raises
    ------
    UsageError: the crops are too small for the network, or the device does not exist.
    DataError: validation pictures of a pixel type that no training picture has.
    """
    _require_trained_types(survey)
    _require_numbers(config.data.borders, survey)
    machine = choose_machine(config.machine.device, config.machine.precision)
    crop = _crop_for(config, survey, machine, processes)
    pairs = {pair.name: pair for pair in survey.folder.pairs}
    cache = int(config.data.cache_gb * (1 << 30))

    def store(names: Sequence[str], limit: int, emphasis: Emphasis | None = None, borders: int = 0) -> SampleStore:
        return SampleStore([pairs[name] for name in names], survey.table, limit, emphasis, borders)

    trained = store(survey.split.train, cache * 4 // 5, _emphasis(config.loss), config.data.borders)
    validated = store(survey.split.val, cache // 5)
    by_set = training_normalisation(trained, survey.channels)
    start = _start(config.training)
    chosen, contrast = _normalised_by(config, start, trained, by_set)
    config = _suited(config, trained, len(survey.table), chosen)
    given = config.training
    network, fresh = _network(config, survey, start)
    normalisation = replace(by_set, by=chosen)
    seen = SeenPictures.of(survey.pictures[name].appearance for name in survey.split.train)
    segmenter = Segmenter(config.net, network, normalisation, survey.table, seen, config.data.borders)
    setup = TrainingSetup(
        batches=CropSampler(
            samples=trained,
            areas=[rows * columns for rows, columns in _sizes(survey)],
            crop=crop,
            batch_size=given.batch_size,
            augmentation=_augmentation(config.augmentation),
            normalisation=segmenter.normalisation,
            seed=given.seed,
        ),
        validation=validated,
        loss=_loss(config.loss, survey, segmenter.outputs),
        optimiser=_placed(network, machine, given),
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
    return TrainingJob(config, survey, segmenter, setup, fresh, contrast)


def with_settings(job: TrainingJob, changes: Mapping[str, Any]) -> TrainingJob:
    """Return the training with another network, other crops or another learning rate; no picture is read again.

    Parameters
    ----------
    changes: settings of the structure and of the augmentation, and ``crop``, ``batch_size`` and ``learning_rate`` of
        the training, nested.

    Raises
    ------
    UsageError: the settings do not fit together, or the crops are too small for the network.
    """
    config, setup = resolve(merge(job.config.model_dump(), changes)), job.setup
    crop = _crop_for(config, job.survey, setup.machine, setup.processes)
    network, fresh = _network(config, job.survey, _start(config.training))
    setup = replace(
        setup,
        batches=replace(
            setup.batches,
            crop=crop,
            batch_size=config.training.batch_size,
            augmentation=_augmentation(config.augmentation),
        ),
        optimiser=_placed(network, setup.machine, config.training),
        learning_rate=config.training.learning_rate,
    )
    return TrainingJob(config, job.survey, replace(job.segmenter, network=network), setup, fresh, job.contrast)


def _start(given: TrainingSettings) -> Segmenter | None:
    """Return the model that a training starts with, if any."""
    return None if given.start is None else load_model(model_file(Path(given.start))).segmenter


def _network(config: RunConfig, survey: Survey, start: Segmenter | None) -> tuple[Network, tuple[str, ...]]:
    """Return a network with its first weights, and the names of those that are not from the model it starts with."""
    given = config.training
    torch.manual_seed(given.seed)
    network = network_of(config.structure, survey.channels, _outputs(config, survey))
    if start is None:
        return network, ()
    return network, begin_with(network, start.network.state_dict(), str(given.start))


def _outputs(config: RunConfig, survey: Survey) -> int:
    """Return the number of the network's outputs, as ``Segmenter.outputs`` counts them."""
    return len(survey.table) + bool(config.data.borders)


def _require_numbers(borders: int, survey: Survey) -> None:
    """Raise UsageError where borders are to be learned, and the masks hold no object numbers."""
    if borders and survey.table.kind != "instances":
        raise UsageError(
            f"borders={borders} with masks of {survey.table.kind}",
            "masks of object numbers, in which it is known where one object ends and the next begins",
            "leave borders out, or give --masks instances if every value of the masks numbers an object",
        )


def _placed(network: Network, machine: Machine, given: TrainingSettings) -> Optimizer:
    """Place a network on the machine, and return its optimiser, which keeps references to the parameters there."""
    machine.place(network)
    return optim.optimiser(network, given.optimiser, given.learning_rate, given.weight_decay, given.momentum)


def _sizes(survey: Survey) -> list[Size]:
    """Return rows and columns of each training picture."""
    return [(survey.pictures[name].rows, survey.pictures[name].columns) for name in survey.split.train]


def _crop_for(config: RunConfig, survey: Survey, machine: Machine, processes: Processes) -> Crop:
    """Return the crop of a training that is possible here."""
    crop = _crop(config, _sizes(survey))
    free = free_memory(machine, config.machine.memory_gb, processes.neighbours)
    _require_trainable(config, crop, survey.channels, _outputs(config, survey), free)
    return crop


def _loss(given: LossSettings, survey: Survey, outputs: int) -> Loss:
    weights: tuple[float, ...] | None = None
    if given.class_weights == "balanced":
        weights = balanced_weights(survey.class_shares(survey.split.train), given.class_weight_cap)
    elif given.class_weights == "median-frequency":
        trained = survey.split.train
        weights = median_frequency_weights(survey.class_pixels(trained), survey.pixels_with_class(trained))
    elif isinstance(given.class_weights, tuple):
        weights = given.class_weights
        if len(weights) != len(survey.table):
            raise UsageError(
                f"{len(weights)} class weights",
                f"one for each of {len(survey.table)} classes: {', '.join(survey.table.names)}",
                "write them in this order",
            )
    if weights and outputs > len(weights):
        weights = (*weights, weights[-1])  # a border is a part of the objects
    factors = {field.name: getattr(given, field.name) for field in fields(LossFactors)}
    return Loss(weights, given.division, **factors)


def _emphasis(given: LossSettings) -> Emphasis | None:
    return None if given.emphasis == "none" else Emphasis(given.emphasis, given.strength, given.sigma)


def _crop(config: RunConfig, sizes: Sequence[Size]) -> Crop:
    """Return the crop for pictures of these sizes; its margin is the border that the network loses."""
    structure = config.structure
    if len(set(sizes)) == 1 and max(sizes[0]) <= config.training.crop:
        legal = [structure.input_for(side) for side in sizes[0]]
        if all(each.size == side and each.margin == 0 for each, side in zip(legal, sizes[0], strict=True)):
            return Crop(*sizes[0])  # the network takes the pictures, which have one size, as they are
    sides = crop_size(sizes, config.training.crop, max(structure.stride, 16))
    fits = [structure.input_for(side) for side in sides]
    margin = max(0, *(each.margin for each in fits))
    rows, columns = (each.size - 2 * margin for each in fits)
    return Crop(rows, columns, margin)


def _require_trainable(config: RunConfig, crop: Crop, channels: int, classes: int, free: int | None) -> None:
    """Run a network without weights on an empty batch, to refuse early what cannot be trained.

    Parameters
    ----------
    free: bytes of free memory; None is unknown.
    """
    crops = config.training.batch_size // (config.training.parts or 1)
    with torch.device("meta"), torch.no_grad():
        network = network_of(config.structure, channels, classes).train()
        if free is not None:
            _require_room(config, network, math.prod(crop.with_margin()) * (4 * channels + 8), free)
        try:
            network(torch.empty(crops, channels, *crop.with_margin()))
        except ValueError as error:  # normalisation over a single value
            raise UsageError(
                f"crops of {crop.rows} x {crop.columns} pixels, {crops} at a time: {error}",
                "at least two values in every feature map of the network",
                "raise --set batch_size=… or crop=…, lower parts=…, or set norm=group",
            ) from error


def _require_room(config: RunConfig, network: Network, crop_bytes: int, free: int) -> None:
    """Raise RunError where the weights or the pixels of one batch alone take more than the free memory."""
    weights = sum(4 * parameter.numel() for parameter in network.parameters())
    least, batch = 3 * weights, config.training.batch_size * crop_bytes  # weights, gradients and one moment
    if least > free:
        width = max(int(getattr(config.structure, "width", 1) * math.sqrt(free / least) / 2), 1)
        raise TrainingError(
            f"the weights take {bytes_text(weights)}, and their training at least {bytes_text(least)}; "
            f"{bytes_text(free)} of memory is free",
            "memory for the weights, their gradients and the optimiser",
            f"give a narrower network with --set width={width}, or a lower depth",
        )
    if batch > free:
        raise TrainingError(
            f"the pixels of a batch of {config.training.batch_size} crops take {bytes_text(batch)}; "
            f"{bytes_text(free)} of memory is free",
            "memory for a batch",
            f"give --set batch_size={max(free // crop_bytes // 2, 1)}, or a smaller crop",
        )


def _require_trained_types(survey: Survey) -> None:
    known = {survey.pictures[name].dtype for name in survey.split.train}
    for name in survey.split.val:
        if survey.pictures[name].dtype not in known:
            raise DataError(
                f"validation picture {name}: pixels of type {survey.pictures[name].dtype}",
                f"{' or '.join(sorted(known))}, as in the training pictures",
                "convert it with the same scaling as the training pictures, or train on pictures of this type too",
            )


def _suited(config: RunConfig, samples: Sequence[Sample], classes: int, normalised: NormalisedBy) -> RunConfig:
    """Return the configuration with the settings that suit the pictures, where a person did not choose them.

    Parameters
    ----------
    normalised: what pictures are normalised by.
    """
    orientation = config.augmentation.orientation
    if orientation == "auto":
        upright = vertical_displacement(samples, classes) > UPRIGHT_ABOVE
        orientation = "upright" if upright else "free"
    suited = suited_settings(orientation, classes, normalised)
    chosen = {key: value for key, value in suited["augmentation"].items() if getattr(config.augmentation, key) is None}
    changes: dict[str, Any] = {"augmentation": {**chosen, "orientation": orientation}, "data": suited["data"]}
    if config.loss.class_weights == "auto":
        changes["loss"] = suited["loss"]
    return resolve(merge(config.model_dump(), changes))


def _normalised_by(
    config: RunConfig, start: Segmenter | None, samples: Sequence[Sample], by_set: Normalisation
) -> tuple[NormalisedBy, ClassContrast | None]:
    """Return what pictures are normalised by, and the contrast of the classes where it decided.

    Parameters
    ----------
    start: the model that the training starts with; its weights know pictures as it normalises them.
    by_set: the constants of the training pictures.
    """
    given = config.data.normalisation
    if given != "auto":
        return given, None
    if start is not None:
        return start.normalisation.by, None
    contrast = class_contrast(samples, by_set)
    return contrast.clearer, contrast


def suited_settings(orientation: str, classes: int, normalised: str) -> dict[str, dict[str, Any]]:
    """Return the settings that suit pictures, nested.

    Parameters
    ----------
    orientation: ``free`` or ``upright``.
    classes: their number.
    normalised: what pictures are normalised by, ``set`` or ``picture``.
    """
    free = orientation == "free"
    return {
        "augmentation": {
            "orientation": orientation,
            "flip_rows": free,
            "flip_columns": True,
            "rotation": 180.0 if free else 5.0,
            "elastic": 4.0 if free else 0.0,
        },
        "data": {"normalisation": normalised},
        # Dice balances two classes already: of nuclei it found more without weights (docs/minutes.md).
        "loss": {"class_weights": "none" if classes == 2 else "balanced"},
    }


def _augmentation(settings: AugmentationSettings) -> Augmentation:
    return Augmentation(**settings.model_dump(exclude={"orientation"}))
