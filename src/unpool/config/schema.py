"""The settings of a run: every key with its meaning, its range and its default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from unpool.errors import ObjectionError
from unpool.losses.cross_entropy import Division
from unpool.losses.loss import TERMS, LossFactors
from unpool.meaning import Meaning
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
    """The settings of reading a folder."""

    masks: Annotated[
        Literal["auto", "values", "colours", "instances"],
        Meaning(
            "meaning of mask pixels",
            choices={
                "auto": "the survey of the folder decides",
                "values": "each value is a class",
                "colours": "each colour is a class",
                "instances": "each value is the number of an object; 0 is the background",
            },
        ),
    ] = "auto"
    classes: Annotated[
        tuple[str, ...],
        Meaning(
            "names of the classes in the order of their ids, or value=name, value,value=name, low-high=name or "
            "#rrggbb=name; without them, the survey decides",
            example=["0=background", "1,3=cell", "2=ignore"],
        ),
    ] = ()
    ignore: Annotated[
        tuple[int | str, ...] | None,
        Meaning(
            "mask values, ranges as 200-254, or #rrggbb colours of pixels that count nowhere; without them, the survey "
            "decides",
            example=[255],
        ),
    ] = None
    borders: Annotated[
        int,
        Meaning(
            "width in pixels of the border along the edge of each object, learned as a class of its own, which predict "
            "--objects looks at; masks and scores count it as object; it needs masks of object numbers; 0: none",
            "one more map in the last layer",
        ),
    ] = Field(0, ge=0, le=64)
    snap: Annotated[
        bool,
        Meaning(
            "whether every mask value that has no name is read as the nearest one that has, as for masks that JPEG has "
            "smeared"
        ),
    ] = False
    normalisation: Annotated[
        Literal["auto", "set", "picture"],
        Meaning(
            "mean and standard deviation by which pictures are shifted and scaled before the network",
            "with picture, a prediction reads each picture once more before its first tile",
            {
                "auto": "picture if the classes then explain a tenth more of the variance of the training pictures, "
                "otherwise set; with start, as the model that the training starts with",
                "set": "those of all training pictures",
                "picture": "each picture's own, as for pictures of several microscopes or exposures",
            },
        ),
    ] = "auto"
    val_share: Annotated[
        float,
        Meaning(
            "share of the pictures that choose the best epoch, if the folder has no split of its own",
            "these pictures are not trained on, and their prediction takes time after an epoch",
        ),
    ] = Field(0.2, gt=0, lt=1)
    test_share: Annotated[
        float,
        Meaning(
            "share of the pictures that are set aside as test split, if the folder has none; 0: none",
            "these pictures are not trained on",
        ),
    ] = Field(0.0, ge=0, lt=1)
    split_seed: Annotated[
        int | None,
        Meaning("seed by which the parts of the split are drawn; without it, seed", example=1),
    ] = Field(None, ge=0, lt=1 << 63)
    cache_gb: Annotated[
        float,
        Meaning(
            "memory for decoded pictures, in GiB",
            "memory; pictures that do not fit are read from the disk again at each use",
        ),
    ] = Field(4.0, ge=0, le=1e6)


class TrainingSettings(_Section):
    """The settings of a training."""

    epochs: Annotated[
        int | None,
        Meaning("passes over the training pictures; in place of minutes", "time in proportion", example=30),
    ] = Field(None, ge=1, le=10**9)
    minutes: Annotated[
        float | None,
        Meaning("time of the training; 10 if epochs is not given either", "as much time", example=10),
    ] = Field(None, gt=0, le=1e8)
    batch_size: Annotated[
        int,
        Meaning("crops in a step", "time and memory of a step grow in proportion; parts limits the memory"),
    ] = Field(4, ge=1, le=4096)
    parts: Annotated[
        int | None,
        Meaning(
            "parts of a batch that are computed one after the other; without it, as many as the memory requires",
            "more parts take less memory and a little more time; batch normalisation sees one part at a time",
            example=2,
        ),
    ] = Field(None, ge=1, le=4096)
    crop: Annotated[
        int,
        Meaning("longest side of a training crop in pixels", "time and memory of a step grow with its square"),
    ] = Field(256, ge=16, le=8192)
    optimiser: Annotated[
        Literal["adamw", "sgd"],
        Meaning(
            "rule by which a step changes the weights",
            "adamw keeps two numbers for each weight, sgd one",
            {
                "adamw": "Adam with decoupled weight decay",
                "sgd": "stochastic gradient descent with momentum, as in the papers; needs a higher learning_rate",
            },
        ),
    ] = "adamw"
    learning_rate: Annotated[float, Meaning("highest learning rate of the schedule")] = Field(1e-3, gt=0, le=10)
    schedule: Annotated[
        Literal["one-cycle", "constant"],
        Meaning(
            "learning rate over the training",
            choices={
                "one-cycle": "it rises during the first tenth, then falls to a thousandth",
                "constant": "it stays as it is",
            },
        ),
    ] = "one-cycle"
    momentum: Annotated[float, Meaning("share of the last step that sgd keeps; adamw ignores it")] = Field(
        0.9, ge=0, lt=1
    )
    weight_decay: Annotated[float, Meaning("pull of all weights towards 0; biases and normalisations have none")] = (
        Field(1e-2, ge=0, le=1)
    )
    clip: Annotated[float, Meaning("largest norm of the gradient; 0: no limit", "little time")] = Field(
        10.0, ge=0, le=1e6
    )
    settled: Annotated[
        float,
        Meaning("share of the training after which batch normalisation keeps its statistics; 1: never"),
    ] = Field(0.7, ge=0, le=1)
    recompute: Annotated[
        bool,
        Meaning(
            "whether the statistics of batch normalisation are taken again over the training pictures before each "
            "validation, as SegNet's release does",
            "a prediction of the training crops before each validation",
        ),
    ] = False
    validate_every: Annotated[
        int,
        Meaning("epochs from one validation to the next", "a lower number takes more time for validation"),
    ] = Field(1, ge=1, le=10**9)
    best: Annotated[
        Literal["mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "loss"],
        Meaning(
            "validation score that chooses the best epoch, whose model is kept",
            choices={
                "mean_iou": "the highest mean intersection over union of the classes",
                "mean_dice": "the highest mean Dice score of the classes",
                "global_accuracy": "the highest share of correct pixels",
                "class_accuracy": "the highest mean share of correct pixels of the classes",
                "loss": "the lowest loss",
            },
        ),
    ] = "mean_iou"
    start: Annotated[
        str | None,
        Meaning(
            "model file with the first weights, for every layer whose name and shape agree",
            "the time to read the file",
            example="runs/photos-unet",
        ),
    ] = None
    seed: Annotated[int, Meaning("seed of the split, the first weights and the crops")] = Field(0, ge=0, lt=1 << 63)

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("epochs and minutes together; one of them; leave one out")
        if self.parts is not None and self.parts > self.batch_size:
            reason = f"a batch of {self.batch_size} crops in {self.parts} parts"
            raise ObjectionError(reason, {"batch_size": self.parts}, {"parts": self.batch_size})
        return self


class LossSettings(_Section, LossFactors):
    """The settings of the loss, which is a sum of terms, each times its factor."""

    class_weights: Annotated[
        Literal["auto", "balanced", "median-frequency", "none"] | tuple[Weight, ...],
        Meaning(
            "weights of the classes in the cross-entropy: a word, or a number for each class",
            choices={
                "auto": "none for two classes, balanced for more",
                "balanced": "the square root of median-frequency, within 1/class_weight_cap and class_weight_cap",
                "median-frequency": "median share / share of the pixels of a class (Eigen and Fergus, as in SegNet)",
                "none": "all classes count alike",
            },
        ),
    ] = "auto"
    class_weight_cap: Annotated[
        float, Meaning("largest weight of class_weights=balanced; 1 divided by it is the smallest")
    ] = Field(3.0, ge=1, le=1e6)
    division: Annotated[
        Division,
        Meaning(
            "divisor of the weighted cross-entropy",
            choices={
                "weights": "the sum of the weights of the pixels, as in torch",
                "pixels": "the number of pixels that are not ignored, as in SegNet's release",
                "sum": "none, as in FCN's release, with a learning rate to suit; needs dice=0 and lovasz=0",
            },
        ),
    ] = "weights"
    emphasis: Annotated[
        Literal["none", "separation", "boundary"],
        Meaning(
            "pixels with higher weights in the cross-entropy",
            "a map of weights for each training picture, computed when it is read and kept with it in memory",
            {
                "none": "no pixels",
                "separation": "background between two objects that nearly touch (U-Net's weight map)",
                "boundary": "pixels near another class",
            },
        ),
    ] = "none"
    strength: Annotated[float, Meaning("weight that emphasis adds at distance 0")] = Field(10.0, gt=0, le=60_000)
    sigma: Annotated[
        float,
        Meaning(
            "distance in pixels over which the weight of emphasis falls off", "with separation, time to read a picture"
        ),
    ] = Field(5.0, gt=0, le=100)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.class_weights:
            raise ValueError("no class weights; one for each class; write class_weights=balanced, or a list")
        if not any(getattr(self, name) for name in TERMS):
            raise ObjectionError(f"{all_of(list(TERMS))} are all 0", *({name: 1.0} for name in TERMS))
        means = {name: 0.0 for name in TERMS if name != "cross_entropy" and getattr(self, name)}
        if self.division == "sum" and means:
            reason = "division=sum adds up pixels, and the other terms are means"
            raise ObjectionError(reason, means, {"division": "weights"})
        return self


class AugmentationSettings(_Section):
    """The settings of augmentation; None takes the value that suits the orientation."""

    orientation: Annotated[
        Literal["auto", "free", "upright"],
        Meaning(
            "whether pictures have a top and a bottom",
            choices={
                "auto": "measured on the training pictures",
                "free": "no top (microscopes, satellites): crops are mirrored, bent, and rotated by any angle",
                "upright": "a top (streets, rooms): crops are mirrored left to right, and rotated by a few degrees",
            },
        ),
    ] = "auto"
    flip_rows: Annotated[
        bool | None,
        Meaning("whether half of the crops are mirrored top to bottom; without it, if free", example=True),
    ] = None
    flip_columns: Annotated[
        bool | None, Meaning("whether half of the crops are mirrored left to right; without it, they are", example=True)
    ] = None
    quarter_turns: Annotated[
        bool,
        Meaning(
            "whether crops are rotated by 0, 90, 180 or 270 degrees, equally often; mirrored too, they have all eight "
            "orientations"
        ),
    ] = False
    rotation: Annotated[
        float | None,
        Meaning(
            "largest rotation in both directions, in degrees; without it, 180 if orientation is free and 5 if upright",
            example=15,
        ),
    ] = Field(None, ge=0, le=180)
    scale: Annotated[
        float,
        Meaning("largest change of size: 0.25 draws factors between 1/1.25 and 1.25, evenly in their logarithm"),
    ] = Field(0.25, ge=0, le=3)
    elastic: Annotated[
        float | None,
        Meaning(
            "standard deviation in pixels of the displacements at the points of a coarse grid (U-Net's elastic "
            "deformation); without it, 4 if orientation is free and 0 if upright",
            "time of the threads that prepare the crops",
            example=10,
        ),
    ] = Field(None, ge=0, le=100)
    elastic_points: Annotated[
        int,
        Meaning(
            "points of that grid along each side of the crop (3 in the U-Net paper); 0: about one every 128 pixels",
        ),
    ] = Field(0, ge=0, le=64)
    contrast: Annotated[float, Meaning("largest change of the contrast, as a share of it")] = Field(0.25, ge=0, le=3)
    brightness: Annotated[
        float, Meaning("largest change of the brightness, in standard deviations of the training pictures")
    ] = Field(0.25, ge=0, le=5)
    noise: Annotated[
        float,
        Meaning(
            "largest standard deviation of added Gaussian noise, as a share of that of the crop",
            "time of the threads that prepare the crops",
        ),
    ] = Field(0.1, ge=0, le=5)
    rare: Annotated[
        float,
        Meaning(
            "share of crops with their centre on a pixel of a class, drawn evenly from the classes in the picture; the "
            "others lie anywhere",
        ),
    ] = Field(0.33, ge=0, le=1)


class MachineSettings(_Section):
    """The settings of the machine."""

    device: Annotated[
        str,
        Meaning(
            "device to compute on: auto, cpu, cuda, cuda:1 or mps; auto takes a GPU if there is one",
            "time and memory of the device",
        ),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Meaning(
            "number type of the convolutions",
            "bfloat16 takes less time and memory on devices with units for it, and more time on others",
            {
                "auto": "bfloat16 where the device has matrix units for it",
                "float32": "24 binary digits",
                "bfloat16": "8 binary digits, in the range of float32",
            },
        ),
    ] = "auto"
    compile: Annotated[
        Literal["auto", "yes", "no"],
        Meaning(
            "whether the training step is compiled to machine code",
            "up to a minute before the training and again when batch normalisation settles, for faster steps",
            {
                "auto": "if the training is long enough for it to pay",
                "yes": "if it is possible here",
                "no": "never",
            },
        ),
    ] = "auto"
    memory_gb: Annotated[
        float | None,
        Meaning(
            "memory that a training may use, in GB; without it, the free memory",
            "with less memory a batch is computed in more parts",
            example=8,
        ),
    ] = Field(None, gt=0, le=1e6)


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
    """All settings of a run. The default of every key trains a sensible model."""

    config_version: Literal[1, 2] = 2
    net: Annotated[
        str, Meaning("name of the network; unpool explain lists them", "time and memory; unpool explain NET shows them")
    ] = "unet"
    licence: Annotated[
        str | None,
        Meaning("licence of the weights for the model's card, best as its SPDX name", example="CC-BY-4.0"),
    ] = Field(None, min_length=1, max_length=200)
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
