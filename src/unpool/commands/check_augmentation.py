"""The page of a folder's augmentation: pictures and masks as the crops of a training, and how each crop was cut.

The crops are cut by the code of the training, from its pictures, with its settings and limits.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unpool.class_table import Colour, Labels
from unpool.commands.events import Event, Message, Progress
from unpool.commands.train.preparation import DEFAULT_MINUTES, TrainingJob, prepare, with_settings
from unpool.commands.train.size_choice import LONG_MINUTES, sizes_for
from unpool.config.augmentation_words import OFF, augmentation_words
from unpool.config.settings import resolve
from unpool.data.augmentation import Augmentation, CroppedSample, Field, Place, augmented_crop, crop_field
from unpool.data.batches import CropSampler
from unpool.data.samples import Sample
from unpool.dataset.survey_result import Survey
from unpool.io.files import write_text
from unpool.report.augmentation_page import (
    AugmentationContents,
    AugmentationFigure,
    AugmentationPanel,
    AugmentationSection,
    DrawnLine,
    render_augmentation,
)
from unpool.report.pictures import displayable, levels_of, overlay
from unpool.wording import all_of, decodable, minutes_text

SHOWN_PICTURES = 3
"""Most pictures that are shown, and the crops of each."""

DRAWS = 32
"""Draws of a single change, of which the one that changes the crop most is shown."""

_COLOURS = ("#ff5a3c", "#ffc83d", "#35c8ff")
_CELLS = 6  # of the grid over a crop, along one side


class _Seen(NamedTuple):
    """The crops of a training, and the colours of its classes."""

    batches: CropSampler
    colours: Sequence[Colour]


_SINGLE: Mapping[str, tuple[str, ...]] = {
    "mirror": ("flip_rows", "flip_columns"),
    "rotation": ("quarter_turns", "rotation"),
    "scale": ("scale",),
    "elastic": ("elastic", "elastic_points"),
    "contrast": ("contrast",),
    "brightness": ("brightness",),
    "noise": ("noise",),
}
"""The fields of ``Augmentation`` that make each change, by its name in ``augmentation_words``."""


def write_augmentation_page(
    survey: Survey, settings: Mapping[str, Any], path: Path, command: str
) -> Generator[Event, None, None]:
    """Write the page of a folder's augmentation; a folder with errors gives no page, since it trains nothing.

    Parameters
    ----------
    settings: those that a person gave, nested.

    Raises
    ------
    UsageError, DataError: what a training with these settings would raise before its first step.
    """
    if survey.errors:
        yield Message("no page of the augmentation: nothing is trained on a folder with errors; repair them first")
        return
    yield Progress("drawing crops", 0, 3)
    job = prepare(survey, resolve(settings))
    sizes = sizes_for(settings, job.config.augmentation.orientation)
    seen = AugmentationSection(
        f"Trainings of {minutes_text(LONG_MINUTES)} and more" if sizes else "The training",
        _crop_paragraphs(job),
        augmentation_words(job.config.augmentation),
        _panels(job),
    )
    yield Progress("drawing crops", 1, 3)
    sections = [seen, *_short_section(job, sizes[0].settings if sizes else {})]
    yield Progress("drawing crops", 2, 3)
    sections.append(_single_section(job))
    name = decodable(survey.folder.root.resolve().name)
    contents = AugmentationContents(
        title=f"Augmentation of {name}",
        subtitle=f"What a network sees of {len(survey.split.train):,} training pictures, and what it should answer",
        sections=sections,
        command=command,
    )
    write_text(path, render_augmentation(contents))
    yield Progress("drawing crops", 3, 3)
    yield Message(f"the page with the crops of a training: {path}")


def _crop_paragraphs(job: TrainingJob) -> list[str]:
    crop = job.setup.batches.crop
    margin = (
        f" The network takes {crop.margin} more pixels on every side, for which it predicts nothing."
        if crop.margin
        else ""
    )
    return [
        f"A crop has {crop.rows} x {crop.columns} pixels.{margin} Each is cut at a random place and changed at random, "
        "so the network hardly ever sees the same crop twice. Picture and mask are read through the same grid, so they "
        "still fit. Validation, test and prediction take pictures as they are.",
        "Left: the picture with the places of its crops. For each crop: the grid by which it is read, the picture as "
        "the network sees it, and its mask over it. Where the grid leaves the picture, the picture is mirrored, and "
        "the mask is ignored (grey stripes).",
    ]


def _short_section(job: TrainingJob, changes: Mapping[str, Mapping[str, Any]]) -> list[AugmentationSection]:
    """Return the section on short trainings, whose size switches some changes off; none where no size does."""
    little = changes.get("augmentation", {})
    if not little:
        return []
    short = with_settings(job, changes)
    off = [key for key, value in little.items() if not value]
    rotated = ", and crops are rotated by quarter turns" if little.get("quarter_turns") else ""
    kept = "".join(f" --set {key}={getattr(job.config.augmentation, key):g}" for key in off)
    return [
        AugmentationSection(
            "Short trainings",
            [
                f"unpool train takes {minutes_text(DEFAULT_MINUTES)} where neither --minutes nor --epochs is given. "
                f"Below {minutes_text(LONG_MINUTES)} it times this machine, and may take a smaller network with "
                f"smaller crops; then {all_of(off)} are off, because few steps teach more without them{rotated}. "
                "It says at its beginning, under Size and Augmentation, what it took.",
                f"To keep them in a training of any length, give{kept}, or some of these.",
            ],
            augmentation_words(short.config.augmentation),
            _panels(short, most=1),
        )
    ]


def _panels(job: TrainingJob, most: int = SHOWN_PICTURES) -> list[AugmentationPanel]:
    """Return some training pictures, evenly spread over all, with crops of each."""
    samples = job.setup.batches.samples
    count = min(most, len(samples))
    seen = _Seen(job.setup.batches, job.survey.table.colours)
    return [_panel(seen, samples[k * len(samples) // count], k) for k in range(count)]


def _panel(seen: _Seen, sample: Sample, number: int) -> AugmentationPanel:
    batches = seen.batches
    outlines: list[DrawnLine] = []
    groups = []
    for k, colour in enumerate(_COLOURS):
        state = (batches.seed, number, k)
        rows, columns = crop_field(sample.labels, batches.crop, batches.augmentation, np.random.default_rng(state))
        made = augmented_crop(
            sample, batches.crop, batches.augmentation, batches.normalisation_of(sample), np.random.default_rng(state)
        )
        outlines += _grid_lines(rows, columns, colour, cells=1)
        groups.append(
            [
                _source_figure(sample, rows, columns, colour, f"crop {k + 1}: read by this grid"),
                *_crop_figures(seen, sample, made),
            ]
        )
    whole = AugmentationFigure("the picture, and where its crops are", displayable(sample.image), (0, 0), outlines)
    return AugmentationPanel(decodable(sample.name), [whole], groups)


def _crop_figures(seen: _Seen, sample: Sample, made: CroppedSample) -> list[AugmentationFigure]:
    batches = seen.batches
    picture = _stored(seen, sample, made)
    margin = batches.crop.margin
    inner = picture[margin : margin + batches.crop.rows, margin : margin + batches.crop.columns]
    labels: Labels = made.labels.numpy().astype(np.uint8)
    tinted = overlay(inner, labels, seen.colours, levels=None)
    return [
        AugmentationFigure("what the network sees" + (", with its margin" if margin else ""), picture),
        AugmentationFigure("the mask over it", tinted),
    ]


def _stored(seen: _Seen, sample: Sample, made: CroppedSample) -> NDArray[np.uint8]:
    """Return a crop as its picture is displayed: uint8 (rows, columns, 3), with the black and white of the picture."""
    pixels = np.moveaxis(made.image.numpy(), 0, -1)
    kind = str(sample.image.dtype)
    values = seen.batches.normalisation_of(sample).undo(pixels, kind)
    levels = levels_of(sample.image)
    return (
        displayable(values, levels) if levels else displayable(np.clip(np.rint(values), 0, 255).astype(np.uint8), None)
    )


def _source_figure(sample: Sample, rows: Field, columns: Field, colour: str, caption: str) -> AugmentationFigure:
    """Return the part of a picture that a crop was read from, with the crop's grid over it."""
    height, width = sample.labels.shape
    spans = [(int(np.floor(field.min())), int(np.ceil(field.max())) + 1) for field in (rows, columns)]
    around = [max((last - first) // 12, 2) for first, last in spans]
    (top, bottom), (left, right) = (
        (min(max(first - edge, 0), length - 1), max(min(last + edge, length), 1))
        for (first, last), edge, length in zip(spans, around, (height, width), strict=True)
    )
    part = displayable(sample.image[top:bottom, left:right], levels_of(sample.image))
    return AugmentationFigure(caption, part, (top, left), _grid_lines(rows, columns, colour, _CELLS))


def _grid_lines(rows: Field, columns: Field, colour: str, cells: int) -> list[DrawnLine]:
    """Return the lines of a crop's grid as they lie on the picture: ``cells`` cells along each side."""
    points = np.stack([rows, columns], axis=-1) + np.float32(0.5)  # from a pixel's centre to its corner's count
    lines = []
    for k in range(cells + 1):
        width = 2.0 if k in (0, cells) else 0.9
        lines.append(DrawnLine(points[round(k * (len(rows) - 1) / cells)], colour, width))
        lines.append(DrawnLine(points[:, round(k * (rows.shape[1] - 1) / cells)], colour, width))
    return lines


def _single_section(job: TrainingJob) -> AugmentationSection:
    """Return the section that shows each change alone, on the middle of one picture."""
    seen = _Seen(job.setup.batches, job.survey.table.colours)
    sample = seen.batches.samples[0]
    middle = ((sample.labels.shape[0] - 1) / 2, (sample.labels.shape[1] - 1) / 2)
    words = dict(augmentation_words(job.config.augmentation))
    plain = seen.batches.augmentation.none()
    still = _single(seen, sample, plain, middle, 0)
    groups = [_single_figures(seen, sample, plain, (middle, 0), "unchanged")]
    for name, keys in _SINGLE.items():
        if words[name] == OFF:
            continue
        alone = replace(plain, **{key: getattr(seen.batches.augmentation, key) for key in keys})
        draw = max(range(DRAWS), key=lambda k: float((_single(seen, sample, alone, middle, k) - still).abs().mean()))
        groups.append(_single_figures(seen, sample, alone, (middle, draw), f"{name}: {words[name]}"))
    return AugmentationSection(
        "Each change alone",
        [
            f"The middle of one picture. Of {DRAWS} random draws, the one that changes the crop most. unpool explain "
            "--settings KEY says what a setting means and costs; unpool check with --set KEY=VALUE and --augmentation "
            "draws another value.",
        ],
        [],
        [AugmentationPanel(decodable(sample.name), [], groups)],
    )


def _single(seen: _Seen, sample: Sample, augmentation: Augmentation, middle: Place, draw: int) -> Tensor:
    """Return the middle crop with one change, float32 (channels, rows, columns)."""
    batches, random = seen.batches, np.random.default_rng((seen.batches.seed, draw))
    return augmented_crop(sample, batches.crop, augmentation, batches.normalisation_of(sample), random, middle).image


def _single_figures(
    seen: _Seen, sample: Sample, augmentation: Augmentation, draw: tuple[Place, int], caption: str
) -> list[AugmentationFigure]:
    batches, (middle, number) = seen.batches, draw
    state = (batches.seed, number)
    rows, columns = crop_field(sample.labels, batches.crop, augmentation, np.random.default_rng(state), middle)
    made = augmented_crop(
        sample, batches.crop, augmentation, batches.normalisation_of(sample), np.random.default_rng(state), middle
    )
    tinted = _crop_figures(seen, sample, made)[-1]._replace(caption="with its mask")
    return [_source_figure(sample, rows, columns, _COLOURS[0], caption), tinted]
