"""U-Net as its paper draws it, in plain PyTorch: Ronneberger, Fischer, Brox, arXiv 1505.04597, figure 1."""

import torch
from torch import Tensor, nn


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Return two 3x3 convolutions without padding, each with a ReLU: 4 rows and 4 columns are lost."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, kernel_size=3),
        nn.ReLU(),
    )


def crop(maps: Tensor, size: torch.Size) -> Tensor:
    """Return the middle of some maps, with the rows and columns of ``size``."""
    top = (maps.shape[2] - size[0]) // 2
    left = (maps.shape[3] - size[1]) // 2
    return maps[:, :, top : top + size[0], left : left + size[1]]


class PlainUNet(nn.Module):
    """Four poolings down, four up-convolutions up; ``width`` maps in the first stage, 64 in the paper."""

    def __init__(self, channels: int = 1, classes: int = 2, width: int = 64) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.down = nn.ModuleList()
        for outputs in widths:
            self.down.append(double_convolution(channels, outputs))
            channels = outputs
        self.pool = nn.MaxPool2d(2)
        self.bottom = double_convolution(8 * width, 16 * width)
        self.up, self.joined = nn.ModuleList(), nn.ModuleList()
        for outputs in reversed(widths):
            self.up.append(nn.ConvTranspose2d(2 * outputs, outputs, kernel_size=2, stride=2))
            self.joined.append(double_convolution(2 * outputs, outputs))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (N, classes, rows - 184, columns - 184) of pictures (N, channels, rows, columns)."""
        maps, skips = image, []
        for stage in self.down:
            maps = stage(maps)
            if stage is self.down[-1]:
                maps = self.drop(maps)
            skips.append(maps)  # copy ...
            maps = self.pool(maps)
        maps = self.drop(self.bottom(maps))
        for up, joined in zip(self.up, self.joined, strict=True):
            maps = up(maps)
            skip = crop(skips.pop(), maps.shape[2:])  # ... and crop
            maps = joined(torch.cat([skip, maps], dim=1))
        return self.head(maps)
