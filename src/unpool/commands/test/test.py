"""``test``: score a model on a folder and write a report."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from unpool.appearance.comparison import notes_on
from unpool.checkpoint.models import LoadedModel, load_model
from unpool.class_table import ClassTable
from unpool.commands.check import check, require_no_errors, require_unchanged
from unpool.commands.events import Event, Message, Progress
from unpool.commands.recording import TestSetup, begin_test, record_test
from unpool.commands.run_folder import model_file
from unpool.commands.test.options import USUAL_OPTIONS, TestOptions
from unpool.commands.test.page import images_csv, panel, report_contents, run_history
from unpool.commands.test.picture_choice import choose_pairs, orientation_warnings
from unpool.commands.test.result import TestResult, result_text
from unpool.commands.tile_notes import blending_notes
from unpool.config.schema import DataSettings
from unpool.convolution.choices import CHOICES
from unpool.data.batches import SampleStore
from unpool.data.groups import group_of
from unpool.data.samples import Pair, read_sample
from unpool.dataset.survey_result import Survey
from unpool.errors import UsageError
from unpool.io.destination import new_folder
from unpool.io.files import write_json, write_text
from unpool.ledger.text import command_line
from unpool.machine.device import choose_machine
from unpool.metrics.conventions import by_conventions
from unpool.metrics.image_means import image_means, image_numbers
from unpool.metrics.intervals import bootstrap, pixel_counts
from unpool.metrics.measures import Measure, MeasureResult, measure_set
from unpool.metrics.named import MEASURES, SAMPLED_MEASURES
from unpool.metrics.scores import scores
from unpool.prediction.averaging import Averaging
from unpool.prediction.evaluation import Evaluation, ImageResult, evaluate_together, summarise
from unpool.prediction.predictor import TILE, Predictor
from unpool.processes import Processes, join
from unpool.report.page import ImagePanel, write_report
from unpool.report.text import worst_first
from unpool.wording import count_text

PANELS = 8
"""Number of pictures in the report: the worst ones and the best one."""


def test(
    model: Path,
    data: Path | Survey,
    options: TestOptions = USUAL_OPTIONS,
    *,
    out: Path | None = None,
    fingerprint: str | None = None,
) -> Generator[Event, None, TestResult]:
    """Score a model on the original pixels of a folder's pictures.

    Processes that torchrun started share the pictures. The first process gets all results and writes the files; the
    others return their own results.

    Parameters
    ----------
    model: a model file, or the run folder that holds one.
    data: a folder of pictures and masks, or its survey by the model's class table, as ``survey_by`` makes it.
    out: folder of the report; by default ``test-<folder>`` next to the model, numbered if it exists.
    fingerprint: required fingerprint of the data; None for any data.

    Raises
    ------
    UsageError, DataError, ModelFileError, RunError: see the message.
    """
    processes, folder = join(options.device), data if isinstance(data, Path) else data.folder.root
    path = model_file(model)
    loaded = load_model(path)
    with ExitStack() as claims:
        target = ""
        if processes.first:
            base = path.parent / f"test-{folder.resolve().name or 'data'}"
            target = str(claims.enter_context(new_folder(out, base)))
        place = Path(processes.agree_text(target))
        survey = (yield from survey_by(loaded, data)) if isinstance(data, Path) else data
        require_unchanged(survey, fingerprint)
        require_no_errors(survey, testing=True)
        return (yield from _tested(path, loaded, survey, options, place))


def survey_by(loaded: LoadedModel, folder: Path) -> Generator[Event, None, Survey]:
    """Survey a folder by the class table of a model."""
    settled = loaded.card.get("story", {}).get("data", {}).get("class_file")
    return (yield from check(folder, DataSettings(), table=loaded.segmenter.classes, settled=settled))


def _tested(
    path: Path,
    loaded: LoadedModel,
    survey: Survey,
    options: TestOptions,
    target: Path,
) -> Generator[Event, None, TestResult]:
    """Test a model; the first process writes the report into a folder that is claimed."""
    segmenter, card = loaded
    processes = join(options.device)
    averaging, machine = options.averaging, choose_machine(options.device, options.precision)
    predictor = Predictor(segmenter, machine, TILE, averaging)
    choice = choose_pairs(survey, card, options.which)
    log_warnings = run_history(path, card["story"]).warnings
    pictures_seen = {pair.name: survey.pictures[pair.name].appearance for pair in choice.pairs}
    unlike = notes_on(pictures_seen, segmenter.seen)
    warnings = (*choice.warnings, *orientation_warnings(card, averaging), *log_warnings, *unlike)
    if processes.first:
        warnings += blending_notes(predictor, choice.pairs, survey)
    pictures = {choice.which: len(choice.pairs)}
    setup = TestSetup(path, segmenter.net, survey, pictures, options.to_json(), machine)
    begun = yield from begin_test(target, setup)
    yield Message(f"scoring {count_text(len(choice.pairs), 'picture')}: {choice.which}\non {machine.describe()}")
    names = usual_measures(segmenter.classes, averaging) if options.measures is None else options.measures
    measures = chosen_measures(names, segmenter.classes.names, sampled=averaging.samples > 0)
    samples = SampleStore(choice.pairs, survey.table, limit=0)
    before = CHOICES.measured
    results = yield from _results(predictor, samples, choice.pairs, processes, measures)
    evaluation, groups = summarise(segmenter, results), group_of(pair.name for pair in survey.folder.pairs)
    counts = [pixel_counts(picture) for _, picture in evaluation.images]
    result = TestResult(
        model=path,
        data=survey.folder.root,
        which=choice.which,
        evaluation=evaluation,
        intervals=bootstrap(evaluation.images, groups),
        digests={result.name: survey.pictures[result.name].digest for result in results},
        groups={result.name: groups[result.name] for result in results},
        report=target / "report.html",
        warnings=warnings,
        averaging=averaging,
        image_means=_image_means(evaluation, groups) if results else None,
        measured=tuple(
            measure_set(measure, [(each.name, each.numbers[k]) for each in results], groups)
            for k, measure in enumerate(measures if results else ())
        ),
        conventions=by_conventions(counts) if options.conventions else (),
    )
    if not processes.first:
        return result
    write_json(target / "scores.json", result.to_json())
    write_text(target / "images.csv", images_csv(result.evaluation, result.measured))
    panels = _panels(predictor, survey.table, choice.pairs, results)
    page = report_contents(result, segmenter, card, panels, machine, command_line(begun.folder, begun.record))
    write_report(result.report, page)
    record_test(begun, evaluation, result.intervals)
    if measured := CHOICES.measured.text_since(before):
        yield Message(measured)
    yield Message(result_text(result))
    return result


def _image_means(evaluation: Evaluation, groups: Mapping[str, str]) -> MeasureResult:
    numbers = [(name, image_numbers(picture)) for name, picture in evaluation.images]
    return measure_set(image_means(evaluation.matrix.names), numbers, groups)


def usual_measures(classes: ClassTable, averaging: Averaging) -> tuple[str, ...]:
    """Return the measures of a test without ``--measures``.

    They are calibration, uncertainty if dropout is sampled, and objects, as they are and separated, if the masks hold
    object numbers.
    """
    return (
        "calibration",
        *(["uncertainty"] if averaging.samples else []),
        *(["objects", "separated-objects"] if classes.kind == "instances" else []),
    )


def chosen_measures(names: Sequence[str], classes: Sequence[str], *, sampled: bool = False) -> list[Measure]:
    """Return the measures with these names, each once.

    Parameters
    ----------
    names: keys of ``unpool.metrics.named.MEASURES``.
    classes: class names, in the order of their ids.
    sampled: whether dropout is sampled.

    Raises
    ------
    UsageError: there is no measure with one of the names, or two of them count the same scores by two rules.
    """
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        repair = f"give for example --measures {next(iter(MEASURES))}"
        raise UsageError(f"no measure '{unknown[0]}'", f"one of {', '.join(MEASURES)}", repair)
    known = {**MEASURES, **(SAMPLED_MEASURES if sampled else {})}
    measures = [known[name](classes) for name in dict.fromkeys(names)]
    twice = [each.key for each in measures if sum(each.key == other.key for other in measures) > 1]
    if twice:
        raise UsageError(f"--measures has two rules for {twice[0]}", "one rule", "name one of them in --measures")
    return measures


def _results(
    predictor: Predictor,
    samples: SampleStore,
    pairs: Sequence[Pair],
    processes: Processes,
    measures: Sequence[Measure],
) -> Generator[Event, None, list[ImageResult]]:
    """Score each pair once."""
    results: list[ImageResult] = []
    names = [pair.name for pair in pairs]
    for result in evaluate_together(predictor, samples, names, processes, measures):
        results.append(result)
        yield Progress("scoring", len(results), len(pairs))
    return results


def _panels(
    predictor: Predictor,
    table: ClassTable,
    pairs: Sequence[Pair],
    results: Sequence[ImageResult],
) -> list[ImagePanel]:
    """Return panels of the worst pictures and the best one.

    They are predicted again, because the predictions of a large set do not fit in memory.
    """
    known = {pair.name: pair for pair in pairs}
    ordered = [known[name] for name, _ in worst_first([(each.name, scores(each.matrix)) for each in results])]
    chosen = ordered if len(ordered) <= PANELS else [*ordered[: PANELS - 1], ordered[-1]]
    return [panel(read_sample(pair, table), predictor) for pair in chosen]
