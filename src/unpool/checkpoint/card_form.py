"""The form of a card: the types of what the pages, the reports and the exports of a model read from it.

Keys that are not listed here may hold anything, and every part of a story may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unpool.wording import problem_text


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Split(_Form):
    train: list[str] = []
    val: list[str] = []
    test: list[str] = []
    origin: str = ""


class _Data(_Form):
    name: str = ""
    fingerprint: str = ""
    split: _Split = _Split()
    digests: dict[str, str] = {}


class _Training(_Form):
    optimiser: Literal["adamw", "sgd"]
    batch_size: int
    momentum: float = 0.0
    minutes: float | None = None
    schedule: str = ""


class _Loss(_Form):
    focal: float = 0.0
    class_weights: str | list[float] = ""
    emphasis: str = ""


class _Config(_Form):
    training: _Training | None = None
    loss: _Loss = _Loss()
    augmentation: dict[str, bool | float | str | None] = {}


class _Validation(_Form):
    mean_iou: float | None = None
    mean_dice: float | None = None
    global_accuracy: float | None = None
    class_accuracy: float | None = None
    frequency_weighted_iou: float | None = None
    intervals: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] | None = None


class _Epoch(_Form):
    epoch: int
    train_loss: float | None = None
    val_loss: float | None = None
    mean_iou: float | None = None
    global_accuracy: float | None = None


class _Member(_Form):
    name: str
    net: str
    citation: str | None = None
    weights: str
    data: str = ""
    epoch: int | None = None
    validation: _Validation = _Validation()


class _Story(_Form):
    members: list[_Member] = []
    config: _Config = _Config()
    citation: str = ""
    data: _Data = _Data()
    epoch: int = 0
    seconds: float = 0.0
    machine: str = ""
    crop: dict[str, int] = {}
    validation: _Validation = _Validation()
    history: list[_Epoch] = []
    software: dict[str, str] = {}
    created: str = ""


class _Constants(_Form):
    mean: list[float]
    std: list[float]


class _Normalisation(_Form):
    by: str = "set"
    constants: dict[str, _Constants]


class _Card(_Form):
    net: str
    in_channels: int = Field(ge=1, le=4096)
    borders: int = Field(0, ge=0, le=64)
    normalisation: _Normalisation
    licence: str | None = None
    citation: str | None = None
    story: _Story


def require_form_of_card(card: Mapping[str, Any]) -> None:
    """Raise ValueError where a value of a card has another type than its readers expect; the message names it."""
    try:
        _Card.model_validate(card)
    except ValidationError as error:
        raise ValueError(problem_text(error.errors()[0])) from error
