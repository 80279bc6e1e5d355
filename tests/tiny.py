"""Small sets, networks and settings that train in a second."""

import itertools
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unpool import optim
from unpool.class_table import ClassTable
from unpool.commands.events import Event
from unpool.commands.predict import predict as predicting
from unpool.commands.predict.predict import Predicted
from unpool.commands.predict.targets import ExtraOutputs
from unpool.data.augmentation import Augmentation, Crop
from unpool.data.batches import CropSampler
from unpool.data.samples import Sample
from unpool.data.synthetic import separated_mask, synthetic_cells
from unpool.io.write.images import write_image
from unpool.losses.loss import Loss, LossValue
from unpool.machine.device import Machine
from unpool.nets.families import network_of, structure_of
from unpool.nets.named import named_net
from unpool.normalisation import ChannelConstants, Normalisation
from unpool.segmenter import Segmenter
from unpool.training.records import Budget
from unpool.training.setup import TrainingSetup

CELLS = ClassTable("values", ("background", "cell"), ((0,), (255,)), (), ((0, 0, 0), (240, 60, 60)))
CPU = Machine(torch.device("cpu"), reduced=False)
NO_CHANGE = Augmentation().none()
SIZES = ((48, 56), (49, 63), (64, 48))
EXTRAS = ("overlays", "probabilities", "uncertainty", "objects", "mask_form", "opacity")
STRUCTURES: dict[str, dict[str, Any]] = {
    "unet": {"width": 4, "depth": 2},
    "segnet-basic": {"width": 4, "depth": 2, "kernel": 3},
}


def settings(net: str = "unet", **training: Any) -> dict[str, Any]:
    """Settings of a run with few maps and small crops, in float32 on the CPU."""
    return {
        "net": net,
        "structure": STRUCTURES[net],
        "training": {"epochs": 2, "crop": 32, "batch_size": 2, **training},
        "machine": {"device": "cpu", "precision": "float32", "compile": "no"},
    }


def options(net: str = "unet") -> list[str]:
    """``settings`` as options of the command line, without the budget."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in STRUCTURES[net].items()}
    given = {**plain, "crop": 32, "batch_size": 2, "precision": "float32", "compile": "no"}
    sets = itertools.chain.from_iterable(("--set", f"{key}={value}") for key, value in given.items())
    return ["--net", net, "--device", "cpu", *sets]


def pictures(count: int, seed: int = 0) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield name, grey picture and 0/255 mask of synthetic cells."""
    for picture in synthetic_cells(count, seed, SIZES):
        yield picture.name, picture.image, separated_mask(picture.instances)


def write_set(folder: Path, count: int, seed: int = 0) -> Path:
    """Write a folder with ``images/NN.png`` and ``masks/NN.png``."""
    for name, image, mask in pictures(count, seed):
        write_image(folder / "images" / f"{name}.png", image)
        write_image(folder / "masks" / f"{name}.png", mask)
    return folder


def samples(count: int, seed: int = 0) -> list[Sample]:
    """Return the synthetic cells as samples."""
    return [
        Sample(name, image[..., None], CELLS.encode(mask, name), None) for name, image, mask in pictures(count, seed)
    ]


def segmenter(
    net: str = "unet", channels: int = 1, classes: ClassTable = CELLS, seed: int = 0, **structure: Any
) -> Segmenter:
    """Return a freshly initialised small network that takes uint8, in evaluation mode."""
    torch.manual_seed(seed)
    made = structure_of({**named_net(net).structure.model_dump(), **STRUCTURES[net], **structure})
    network = network_of(made, channels, len(classes)).eval()
    constants = ChannelConstants((60.0,) * channels, (50.0,) * channels)
    return Segmenter(net, network, Normalisation(channels, {"uint8": constants}), classes)


def sampler(data: list[Sample], model: Segmenter, seed: int = 0, **changes: Any) -> CropSampler:
    """Return a sampler of crops of 32 x 32, two a step, six steps an epoch."""
    given = {
        "samples": data,
        "areas": [s.labels.size for s in data],
        "crop": Crop(32, 32),
        "batch_size": 2,
        "augmentation": Augmentation(),
        "normalisation": model.normalisation,
        "seed": seed,
        "least_steps": 6,
        "most_steps": 6,
    }
    return CropSampler(**{**given, **changes})


def setup(model: Segmenter, data: list[Sample], validation: list[Sample], **changes: Any) -> TrainingSetup:
    """Return the setup of a training of three epochs over ``sampler``."""
    given = {
        "batches": sampler(data, model),
        "validation": validation,
        "loss": Loss(),
        "optimiser": optim.optimiser(model.network, "adamw", 1e-2, 1e-2),
        "learning_rate": 1e-2,
        "budget": Budget(epochs=3),
        "machine": CPU,
    }
    return TrainingSetup(**{**given, **changes})


def predict(model: Path, inputs: list[str], out: Path, **options: Any) -> Generator[Event, None, Predicted]:
    """The command ``predict`` with the options of both its records by name."""
    extras = {name: options.pop(name) for name in EXTRAS if name in options}
    return predicting.predict(model, inputs, out, ExtraOutputs(**extras), predicting.PredictionOptions(**options))


def short_of_memory(limit: int, *errors: Exception) -> Any:
    """Return a loss that runs out of memory when it is given more than ``limit`` crops at once."""
    plain = Loss()

    class Hungry:
        division = "weights"

        def __call__(self, logits: torch.Tensor, *rest: Any) -> LossValue:
            if len(logits) > limit:
                raise errors[0]
            return plain(logits, *rest)

    return Hungry()


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Tell whether all parameters and buffers are equal, bit for bit."""
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread inside this context."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
