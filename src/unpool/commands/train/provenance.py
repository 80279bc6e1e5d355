"""The provenance of a model: the configuration, data, machine and software that its training used.

The model's card has it under the key ``story``.
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import torch

from unpool.commands.train.preparation import TrainingJob
from unpool.nets.named import named_net
from unpool.training.records import TrainingState

VALIDATED = ("mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "class_iou", "intervals")
"""Validation scores that the card has, by their names in ``EpochRecord``."""


def provenance(job: TrainingJob, state: TrainingState) -> dict[str, Any]:
    """Return the provenance of the model after the last epoch of ``state``, as plain JSON data."""
    survey, last = job.survey, state.history[-1] if state.history else {}
    return {
        "config": job.config.model_dump(mode="json"),
        "citation": named_net(job.segmenter.net).citation,
        "data": {
            "name": survey.folder.root.resolve().name,
            "fingerprint": survey.fingerprint,
            "class_file": survey.class_file,
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
    """Return the versions that a result depends on, by program."""
    return {
        "unpool": metadata.version("unpool"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
