"""A methods paragraph with its references, ready to paste: what a model's card and a test say, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unpool.ledger.text import TITLES
from unpool.metrics.intervals import RESAMPLES, Intervals
from unpool.metrics.measures import Measured
from unpool.metrics.scores import Scores
from unpool.nets.named import NAMED_NETS, named_net
from unpool.nets.network import NetworkStructure
from unpool.report.text import with_interval

LOSSES = {
    "dice": ("the soft Dice loss", "Milletari, Navab, Ahmadi: V-Net. 3DV 2016, arXiv 1606.04797"),
    "lovasz": ("the Lovász-softmax loss", "Berman, Triki, Blaschko: The Lovász-Softmax loss. CVPR 2018"),
}
OPTIMISERS = {
    "adamw": ("AdamW", "Loshchilov, Hutter: Decoupled Weight Decay Regularization. ICLR 2019, arXiv 1711.05101"),
    "sgd": ("stochastic gradient descent with momentum {momentum}", ""),
}
WEIGHTS = {
    "balanced": "weighted by the square root of median class frequencies",
    "median-frequency": "weighted by median class frequencies",
}
MEDIAN_FREQUENCY = "Eigen, Fergus: Predicting Depth, Surface Normals and Semantic Labels. ICCV 2015, arXiv 1411.4734"
FOCAL = "Lin et al.: Focal Loss for Dense Object Detection. ICCV 2017, arXiv 1708.02002"
ONE_CYCLE = "Smith: A disciplined approach to neural network hyper-parameters. 2018, arXiv 1803.09820"
BOOTSTRAP = "Efron: Bootstrap Methods: Another Look at the Jackknife. Annals of Statistics 7, 1979"
PYTORCH = "Paszke et al.: PyTorch. NeurIPS 2019, arXiv 1912.01703"

_SEPARATION = "and of pixels between two objects more"
_BOUNDARY = "and of pixels at boundaries more"


@dataclass(frozen=True)
class Methods:
    """Paragraphs of plain text, in which [1] is the first reference."""

    paragraphs: tuple[str, ...]
    references: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a test found.

    Attributes
    ----------
    pictures: how many, and which: "the val split".
    averaged: how several answers were made one, in words; empty where there was one.
    """

    pictures: int
    which: str
    scores: Scores
    intervals: Intervals | None
    measured: Sequence[Measured] = ()
    averaged: str = ""


def methods(
    net: str,
    structure: NetworkStructure,
    parameters: int,
    classes: Sequence[str],
    story: Mapping[str, Any],
    test: Outcome,
) -> Methods:
    """The paragraphs on network, training and evaluation.

    Parameters
    ----------
    net: the network's name; ``structure`` what it is, ``parameters`` how many it has.
    story: of the model's card; what it does not hold is not written.
    """
    sources: list[str] = []
    paragraphs = (
        _network(net, structure, parameters, classes, story, sources),
        _training(story, sources),
        _evaluation(test, sources),
    )
    return Methods(tuple(text for text in paragraphs if text), tuple(sources))


def _cited(source: str, sources: list[str]) -> str:
    """The number of a source, which joins the list when it is first cited; nothing for no source."""
    if not source:
        return ""
    if source not in sources:
        sources.append(source)
    return f" [{sources.index(source) + 1}]"


def _network(
    net: str,
    structure: NetworkStructure,
    parameters: int,
    classes: Sequence[str],
    story: Mapping[str, Any],
    sources: list[str],
) -> str:
    source = str(story.get("citation", "")) or (named_net(net).citation if net in NAMED_NETS else "")
    changes = _changes(net, structure)
    return (
        f"Pictures were segmented into {len(classes)} classes ({', '.join(classes)}) with the network {net}"
        f"{_cited(source, sources)}{f', changed to {changes},' if changes else ''} of {parameters:,} parameters."
    )


def _changes(net: str, structure: NetworkStructure) -> str:
    if net not in NAMED_NETS:
        return ""
    plain, here = named_net(net).structure.model_dump(), structure.model_dump()
    return ", ".join(f"{key} = {value}" for key, value in here.items() if plain.get(key) != value)


