"""From a folder to a network and to masks, in plain PyTorch: grey pictures, and masks of a few values."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lessons.plain_loop import train

VALUES = (0, 255)
"""The values of the masks, ascending: the first is class 0, the second class 1, and so on."""


def grey(path: Path) -> Tensor:
    """Read a picture as float32 (1, rows, columns)."""
    return torch.from_numpy(np.array(Image.open(path).convert("L"), dtype=np.float32))[None]


class Folder:
    """The pictures of ``images/`` and the masks of ``masks/``: files with the same names."""

    def __init__(self, folder: Path) -> None:
        names = sorted(path.name for path in (folder / "masks").glob("*.png"))
        self.pictures = [grey(folder / "images" / name) for name in names]
        masks = [np.array(Image.open(folder / "masks" / name)) for name in names]
        assert np.isin(np.concatenate([mask.ravel() for mask in masks]), VALUES).all(), "a mask has another value"
        self.labels = [torch.from_numpy(np.searchsorted(VALUES, mask)) for mask in masks]
        pixels = torch.cat([picture.flatten() for picture in self.pictures])
        self.mean, self.deviation = pixels.mean(), pixels.std()

    def batches(self, side: int = 96, size: int = 4) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each picture once, in another order each time: a crop of it from a random place."""
        for chosen in torch.randperm(len(self.labels)).split(size):
            pictures, labels = [], []
            for number in chosen.tolist():
                rows, columns = self.labels[number].shape
                top, left = (int(torch.randint(length - side + 1, ())) for length in (rows, columns))
                pictures.append(self.pictures[number][:, top : top + side, left : left + side])
                labels.append(self.labels[number][top : top + side, left : left + side])
            yield (torch.stack(pictures) - self.mean) / self.deviation, torch.stack(labels)


def learn(network: nn.Module, folder: Path, weights: Path, epochs: int = 20) -> list[float]:
    """Train a network on a folder; save its weights, and the two numbers that a new picture is normalised by."""
    data = Folder(folder)
    losses = train(network, data.batches, epochs)
    save_file({**network.state_dict(), "mean": data.mean, "deviation": data.deviation}, weights)
    return losses


@torch.no_grad()
def write_mask(network: nn.Module, weights: Path, picture: Path, mask: Path) -> None:
    """Write the mask of a picture, by a network with saved weights."""
    saved = load_file(weights)
    mean, deviation = saved.pop("mean"), saved.pop("deviation")
    network.load_state_dict(saved)
    network.eval()
    logits = network((grey(picture)[None] - mean) / deviation)
    classes = logits.argmax(dim=1)[0].numpy()
    Image.fromarray(np.array(VALUES, dtype=np.uint8)[classes]).save(mask)
