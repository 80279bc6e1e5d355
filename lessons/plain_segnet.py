"""SegNet in plain PyTorch: Badrinarayanan, Kendall, Cipolla, arXiv 1511.00561, figure 2."""

from itertools import pairwise

from torch import Tensor, nn


def convolutions(widths: list[int]) -> nn.Sequential:
    """Return 3x3 convolutions that keep the size, each with batch normalisation and a ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class PlainSegNet(nn.Module):
    """VGG16's 13 convolutions down, their mirror up; ``width`` maps in the first stage, 64 in the paper."""

    def __init__(self, channels: int = 3, classes: int = 11, width: int = 64) -> None:
        super().__init__()
        w = width
        encoder = [
            [channels, w, w],
            [w, 2 * w, 2 * w],
            [2 * w, 4 * w, 4 * w, 4 * w],
            [4 * w, 8 * w, 8 * w, 8 * w],
            [8 * w, 8 * w, 8 * w, 8 * w],
        ]
        decoder = [
            [8 * w, 8 * w, 8 * w, 8 * w],
            [8 * w, 8 * w, 8 * w, 4 * w],
            [4 * w, 4 * w, 4 * w, 2 * w],
            [2 * w, 2 * w, w],
            [w, w],
        ]
        self.down = nn.ModuleList(map(convolutions, encoder))
        self.pool = nn.MaxPool2d(2, ceil_mode=True, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        self.joined = nn.ModuleList(map(convolutions, decoder))
        self.head = nn.Conv2d(width, classes, kernel_size=3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (N, classes, rows, columns) of pictures (N, channels, rows, columns)."""
        maps, skips = image, []
        for stage in self.down:
            maps = stage(maps)
            size = maps.shape
            maps, indices = self.pool(maps)
            skips.append((indices, size))  # the places of the maxima, instead of the maps
        for joined in self.joined:
            indices, size = skips.pop()
            maps = self.unpool(maps, indices, output_size=size)
            maps = joined(maps)
        return self.head(maps)