def _training(story: Mapping[str, Any], sources: list[str]) -> str:
    config = story.get("config", {})
    given, data = config.get("training", {}), story.get("data", {})
    if not given or not data:
        return ""
    split = data.get("split", {})
    crop = story.get("crop", {})
    optimiser, source = OPTIMISERS[given["optimiser"]]
    held = len(split.get("val", ()))
    sentences = [
        f"It was trained on {len(split.get('train', ()))} pictures"
        + (f"; {_counted(held, 'other')}, not trained on, chose the epoch ({split.get('origin', '')})" if held else ""),
        f"Batches of {_counted(given.get('batch_size'), 'crop')} of {crop.get('rows')} x {crop.get('columns')} pixels"
        + _varied(config.get("augmentation", {})),
        _loss(config.get("loss", {}), sources),
        f"Weights were optimised with {optimiser.format(**given)}{_cited(source, sources)} at a learning rate of "
        f"{given.get('learning_rate')}" + _schedule(given, sources) + f", for {_budget(given)}, with seed "
        f"{given.get('seed')}",
        f"The weights of epoch {story.get('epoch')} were kept, chosen by validation "
        f"{str(given.get('best', 'mean_iou')).replace('_', ' ').replace('iou', 'IoU')}",
        _software(story, sources),
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _counted(count: Any, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _varied(augmentation: Mapping[str, Any]) -> str:
    def value(key: str) -> float:
        return float(augmentation.get(key) or 0)

    mirrored = [axis for axis, key in (("rows", "flip_rows"), ("columns", "flip_columns")) if augmentation.get(key)]
    words = [
        f"mirrored along {' and '.join(mirrored)}" if mirrored else "",
        f"turned by up to {value('rotation'):g} degrees" if value("rotation") else "",
        f"scaled by up to {value('scale'):.0%}" if value("scale") else "",
        f"deformed elastically (deviation {value('elastic'):g} pixels)" if value("elastic") else "",
        "varied in " + " and ".join(key for key in ("contrast", "brightness") if value(key))
        if value("contrast") or value("brightness")
        else "",
        "given noise" if value("noise") else "",
    ]
    known = [word for word in words if word]
    return f" were drawn at random and {', '.join(known)}" if known else " were drawn at random"


def _loss(loss: Mapping[str, Any], sources: list[str]) -> str:
    if not loss:
        return ""
    terms = []
    if loss.get("cross_entropy"):
        weights = loss.get("class_weights")
        words = WEIGHTS.get(weights, "") if isinstance(weights, str) else "with weighted classes"
        cited = _cited(MEDIAN_FREQUENCY, sources) if weights in WEIGHTS else ""
        focal = f", focal with exponent {loss['focal']:g}{_cited(FOCAL, sources)}" if loss.get("focal") else ""
        more = {"separation": _SEPARATION, "boundary": _BOUNDARY}.get(loss.get("emphasis", ""), "")
        details = ", ".join(part for part in (f"{words}{cited}".strip(), more) if part)
        terms.append("the cross-entropy" + focal + (f" ({details})" if details else ""))
    terms += [f"{words}{_cited(source, sources)}" for key, (words, source) in LOSSES.items() if loss.get(key)]
    return "The loss was " + ("the sum of " if len(terms) > 1 else "") + " and ".join(terms)


def _schedule(given: Mapping[str, Any], sources: list[str]) -> str:
    if given.get("schedule", "one-cycle") == "one-cycle":
        return f" in one cycle{_cited(ONE_CYCLE, sources)}"
    return ""


def _budget(given: Mapping[str, Any]) -> str:
    if given.get("epochs") is not None:
        return f"{given['epochs']} epochs"
    return f"{float(given.get('minutes') or 0):g} minutes"


def _software(story: Mapping[str, Any], sources: list[str]) -> str:
    versions = story.get("software", {})
    if not versions:
        return ""
    torch = f" and PyTorch {versions['torch']}{_cited(PYTORCH, sources)}" if "torch" in versions else ""
    return f"Unpool {versions.get('unpool', '')}{torch} ran on {story.get('machine', 'an unknown machine')}"


def _evaluation(test: Outcome, sources: list[str]) -> str:
    found = [
        f"{title} {with_interval(getattr(test.scores, key), getattr(test.intervals, key, None))}"
        for key, title in TITLES.items()
    ]
    sentences = [
        f"The network was scored on {_counted(test.pictures, 'picture')} ({test.which}), whose "
        f"{test.scores.pixels:,} labelled pixels were counted at their original size in one confusion matrix",
        f"Probabilities are the mean over {test.averaged}" if test.averaged else "",
        "A class that is neither in the truth nor predicted was left out of every mean",
        f"Found were {', '.join(found)}",
    ]
    if test.intervals:
        sentences.append(
            f"Brackets hold 95 % intervals by the percentile bootstrap{_cited(BOOTSTRAP, sources)}: {RESAMPLES:,} "
            f"resamples of the {test.intervals.units} {test.intervals.unit}s"
        )
    for each in test.measured:
        first = each.measure.columns[0]
        value = each.value(first.key)
        if value is not None:
            sentences.append(f"{first.title} was {value:.{first.digits}f}")
    return " ".join(f"{sentence}." for sentence in sentences if sentence)
