"""Methods paragraphs with their references, to paste into a paper: only facts from a model's card and a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unpool.ledger.text import TITLES
from unpool.losses.loss import TERMS, Loss
from unpool.metrics.intervals import RESAMPLES, Intervals
from unpool.metrics.measures import MeasureResult
from unpool.metrics.scores import Scores
from unpool.nets.named import NAMED_NETS, named_net
from unpool.nets.network import NetworkStructure
from unpool.report.text import with_interval
from unpool.wording import all_of, count_text

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

_SEPARATION = "with more weight on pixels between two objects"
_BOUNDARY = "with more weight on pixels at boundaries"


@dataclass(frozen=True)
class Methods:
    """Paragraphs of plain text, in which [1] is the first reference."""

    paragraphs: tuple[str, ...]
    references: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """The result of a test.

    Attributes
    ----------
    pictures, which: number of the tested pictures, and which they are: "the val split".
    averaged: predictions that were averaged for each picture, in words; empty if there was one.
    """

    pictures: int
    which: str
    scores: Scores
    intervals: Intervals | None
    measured: Sequence[MeasureResult] = ()
    averaged: str = ""


def methods(
    net: str,
    structure: NetworkStructure,
    parameters: int,
    classes: Sequence[str],
    story: Mapping[str, Any],
    test: Outcome,
) -> Methods:
    """Return the paragraphs on network, training and evaluation.

    Parameters
    ----------
    net, structure, parameters: the network's name, its structure, and its number of parameters.
    story: story of the model's card. A fact that it does not hold is left out.
    """
    sources: list[str] = []
    paragraphs = (
        _network(net, structure, parameters, classes, story, sources),
        _training(story, sources),
        _evaluation(test, sources),
    )
    return Methods(tuple(text for text in paragraphs if text), tuple(sources))


def _cited(source: str, sources: list[str]) -> str:
    """Return the number of a source in brackets, and add a new source to the list; an empty text for no source."""
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
    count = f"{len(classes)} classes ({', '.join(classes)})"
    if members := story.get("members", ()):
        return _ensemble(members, parameters, count, story, sources)
    source = str(story.get("citation", "")) or (named_net(net).citation if net in NAMED_NETS else "")
    changes = _changes(net, structure)
    return (
        f"Pictures were segmented into {count} with the network {net}"
        f"{_cited(source, sources)}{f', changed to {changes},' if changes else ''} of {parameters:,} parameters."
    )


def _ensemble(
    members: Sequence[Mapping[str, Any]], parameters: int, count: str, story: Mapping[str, Any], sources: list[str]
) -> str:
    nets = all_of([f"{each['net']}{_cited(str(each.get('citation') or ''), sources)}" for each in members])
    trained = story.get("data", {}).get("split", {}).get("train", ())
    return (
        f"Pictures were segmented into {count} with an ensemble of {len(members)} networks: {nets}, of {parameters:,} "
        f"parameters together. The probability of each class is the mean of theirs."
    ) + (f" At least one of them was trained on each of {count_text(len(trained), 'picture')}." if trained else "")


def _changes(net: str, structure: NetworkStructure) -> str:
    if net not in NAMED_NETS:
        return ""
    plain, here = named_net(net).structure.model_dump(), structure.model_dump()
    return ", ".join(f"{key} = {value}" for key, value in here.items() if plain.get(key) != value)


def _training(story: Mapping[str, Any], sources: list[str]) -> str:
    config = story.get("config", {})
    training, data = config.get("training", {}), story.get("data", {})
    if not training or not data:
        return ""
    split = data.get("split", {})
    crop = story.get("crop", {})
    optimiser, source = OPTIMISERS[training["optimiser"]]
    words = optimiser.format(momentum=training.get("momentum"))
    validation = len(split.get("val", ()))
    batch = count_text(training["batch_size"], "crop")
    sentences = [
        f"It was trained on {count_text(len(split.get('train', ())), 'picture')}"
        + (f"; the best epoch was chosen on {validation} more ({split.get('origin', '')})" if validation else ""),
        "Each picture was normalised by its own mean and deviation"
        if config.get("data", {}).get("normalisation") == "picture"
        else "",
        f"Batches of {batch} of {crop.get('rows')} x {crop.get('columns')} pixels"
        + _augmentation(config.get("augmentation", {})),
        _loss(config.get("loss", {}), sources),
        f"Weights were optimised with {words}{_cited(source, sources)} at a learning rate of "
        f"{training.get('learning_rate')}" + _schedule(training, sources) + f", for {_budget(training)}, with seed "
        f"{training.get('seed')}",
        f"The weights of epoch {story.get('epoch')} were kept, chosen by validation "
        f"{str(training.get('best', 'mean_iou')).replace('_', ' ').replace('iou', 'IoU')}",
        _software(story, sources),
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _augmentation(augmentation: Mapping[str, Any]) -> str:
    def value(key: str) -> float:
        return float(augmentation.get(key) or 0)

    mirrored = [axis for axis, key in (("rows", "flip_rows"), ("columns", "flip_columns")) if augmentation.get(key)]
    words = [
        f"mirrored along {' and '.join(mirrored)}" if mirrored else "",
        "rotated by quarter turns" if augmentation.get("quarter_turns") else "",
        f"rotated by up to {value('rotation'):g} degrees" if value("rotation") else "",
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
        cited = _cited(MEDIAN_FREQUENCY, sources) if words in WEIGHTS.values() else ""
        focal = f", focal with exponent {loss['focal']:g}{_cited(FOCAL, sources)}" if loss.get("focal") else ""
        emphasis = {"separation": _SEPARATION, "boundary": _BOUNDARY}.get(loss.get("emphasis", ""), "")
        details = ", ".join(part for part in (f"{words}{cited}".strip(), emphasis) if part)
        terms.append("the cross-entropy" + focal + (f" ({details})" if details else ""))
    others = [make(Loss()) for name, make in TERMS.items() if name != "cross_entropy" and loss.get(name)]
    terms += [f"the {term.title} loss{_cited(term.citation, sources)}" for term in others]
    return "The loss was " + ("the sum of " if len(terms) > 1 else "") + " and ".join(terms)


def _schedule(training: Mapping[str, Any], sources: list[str]) -> str:
    if training.get("schedule", "one-cycle") == "one-cycle":
        return f" in one cycle{_cited(ONE_CYCLE, sources)}"
    return ""


def _budget(training: Mapping[str, Any]) -> str:
    if training.get("epochs") is not None:
        return f"{training['epochs']} epochs"
    return f"{float(training.get('minutes') or 0):g} minutes"


def _software(story: Mapping[str, Any], sources: list[str]) -> str:
    versions = story.get("software", {})
    if not versions:
        return ""
    torch = f" and PyTorch {versions['torch']}{_cited(PYTORCH, sources)}" if "torch" in versions else ""
    return f"Unpool {versions.get('unpool', '')}{torch} ran on {story.get('machine', 'an unknown machine')}"


def _evaluation(test: Outcome, sources: list[str]) -> str:
    scores = [
        f"{title} {with_interval(getattr(test.scores, key), getattr(test.intervals, key, None))}"
        for key, title in TITLES.items()
    ]
    sentences = [
        f"The network was scored on {count_text(test.pictures, 'picture')} ({test.which}), whose "
        f"{test.scores.pixels:,} labelled pixels were counted at their original size in one confusion matrix",
        f"Probabilities are the mean over {test.averaged}" if test.averaged else "",
        "A class that is in neither the ground truth nor the prediction was left out of every mean",
        f"The scores were {', '.join(scores)}",
    ]
    if test.intervals:
        sentences.append(
            f"In brackets are 95 % intervals by the percentile bootstrap{_cited(BOOTSTRAP, sources)}: {RESAMPLES:,} "
            f"resamples of the {count_text(test.intervals.units, test.intervals.unit)}"
        )
    for each in test.measured:
        first = each.measure.columns[0]
        value = each.value(first.key)
        if value is not None:
            sentences.append(f"{first.title} was {value:.{first.digits}f}")
    return " ".join(f"{sentence}." for sentence in sentences if sentence)
