"""The settings of a run: every key with its type, its range and its default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from unpool.losses.loss import TERMS, LossFactors
from unpool.nets.families import structure_of
from unpool.nets.named import NAMED_NETS
from unpool.nets.network import NetworkStructure
from unpool.wording import all_of


def _structure(given: Any) -> Any:
    return structure_of(given) if isinstance(given, Mapping) else given


Weight = Annotated[float, Field(gt=0, le=1e6)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSettings(_Section):
    """The settings of reading a folder.

    ``masks``: the meaning of mask pixels; ``classes``: names, ``value=name`` or ``#rrggbb=name``, in the order of the
    class ids; ``ignore``: mask values or colours of ignored pixels (None: the survey decides); ``val_share``: share of
    the pictures in the validation split, if the folder has no split; ``cache_gb``: memory for decoded pictures, in GiB.
    """

    masks: Literal["auto", "values", "colours", "instances"] = "auto"
    classes: tuple[str, ...] = ()
    ignore: tuple[int | str, ...] | None = None
    val_share: float = Field(0.2, gt=0, lt=1)
    cache_gb: float = Field(4.0, ge=0, le=1e6)


class TrainingSettings(_Section):
    """The settings of a training.

    ``crop``: longest side of a training crop in pixels; ``parts``: number of parts of a batch that are computed one
    after the other (None: as many as the memory requires); ``schedule``: the learning rate over the training;
    ``momentum``: of ``sgd``; ``clip``: largest norm of the gradient (0: no limit); ``settled``: share of the training
    after which batch normalisation keeps its statistics (1: never); ``recompute``: whether these statistics are taken
    again over the training pictures before each validation; ``validate_every``: epochs from one validation to the next;
    ``best``: the validation score that chooses the best epoch (``loss``: the lowest); ``start``: a model file with the
    first weights, for every layer whose name and shape agree.
    """

    epochs: int | None = Field(None, ge=1, le=10**9)
    minutes: float | None = Field(None, gt=0, le=1e8)
    batch_size: int = Field(4, ge=1, le=4096)
    parts: int | None = Field(None, ge=1, le=4096)
    crop: int = Field(256, ge=16, le=8192)
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0, le=10)
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-2, ge=0, le=1)
    clip: float = Field(10.0, ge=0, le=1e6)
    settled: float = Field(0.7, ge=0, le=1)
    recompute: bool = False
    validate_every: int = Field(1, ge=1, le=10**9)
    best: Literal["mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "loss"] = "mean_iou"
    start: str | None = None
    seed: int = Field(0, ge=0, lt=1 << 63)

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("epochs and minutes together; one of them; leave one out")
        if self.parts is not None and self.parts > self.batch_size:
            raise ValueError(f"a batch of {self.batch_size} crops in {self.parts} parts; set parts={self.batch_size}")
        return self


class LossSettings(_Section, LossFactors):
    """The settings of the loss, which is a sum of terms, each times its factor.

    ``cross_entropy``, ``dice``, ``lovasz``: the factors; ``focal``: exponent of the focal loss (0: plain
    cross-entropy); ``class_weights`` of the cross-entropy: ``balanced`` (the square root of median-frequency balancing,
    within 1/``class_weight_cap``..``class_weight_cap``), ``median-frequency`` (Eigen and Fergus), ``none``, or a number
    for each class; ``division``: divisor of the weighted cross-entropy: the sum of the pixels' ``weights``, the number
    of ``pixels`` that are not ignored, or none (``sum``); ``emphasis``: pixels with higher weights: ``separation``
    (between two objects, U-Net's weight map) or ``boundary``; ``strength``: their weight at distance 0; ``sigma``: the
    distance in pixels over which it falls off.
    """

    class_weights: Literal["balanced", "median-frequency", "none"] | tuple[Weight, ...] = "balanced"
    class_weight_cap: float = Field(3.0, ge=1, le=1e6)
    division: Literal["weights", "pixels", "sum"] = "weights"
    emphasis: Literal["none", "separation", "boundary"] = "none"
    strength: float = Field(10.0, gt=0, le=60_000)
    sigma: float = Field(5.0, gt=0, le=100)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(getattr(self, name) for name in TERMS):
            raise ValueError(f"{all_of(list(TERMS))} are all 0; a loss with a term; set one of them to 1")
        means = [f"{name}=0" for name in TERMS if name != "cross_entropy" and getattr(self, name)]
        if self.division == "sum" and means:
            raise ValueError(f"division=sum adds up pixels, and the other terms are means; set {all_of(means)}")
        if not self.class_weights:
            raise ValueError("no class weights; one for each class; write class_weights=balanced, or a list")
        return self


class AugmentationSettings(_Section):
    """The settings of augmentation; None takes the value that suits the orientation.

    ``orientation``: ``free`` pictures have no top and no bottom (microscopy, satellites), so crops are rotated by any
    angle; ``upright`` pictures (streets, rooms) are only mirrored left to right and rotated by a few degrees; ``auto``
    measures which of the two the pictures are.
    """

    orientation: Literal["auto", "free", "upright"] = "auto"
    flip_rows: bool | None = None
    flip_columns: bool | None = None
    rotation: float | None = Field(None, ge=0, le=180)
    scale: float = Field(0.25, ge=0, le=3)
    elastic: float | None = Field(None, ge=0, le=100)
    elastic_points: int = Field(0, ge=0, le=64)
    contrast: float = Field(0.25, ge=0, le=3)
    brightness: float = Field(0.25, ge=0, le=5)
    noise: float = Field(0.1, ge=0, le=5)
    rare: float = Field(0.33, ge=0, le=1)


class MachineSettings(_Section):
    """The settings of the machine.

    ``compile``: whether the training step is compiled to machine code (``auto``: if the training is long enough);
    ``memory_gb``: memory that training may use (None: the free memory).
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto", "yes", "no"] = "auto"
    memory_gb: float | None = Field(None, gt=0, le=1e6)


class RecipeNote(_Section):
    """The source of a recipe, and the result to expect of it, in words.

    ``data``: the training set of the source; ``departures``: differences from the source.
    """

    name: str
    citation: str
    data: str
    expected: str
    time: str
    departures: tuple[str, ...] = ()


class Stage(_Section):
    """One of several trainings that follow each other; each begins with the weights of the one before.

    ``share``: part of the budget, 0..1; ``learning_rate``: None takes the recipe's.
    """

    net: str
    share: float = Field(gt=0, le=1)
    learning_rate: float | None = Field(None, gt=0, le=10)


class RunConfig(_Section):
    """All settings of a run. The default of every key trains a sensible model.

    Attributes
    ----------
    licence: licence of the weights for the model's card, best as its SPDX name (CC-BY-4.0); None leaves it out.
    """

    config_version: Literal[1] = 1
    net: str = "unet"
    licence: str | None = Field(None, min_length=1, max_length=200)
    structure: Annotated[SerializeAsAny[NetworkStructure], BeforeValidator(_structure)]
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    loss: LossSettings = LossSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    machine: MachineSettings = MachineSettings()
    recipe: RecipeNote | None = None
    stages: tuple[Stage, ...] = ()

    @model_validator(mode="after")
    def _ends_with_its_net(self) -> Self:
        if self.stages and self.stages[-1].net != self.net:
            raise ValueError(
                f"the last stage trains {self.stages[-1].net}, the recipe is for {self.net}; one network for both; "
                "change net or the last stage"
            )
        if self.stages and abs(sum(stage.share for stage in self.stages) - 1) > 1e-6:
            raise ValueError("the shares of the stages do not add up to 1; parts of one budget; change the shares")
        return self


SECTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    "structure": tuple(dict.fromkeys(type(net.structure) for net in NAMED_NETS.values())),
    "data": (DataSettings,),
    "training": (TrainingSettings,),
    "loss": (LossSettings,),
    "augmentation": (AugmentationSettings,),
    "machine": (MachineSettings,),
}
"""The sections of a configuration, each with the classes that define its keys."""


def setting_keys() -> list[tuple[str, str]]:
    """Return every setting as (section, name). A structure's ``kind`` is none: the network's name decides it."""
    keys = [(section, name) for section, models in SECTIONS.items() for m in models for name in m.model_fields]
    return [key for key in dict.fromkeys(keys) if key != ("structure", "kind")]
