"""``ensemble``: several trained models in one model file, which answers the mean of their probabilities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.checkpoint.models import load_model, save_model, weights_digest
from unpool.commands.ensemble.joining import join_segmenters
from unpool.commands.ensemble.story import Member, ensemble_story
from unpool.commands.run_folder import MODEL_FILE, RunFolder, model_file
from unpool.errors import UsageError
from unpool.io.destination import require_writable
from unpool.wording import bytes_text, command_text, count_text

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class EnsembleResult:
    """The model file that ``ensemble`` wrote.

    Attributes
    ----------
    members, nets: the files of its members, and the names of their networks.
    parameters: of all members.
    """

    path: Path
    members: tuple[Path, ...]
    nets: tuple[str, ...]
    parameters: int

    @property
    def text(self) -> str:
        """What was written, and how it is used."""
        lines = [f"{net}: {file}" for net, file in zip(self.nets, self.members, strict=True)]
        return "\n".join([
            *lines,
            f"{self.path}: an ensemble of {count_text(len(self.members), 'model')}, {self.parameters:,} parameters, "
            f"{bytes_text(self.path.stat().st_size)}",
            f"Next: {command_text(['unpool', 'test', self.path])} DATA",
        ])  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "path": str(self.path),
            "members": [
                {"path": str(file), "net": net} for file, net in zip(self.members, self.nets, strict=True)
            ],
            "parameters": self.parameters,
            "bytes": self.path.stat().st_size,
        }  # fmt: skip


def ensemble(models: Sequence[Path], out: Path) -> EnsembleResult:
    """Join trained models to one model, for every command that takes a model.

    Parameters
    ----------
    models: at least two model files, or run folders that hold one; of the same classes and channels.
    out: the model file to write, in a folder that is not a run's own.

    Raises
    ------
    UsageError: the models do not fit together, or ``out`` is not a new model file in such a folder.
    ModelFileError: a file is missing, damaged, not written by unpool, or of a later version.
    RunError: the file cannot be written, or does not read back as it was written.
    """
    _require_new(out)
    files = [model_file(model) for model in models]
    loaded = [load_model(file) for file in files]
    members = [Member(_name(file), card, weights_digest(file)) for file, (_, card) in zip(files, loaded, strict=True)]
    _require_different(files, members)
    segmenter = join_segmenters({str(file): each for file, (each, _) in zip(files, loaded, strict=True)})
    licences = dict.fromkeys(str(member.card["licence"]) for member in members if member.card["licence"])
    save_model(out, segmenter, ensemble_story(members), " AND ".join(licences) or None)  # as SPDX joins licences
    parameters = sum(parameter.numel() for parameter in segmenter.network.parameters())
    return EnsembleResult(out, tuple(files), tuple(each.net for each, _ in loaded), parameters)


def _require_new(out: Path) -> None:
    """Raise UsageError unless ``out`` is a model file that can be written, outside of a run folder."""
    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out}", f"a file whose name ends with {SUFFIX}", f"give --out {out / MODEL_FILE}")
    require_writable(out.parent)
    if os.path.lexists(out):
        raise UsageError(f"{out} exists", "a new file", "give another --out")
    run = RunFolder(out.parent)
    if run.config.exists() or run.log.exists():
        raise UsageError(
            f"--out {out}: {out.parent} is the folder of a run, whose history and tests are those of its own model",
            "another folder",
            f"give --out {out.parent.with_name(f'{out.parent.name}-ensemble') / MODEL_FILE}",
        )


def _require_different(files: Sequence[Path], members: Sequence[Member]) -> None:
    """Raise UsageError where two models have the same weights: one of them would count twice."""
    first: dict[str, Path] = {}
    for file, member in zip(files, members, strict=True):
        if member.weights in first:
            raise UsageError(
                f"{file}: the same weights as {first[member.weights]}",
                "models that differ, each once",
                "leave one of the two out",
            )
        first[member.weights] = file


def _name(file: Path) -> str:
    """Return the name of a model's run, or of its file where that is not named as in a run folder."""
    return file.resolve().parent.name if file.name == MODEL_FILE else file.stem
