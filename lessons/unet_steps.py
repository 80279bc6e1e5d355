"""Four small networks on the way to ``plain_unet.PlainUNet``: each can be trained, and each shows one idea more."""

import torch
from torch import Tensor, nn

from lessons.plain_unet import crop, double_convolution


class OnePixel(nn.Module):
    """Step 1: one score a class, from the pixel alone."""

    def __init__(self, channels: int = 1, classes: int = 2) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, classes, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (N, classes, rows, columns)."""
        return self.head(image)


class Neighbours(nn.Module):
    """Step 2: two convolutions, so that a pixel's neighbours count."""

    def __init__(self, channels: int = 1, classes: int = 2, width: int = 16) -> None:
        super().__init__()
        self.look = double_convolution(channels, width)
        self.head = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (N, classes, rows - 4, columns - 4)."""
        return self.head(self.look(image))


class Hourglass(nn.Module):
    """Step 3: down by pooling to see far, up by a transposed convolution to the pixels again."""

    def __init__(self, channels: int = 1, classes: int = 2, width: int = 16) -> None:
        super().__init__()
        self.down = double_convolution(channels, width)
        self.pool = nn.MaxPool2d(2)
        self.bottom = double_convolution(width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, kernel_size=2, stride=2)
        self.head = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (N, classes, rows - 12, columns - 12)."""
        maps = self.pool(self.down(image))
        return self.head(self.up(self.bottom(maps)))


class OneSkip(Hourglass):
    """Step 4: the maps from before the pooling come back beside those from below: copy and crop."""

    def __init__(self, channels: int = 1, classes: int = 2, width: int = 16) -> None:
        super().__init__(channels, classes, width)
        self.joined = double_convolution(2 * width, width)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (N, classes, rows - 16, columns - 16)."""
        fine = self.down(image)
        maps = self.up(self.bottom(self.pool(fine)))
        maps = torch.cat([crop(fine, maps.shape[2:]), maps], dim=1)
        return self.head(self.joined(maps))
