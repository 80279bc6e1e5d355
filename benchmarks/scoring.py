"""The time of scoring without the network: seconds for 1,000 pictures of 360 x 480 with 11 classes, on one core.

    python benchmarks/scoring.py

Logits are blurred noise, one map for each class, so that regions have wavy edges. The ground truth is the argmax of the
same maps with more noise. Twenty such pictures are predicted, counted and measured, and the mean time of one is
multiplied. Intervals and files are computed for 1,000 pictures. The time of boundaries is given for one picture.
Seconds are processor time, so other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from record import circumstances, write_results
from unpool.class_table import IGNORE_ID, Colour, Labels
from unpool.commands.test.page import images_csv
from unpool.io.files import write_json
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.io.write.images import write_image
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.image_means import image_means, image_numbers
from unpool.metrics.intervals import bootstrap
from unpool.metrics.measures import Evidence, MeasureResult, measure_set
from unpool.metrics.named import MEASURES
from unpool.metrics.scores import scores
from unpool.prediction.evaluation import Evaluation
from unpool.prediction.result import Kept, Prediction, TileLogits
from unpool.report.page import ImagePanel, ReportContents, write_report
from unpool.report.pictures import error_picture, overlay

QUICK = {"pictures": 12, "drawn": 3, "size": [48, 64]}


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="seconds that scoring takes without the network")
    parser.add_argument("--pictures", type=int, default=1000, help="pictures in the set")
    parser.add_argument("--drawn", type=int, default=20, help="pictures that are drawn; the others repeat them")
    parser.add_argument("--size", type=int, nargs=2, default=[360, 480], help="rows and columns of a picture")
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--json", help="file for the numbers, or - for the standard output")
    parser.add_argument("--quick", action="store_true", help="few small pictures, as a check that it runs")
    given = parser.parse_args(arguments)
    return argparse.Namespace(**{**vars(given), **(QUICK if given.quick else {})})


class Drawn:
    """One drawn picture: its logits, its labels and its image."""

    def __init__(self, seed: int, size: tuple[int, int], classes: int) -> None:
        random = np.random.default_rng(seed)
        maps = np.stack([ndimage.gaussian_filter(random.normal(size=size), 12) for _ in range(classes)])
        disturbed = maps + 0.5 * np.stack(
            [ndimage.gaussian_filter(random.normal(size=size), 8) for _ in range(classes)]
        )
        self.names = tuple(f"class {k}" for k in range(classes))
        self.logits: Tensor = torch.from_numpy((maps / maps.std() * 3).astype(np.float32))
        self.labels: Labels = disturbed.argmax(axis=0).astype(np.uint8)
        self.labels[random.random(size) < 0.03] = IGNORE_ID
        grey = 128 + 40 * maps[0] / maps.std() + random.normal(scale=4, size=size)
        self.image: NDArray[np.uint8] = np.repeat(grey[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)

    def predicted(self) -> Prediction:
        """The network's logits as a prediction with its confidence."""
        rows, columns = self.labels.shape
        prediction = Prediction.empty(len(self.names), (rows, columns), Kept(confidence=True))
        prediction.fill(TileLogits(slice(0, rows), slice(0, columns), self.logits))
        return prediction

    def evidence(self) -> Evidence:
        """Return the data that a measure reads."""
        predicted = self.predicted()
        assert predicted.confidence is not None
        return Evidence(self.labels, None, predicted.prediction, predicted.confidence, None)

    def loss(self) -> float:
        """Return the sum over counted pixels of -log p(true class)."""
        labels = torch.from_numpy(self.labels.astype(np.int64))
        return float(F.cross_entropy(self.logits[None], labels[None], ignore_index=IGNORE_ID, reduction="sum"))


def took(work: Callable[[], object]) -> float:
    """Return the processor seconds of a call."""
    begin = process_time()
    work()
    return process_time() - begin


def picture_rows(drawn: Sequence[Drawn], folder: Path) -> dict[str, float]:
    """Return the seconds per picture of each step that is done for every picture; boundaries last."""
    for k, each in enumerate(drawn):
        write_image(folder / f"{k}.png", each.image)
        write_image(folder / f"{k}-mask.png", each.labels)
    seen = [each.evidence() for each in drawn]
    names = drawn[0].names
    matrices = [ConfusionMatrix.of(names, each.labels, each.prediction) for each in seen]
    calibration, boundaries = MEASURES["calibration"](names), MEASURES["boundaries"](names)

    def each_of(work: Callable[[int], object]) -> float:
        return mean(took(lambda k=k: work(k)) for k in range(len(drawn)))  # type: ignore[misc]

    return {
        "reading picture and mask": each_of(
            lambda k: (read_image(folder / f"{k}.png"), read_mask(folder / f"{k}-mask.png"))
        ),
        "class ids and confidence": each_of(lambda k: drawn[k].predicted()),
        "loss": each_of(lambda k: drawn[k].loss()),
        "confusion counts": each_of(lambda k: ConfusionMatrix.of(names, seen[k].labels, seen[k].prediction)),
        "scores, means over classes": each_of(lambda k: image_numbers(scores(matrices[k]))),
        "calibration": each_of(lambda k: calibration.numbers(seen[k])),
        "boundaries": each_of(lambda k: boundaries.numbers(seen[k])),
    }


