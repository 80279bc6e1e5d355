"""The reproduced examples of the symptom pages: made folders with one fault each, and what Unpool prints about them."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lessons.pages import in_language
from lessons.plain_unet import PlainUNet
from unpool.class_table import Labels
from unpool.cli.main import load_commands
from unpool.data.synthetic import synthetic_cells
from unpool.errors import UnpoolError
from unpool.io.write.images import write_image
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.scores import scores

COUNT = 12
"""Pictures in a made folder."""


def made(change: Callable[[int, NDArray[np.uint8], Labels], tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> None:
    """Write a folder ``cells`` of made pictures and masks into the current folder.

    Parameters
    ----------
    change: returns picture and mask of the given number, from the picture and its labels 0 and 1.
    """
    for number, drawn in enumerate(synthetic_cells(COUNT, seed=8, sizes=((96, 112),))):
        labels = (drawn.instances > 0).astype(np.uint8)
        picture, mask = change(number, drawn.image, labels)
        write_image(Path(f"cells/images/{number:02}.png"), picture)
        write_image(Path(f"cells/masks/{number:02}.png"), mask)


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """Work in a new folder, which is removed at the end."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(here)


def printed(line: str) -> str:
    """Return what a command of unpool prints in the current folder, an error included, as a block of text."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            load_commands()(shlex.split(line)[1:], exit_on_error=False, result_action="return_value")
        except UnpoolError as error:
            out.write(f"unpool: {error}")
    rows = [row.rstrip() for row in out.getvalue().strip().splitlines()]
    return "```text\n$ " + line + "\n" + "\n".join(rows) + "\n```"


def masks_of_zero_and_one() -> str:
    """Return the check of masks with the values 0 and 1, which look black in every viewer."""
    with elsewhere():
        made(lambda _, picture, labels: (picture, labels))
        return printed("unpool check cells")


def one_mask_of_another_size() -> str:
    """Return the check of a folder in which one mask has lost its last column."""
    with elsewhere():
        made(lambda number, picture, labels: (picture, 255 * (labels[:, :-1] if number == 4 else labels)))
        return printed("unpool check cells")


def smeared_masks() -> str:
    """Return the check of masks whose edges were smoothed."""

    def smooth(_: int, picture: NDArray[np.uint8], labels: Labels) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        padded = np.pad(labels.astype(float), 1, mode="edge")
        mean = sum(padded[r : r + labels.shape[0], c : c + labels.shape[1]] for r in range(3) for c in range(3)) / 9
        return picture, np.round(255 * mean).astype(np.uint8)

    with elsewhere():
        made(smooth)
        return printed("unpool check cells")


def background_only(share: float) -> str:
    """Return the scores of a network that answers background everywhere, for this share of foreground.

    Parameters
    ----------
    share: of the pixels that are foreground, 0..1.
    """
    labels = np.zeros((100, 100), np.uint8)
    labels.reshape(-1)[: round(share * labels.size)] = 1
    matrix = ConfusionMatrix.of(("background", "cell"), labels, np.zeros_like(labels))
    found = scores(matrix)
    rows = [in_language("| score | value |", "| 指标 | 值 |"), "|---|--:|"]
    for name, value in (
        (in_language("pixel accuracy", "像素准确率"), found.global_accuracy),
        (in_language("IoU of the background", "背景的 IoU"), found.classes[0].iou),
        (in_language("IoU of the cells", "细胞的 IoU"), found.classes[1].iou),
        (in_language("mean IoU", "平均 IoU"), found.mean_iou),
    ):
        rows.append(f"| {name} | {value:.3f} |")
    return "\n".join(rows)


def shuffled_pairs() -> str:
    """Return the note of the check on masks that belong to their pictures, and on masks of the next pictures."""
    drawn = [(each.instances > 0).astype(np.uint8) for each in synthetic_cells(COUNT, seed=8, sizes=((96, 112),))]
    found = []
    for shift in (0, 1):
        with elsewhere():
            made(lambda number, picture, _, shift=shift: (picture, drawn[(number + shift) % COUNT]))  # type: ignore[misc]
            rows = printed("unpool check cells").splitlines()
        first = next(k for k, row in enumerate(rows) if "[unnamed-classes]" in row)
        last = next(k for k, row in enumerate(rows) if "to do:" in row)
        found.append(" ".join(row.strip() for row in rows[first:last]).partition("of their own; ")[2])
    names = (
        in_language("each picture with its mask", "图片与掩码对应"),
        in_language("each picture with the next mask", "每张图片配了下一张的掩码"),
    )
    head = in_language(
        "| pairs | what `unpool check` notes about the classes |", "| 配对 | `unpool check` 对类别的说明 |"
    )
    return "\n".join([head, "|---|---|", *(f"| {name} | {note} |" for name, note in zip(names, found, strict=True))])


def loss_of_shares() -> str:
    """Return the least loss of a network that knows only how frequent the classes of the made masks are."""
    drawn = synthetic_cells(COUNT, seed=8, sizes=((96, 112),))
    share = float(np.mean([(each.instances > 0).mean() for each in drawn]))
    least = -share * np.log(share) - (1 - share) * np.log(1 - share)
    return f"−{share:.2f} · ln {share:.2f} − {1 - share:.2f} · ln {1 - share:.2f} = {least:.2f}"


def odd_size() -> str:
    """Return the message of PyTorch where a U-Net without cropping meets a picture of an odd size."""

    class Uncropped(PlainUNet):
        """The plain U-Net with padding and without ``crop``, as many write it."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            """Return the logits."""
            fine = self.down[0](image)
            up = torch.nn.functional.interpolate(self.pool(fine), scale_factor=2)
            return torch.cat([fine, up], dim=1)

    try:
        Uncropped(width=2)(torch.zeros(1, 1, 101, 100))
    except RuntimeError as error:
        return f"```text\nRuntimeError: {str(error).splitlines()[0]}\n```"
    raise AssertionError("the sizes fit")


def logarithm_of_zero() -> str:
    """Return how a loss becomes NaN: a softmax that is rounded to 0, its logarithm, and 0 times infinity."""
    logits = torch.tensor([200.0, -200.0], requires_grad=True)
    truth = torch.tensor([1.0, 0.0])
    wrong = -(truth * logits.softmax(0).log()).sum()
    right = torch.nn.functional.cross_entropy(logits[None], torch.tensor([0]))
    head = in_language("| the loss of the scores 200 and -200 | value |", "| 分数为 200 和 -200 时的损失 | 值 |")
    rows = [head, "|---|--:|"]
    rows += [f"| `-(truth * softmax.log()).sum()` | {wrong.item():g} |"]
    return "\n".join([*rows, f"| `F.cross_entropy` | {right.item():g} |"])