def set_rows(drawn: Sequence[Drawn], pictures: int, folder: Path) -> dict[str, float]:
    """Return the seconds of each step that is done once for a set."""
    seen = [each.evidence() for each in drawn]
    names = drawn[0].names
    matrices = [ConfusionMatrix.of(names, each.labels, each.prediction) for each in seen]
    total = sum(matrices[1:], matrices[0])
    images = tuple((f"{k:04}", scores(matrices[k % len(drawn)])) for k in range(pictures))
    evaluation, groups = Evaluation(total, scores(total), images, 1.0), {name: name for name, _ in images}
    measures = [image_means(names), MEASURES["calibration"](names)]
    numbers = [
        [image_numbers(picture) for _, picture in images],
        [measures[1].numbers(seen[k % len(drawn)]) for k in range(pictures)],
    ]
    results: list[MeasureResult] = []

    def measure(k: int) -> None:
        rows = [(name, row) for (name, _), row in zip(images, numbers[k], strict=True)]
        results.append(measure_set(measures[k], rows, groups))

    rows = {
        "intervals of the counts": took(lambda: bootstrap(images, groups)),
        "intervals of the means over pictures": took(lambda: measure(0)),
        "intervals of the calibration": took(lambda: measure(1)),
        "scores.json": took(lambda: write_json(folder / "scores.json", scores_json(evaluation, results))),
        "images.csv": took(lambda: images_csv(evaluation, results)),
    }
    rows["report.html"] = took(lambda: write_report(folder / "report.html", page_of(evaluation, results, drawn)))
    return rows


def page_of(evaluation: Evaluation, results: Sequence[MeasureResult], drawn: Sequence[Drawn]) -> ReportContents:
    """Return the contents of a page with all tables and with eight pictures."""
    colours = [(20 * k, 255 - 20 * k, 128) for k in range(len(drawn[0].names))]
    return ReportContents(
        title="scoring",
        subtitle="",
        summary=[],
        facts=[],
        colours=colours,
        matrix=evaluation.matrix,
        scores=evaluation.scores,
        intervals=None,
        image_rows=evaluation.images,
        panels=[panel_of(each, colours) for each in drawn[:8]],
        history=[],
        warnings=[],
        notes=[],
        command="",
        measured=results,
    )


def panel_of(each: Drawn, colours: Sequence[Colour]) -> ImagePanel:
    """Return one picture of the page."""
    prediction = each.predicted().prediction
    return ImagePanel(
        name="drawn",
        picture=each.image,
        truth=overlay(each.image, each.labels, colours),
        prediction=overlay(each.image, prediction, colours),
        error=error_picture(each.labels, prediction),
        mean_iou=0.5,
        note="",
    )


def scores_json(evaluation: Evaluation, results: Sequence[MeasureResult]) -> dict[str, Any]:
    """Return the parts of scores.json that grow with the number of pictures."""
    return {
        "images": [{"name": name, **each.to_json()} for name, each in evaluation.images],
        "measures": {each.measure.key: each.to_json() for each in results},
    }


def table_of(results: dict[str, Any]) -> str:
    """Return the numbers as a table of text."""
    given, rows = results["settings"], results["seconds"]
    lines = [f"{given['pictures']:,} pictures of {given['size'][0]} x {given['size'][1]}, {given['classes']} classes"]
    lines += [f"  {name:<40}{seconds:9.2f} s{100 * seconds / results['sum']:6.0f} %" for name, seconds in rows.items()]
    lines += [f"  {'all without boundaries':<40}{results['sum']:9.2f} s   100 %"]
    lines += [f"  {'boundaries, per picture':<40}{results['boundaries_a_picture']:9.3f} s"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each step and print a table."""
    torch.set_num_threads(1)
    given = options(arguments)
    drawn = [Drawn(seed, tuple(given.size), given.classes) for seed in range(given.drawn)]
    with tempfile.TemporaryDirectory() as folder:
        each = picture_rows(drawn, Path(folder))
        boundaries = each.pop("boundaries")
        seconds = {name: given.pictures * value for name, value in each.items()}
        seconds |= set_rows(drawn, given.pictures, Path(folder))
    results = {
        "seconds": seconds,
        "sum": sum(seconds.values()),
        "boundaries_a_picture": boundaries,
        "settings": vars(given),
        **circumstances(),
    }
    write_results(results, table_of(results), given.json)


if __name__ == "__main__":
    main()
