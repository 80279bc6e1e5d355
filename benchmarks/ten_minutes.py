"""Scores after minutes of training: ``unpool train`` with its defaults against peers' networks in plain loops.

    python benchmarks/ten_minutes.py --data FOLDER --out results.jsonl
    python benchmarks/ten_minutes.py --data FOLDER --out results.jsonl --sets nuclei --budgets 5 --seeds 0
    python benchmarks/ten_minutes.py --table results.jsonl --markdown table.md --svg curve.svg

All train on the same pictures for the same wall time, on the cores that this program may use. The time is from the
start of a process until its model is written, with imports, reading, rehearsal, compiling and validation; the tables
have the seconds that it took. A first training on a machine also measures convolutions, which later ones remember.

FOLDER has the sub-folders of the sets; those that are absent are left out:

nuclei      ``images/`` and ``instances/`` of object numbers: a third is withheld, drawn by a hash of the names, and
            groups are kept together. Scored by the Dice of the foreground
membranes   ``images/`` and ``labels/``: the last 7 slices are withheld. Scored by the share of wrong pixels
camvid      ``train/``, ``trainannot/``, ``val/``, ``valannot/``: scored by the mean IoU of its validation pictures,
            which choose Unpool's best epoch; the peers choose nothing
cells       made by this program: 20 synthetic pictures to train on and 12 new ones

Nobody sees withheld pictures before the scoring: Unpool draws its validation pictures from the others, and the peers
train on all others and keep their last weights. The same code counts everybody's predictions. The peers are the
``RECIPES`` of ``peers.py``, in the loop of ``plain_loop.py``.

The results file gets a line for each finished training. The same command continues where it was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal, NamedTuple

from matplotlib.figure import Figure

import record
from peers import RECIPES
from plain_loop import Job, plain_scores
from record import machine_text
from unpool.config.recipes import read_recipe
from unpool.config.settings import resolve
from unpool.data.samples import Pair
from unpool.data.synthetic import write_synthetic_set
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.split import SplitShares, make_split
from unpool.dataset.survey import survey
from unpool.report.plot_style import BLUE, CURRENT_COLOUR, ORANGE, plotting, svg_element

OURS = "unpool"
CONTENDERS = (OURS, *RECIPES)
TITLES = {OURS: "Unpool, defaults", **{recipe.key: recipe.title for recipe in RECIPES.values()}}
OPENING = ("nuclei", 5.0)
"""The set and the minutes that all peers train on first; the best of them trains on the other sets too."""

WITHHELD_SEED = 2018
"""Seed by which the withheld pictures are drawn; no training has it, so their own draws are other ones."""

SCORING_S = 40.0
"""Seconds for the scoring of a training, in the estimate of the whole time."""

SIZE = ("width", "stem", "crop", "batch_size", "learning_rate")
"""Settings of a training's size that a record keeps."""

COLOURS = (BLUE, ORANGE, "#3f9b63", "#8a63b5", "#777777", "#b04a5a")


class Score(NamedTuple):
    """The score of a set: its key in a record's scores, its title, its decimals, and whether higher is better."""

    key: str
    title: str
    digits: int = 3
    higher: bool = True


@dataclass(frozen=True)
class DataSet:
    """A set that everybody trains on.

    Attributes
    ----------
    masks: what its mask pixels are, as ``--masks`` takes it.
    tested: what the scored pictures are, in words; ``{}`` is their number.
    budgets: minutes of the plan; long: the one with a single seed, if any.
    upright: whether its pictures have an up and a down.
    """

    name: str
    title: str
    score: Score
    masks: Literal["auto", "instances"] = "auto"
    tested: str = "{} withheld pictures"
    budgets: tuple[float, ...] = (2, 5, 10)
    long: float = 10
    upright: bool = False


SETS = {
    each.name: each
    for each in (
        DataSet("nuclei", "DSB 2018 nuclei", Score("foreground_dice", "foreground Dice"), "instances"),
        DataSet("membranes", "ISBI 2012 membranes", Score("pixel_error", "pixel error", higher=False)),
        DataSet(
            "camvid",
            "CamVid, 11 classes",
            Score("mean_iou", "mean IoU"),
            tested="its {} validation pictures, which choose Unpool's best epoch",
            upright=True,
        ),
        DataSet("cells", "synthetic cells", Score("mean_iou", "mean IoU"), tested="{} new pictures", budgets=(1.5,)),
    )
}


@dataclass(frozen=True)
class Place:
    """A set on the disk, with its withheld pictures apart.

    Attributes
    ----------
    trained, tested: folders; split: the part of the tested folder that is scored.
    train, withheld: the pairs.
    table: the class table's card; ignores: whether pixels are ignored; channels: of a network for it.
    """

    data: DataSet
    trained: Path
    tested: Path
    split: str
    train: tuple[Pair, ...]
    withheld: tuple[Pair, ...]
    table: Mapping[str, Any]
    ignores: bool
    channels: int

    @property
    def digest(self) -> str:
        """A digest of the names of the scored pictures."""
        names = "\n".join(sorted(pair.name for pair in self.withheld))
        return hashlib.sha256(names.encode()).hexdigest()[:12]


class Cell(NamedTuple):
    """One training: the set, the contender, the minutes and the seed."""

    data: str
    contender: str
    budget: float
    seed: int

    def text(self) -> str:
        """Return it as a line of text."""
        return f"{self.data}, {TITLES[self.contender]}, {self.budget:g} min, seed {self.seed}"


def opening() -> Iterator[Cell]:
    """Yield the first trainings of the plan: those of all contenders, on one set."""
    data, budget = OPENING
    yield from (Cell(data, key, budget, 0) for key in CONTENDERS)


def plan_with(best_peer: str) -> Iterator[Cell]:
    """Yield the trainings of the plan: all of the first seed, then the other seeds."""
    yield from opening()
    for seed, data in product((0, 1, 2), SETS.values()):
        for budget in data.budgets:
            if seed == 0 or budget != data.long:
                yield Cell(data.name, OURS, budget, seed)
            if seed == 0 and (budget == max(data.budgets) or budget == 5):
                yield Cell(data.name, best_peer, budget, seed)


def best_peer_of(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the peer that is best in the opening by these lines; the first of ``RECIPES`` where none has run."""
    score = SETS[OPENING[0]].score
    found: dict[str, float] = {}
    for line in lines:
        if line["kind"] == "training" and (line["data"], line["budget"]) == OPENING and line["contender"] != OURS:
            found[line["contender"]] = line["scores"][score.key]
    return max(found, key=lambda key: found[key], default=next(iter(RECIPES)))


def planned(given: argparse.Namespace, best_peer: str | None) -> list[Cell]:
    """Return the trainings that the options leave: of the default plan, or of every combination.

    Parameters
    ----------
    best_peer: a peer's key; None for the opening of the default plan.
    """
    if given.plan == "grid":
        combinations = product(given.sets, given.contenders, given.budgets or (5.0,), given.seeds or (0,))
        cells = (Cell(*each) for each in combinations)
    else:
        cells = dict.fromkeys(opening() if best_peer is None else plan_with(best_peer))
    return [
        cell
        for cell in cells
        if cell.data in given.sets
        and cell.contender in given.contenders
        and (given.budgets is None or cell.budget in given.budgets)
        and (given.seeds is None or cell.seed in given.seeds)
    ]


def place_of(data: DataSet, source: Path | None, work: Path, *, quick: bool) -> Place | None:
    """Set the withheld pictures of a set apart, once; return None where the set is absent."""
    if data.name == "cells":
        for part, number, seed in (("train", 4 if quick else 20, 1), ("withheld", 2 if quick else 12, 2)):
            write_synthetic_set(work / "cells" / part, number, seed)
        return _surveyed(data, work / "cells" / "train", work / "cells" / "withheld", "all")
    folder = None if source is None else source / data.name
    if folder is None or not folder.is_dir():
        return None
    if data.name == "camvid":
        return _surveyed(data, folder, folder, "val")
    target = work / data.name
    if not target.exists():
        _divide(data, folder, target)
    return _surveyed(data, target / "train", target / "withheld", "all")


def _divide(data: DataSet, folder: Path, target: Path) -> None:
    """Copy a set's pairs into ``train`` and ``withheld``; a copy that was stopped leaves nothing under the name."""
    found = find_pairs(folder, instances=data.masks == "instances")
    names = sorted(pair.name for pair in found.pairs)
    if data.name == "membranes":  # neighbouring slices look alike, so the withheld ones are the last of the stack
        apart = set(names[-round(0.28 * len(names)) :])
    else:
        apart = set(make_split(found, WITHHELD_SEED, SplitShares(test=1 / 3)).test)
    draft = target.with_name(f"{target.name}-draft")
    shutil.rmtree(draft, ignore_errors=True)
    for pair in found.pairs:
        for file in (pair.image, pair.mask):
            copy = draft / ("withheld" if pair.name in apart else "train") / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    draft.rename(target)


def _surveyed(data: DataSet, trained: Path, tested: Path, split: str) -> Place:
    """Survey the pictures to train on, whose class table everybody has."""
    found = survey(trained, MaskOptions(data.masks))
    pairs = found.folder.pairs
    scored = pairs if tested == trained else find_pairs(tested, instances=data.masks == "instances").pairs
    return Place(
        data,
        trained,
        tested,
        split,
        tuple(pair for pair in pairs if split == "all" or pair.split == "train"),
        tuple(pair for pair in scored if split in ("all", pair.split)),
        found.table.to_card(),
        bool(found.table.ignore),
        found.channels,
    )


def missing(contender: str, place: Place) -> str:
    """Return why a contender cannot train on a set; an empty text where it can."""
    if contender == OURS:
        return ""
    recipe = RECIPES[contender]
    if recipe.module and find_spec(recipe.module) is None:
        return f"not installed: pip install {recipe.package}"
    if place.ignores and not recipe.ignores:
        return "its loss takes no ignored pixels"
    return ""


class FailedRunError(Exception):
    """A training or a test ended with an error; the text is its last line."""


@dataclass(frozen=True)
class Runner:
    """What runs one training after the other.

    Attributes
    ----------
    label, prefix: name of the kind of machine in the records, and the command that each training runs under.
    machine: of ``record.circumstances``, as a process under the prefix finds it.
    work: folder for runs; keep: whether they stay there.
    out: the results file.
    """

    label: str
    prefix: Sequence[str]
    machine: Mapping[str, Any]
    work: Path
    out: Path
    device: str
    keep: bool
    quick: bool

    def finished(self) -> list[dict[str, Any]]:
        """Return the lines of the results file that have this label."""
        return [line for line in read_results(self.out) if line["label"] == self.label]

    def add(self, line: Mapping[str, Any]) -> None:
        """Append a line to the results file."""
        complete = {"label": self.label, **line, "machine": self.machine, "date": _now(), "versions": versions()}
        with self.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(complete) + "\n")

    def run(self, cell: Cell, place: Place) -> None:
        """Run one training and its scoring, and add its line."""
        name = f"{self.label}-{cell.data}-{cell.contender}-{cell.budget:g}-{cell.seed}"
        folder = self.work / "runs" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        found = self._ours(cell, place, folder) if cell.contender == OURS else self._peer(cell, place, folder)
        numbers = {"trained": len(place.train), "scored": len(place.withheld), "withheld": place.digest}
        self.add({"kind": "training", **cell._asdict(), **numbers, **found})
        if not self.keep:
            shutil.rmtree(folder)

    def _peer(self, cell: Cell, place: Place, folder: Path) -> dict[str, Any]:
        job = Job(
            recipe=cell.contender,
            table=place.table,
            channels=place.channels,
            train=_files(place.train),
            withheld=_files(place.withheld),
            minutes=cell.budget,
            started=0,
            seed=cell.seed,
            device=self.device,
            upright=place.data.upright,
            width=4 if self.quick else 0,
            crop=32 if self.quick else 256,
            weights=str(folder / "weights.pt"),
            result=str(folder / "result.json"),
            pictures=str(folder) if self.keep else "",
        )
        file = folder / "job.json"
        file.write_text(json.dumps(asdict(replace(job, started=time.time()))), encoding="utf-8")
        self._call([str(Path(__file__).with_name("plain_loop.py")), str(file)])
        found: dict[str, Any] = json.loads(Path(job.result).read_text(encoding="utf-8"))
        return found

    def _ours(self, cell: Cell, place: Place, folder: Path) -> dict[str, Any]:
        trained, wall = self._trained(place, folder / "run", cell.budget, cell.seed)
        words = ["-m", "unpool", "test", str(folder / "run"), str(place.tested), "--split", place.split]
        tested = json.loads(self._call([*words, "--out", str(folder / "test"), "--json", *self._device()]))
        objects = tested["measures"].get("objects")
        precision = objects and [*objects["scores"].values()][-1]["average_precision"]
        settings = resolve(read_recipe(folder / "run" / "config.toml")).model_dump()
        chosen = settings["structure"] | settings["training"]
        return {
            "wall_s": wall,
            "size": {key: chosen[key] for key in SIZE},
            "steps": trained["history"][-1]["steps"],
            "epochs": len(trained["history"]),
            "best_epoch": trained["best_epoch"],
            "validation_mean_iou": trained["best_mean_iou"],
            "scores": {**plain_scores(tested["scores"]), "average_precision": precision},
        }

    def _trained(self, place: Place, run: Path, minutes: float, seed: int) -> tuple[dict[str, Any], float]:
        """Train with the defaults; return the result and the seconds of the process."""
        words = ["-m", "unpool", "train", str(place.trained), "--minutes", f"{minutes:.4f}", "--seed", str(seed)]
        words += ["--masks", place.data.masks] if place.data.masks != "auto" else []
        words += ["--set", "width=4", "--set", "depth=2", "--set", "crop=32"] if self.quick else []
        started = time.time()
        text = self._call([*words, "--out", str(run), "--json", *self._device()])
        return json.loads(text), time.time() - started

    def _device(self) -> list[str]:
        return [] if self.device == "auto" else ["--device", self.device]

    def _call(self, words: Sequence[str]) -> str:
        return output_of([*self.prefix, sys.executable, *words])


def output_of(command: Sequence[str]) -> str:
    """Run a command and return what it prints. Raises FailedRunError with the last line of its errors."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own programs)
    if done.returncode:
        raise FailedRunError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return done.stdout


def _files(pairs: Sequence[Pair]) -> tuple[tuple[str, str, str], ...]:
    return tuple((pair.name, str(pair.image), str(pair.mask)) for pair in pairs)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of the packages that take part, where they are installed."""
    names = ["unpool", "torch", *dict.fromkeys(recipe.package for recipe in RECIPES.values() if recipe.package)]
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def read_results(file: Path) -> list[dict[str, Any]]:
    """Return the lines of a results file; a last line that was cut off while it was written is left out."""
    if not file.exists():
        return []
    lines = []
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def run_all(given: argparse.Namespace) -> int:
    """Run all trainings that are planned and not finished; return the number of those that failed."""
    out = Path(given.out)
    work = Path(given.work) if given.work else out.with_name(f"{out.stem}-work")
    work.mkdir(parents=True, exist_ok=True)
    prefix = shlex.split(given.prefix)
    machine = json.loads(output_of([*prefix, sys.executable, record.__file__]))["machine"]
    runner = Runner(given.label, prefix, machine, work, out, given.device, given.keep, given.quick)
    first = planned(given, None)
    failed = _run(first, runner, given)
    rest = [cell for cell in planned(given, best_peer_of(runner.finished())) if cell not in first]
    return failed + (_run(rest, runner, given) if rest else 0)


def _run(cells: Sequence[Cell], runner: Runner, given: argparse.Namespace) -> int:
    """Run the trainings of a part of the plan that are not finished; return the number of those that failed."""
    todo = _possible(_unfinished(cells, runner), given, runner.work)
    _say(f"{len(todo)} trainings to run, about {_minutes(todo):.0f} minutes: {given.label}, "
         f"{machine_text(runner.machine)}")  # fmt: skip
    failed = 0
    for number, (cell, place) in enumerate(todo, start=1):
        _say(f"{number} of {len(todo)}  {datetime.now().astimezone():%H:%M}  {cell.text()}")
        try:
            runner.run(cell, place)
        except FailedRunError as error:
            failed += 1
            _say(f"  failed, and will be tried again by the same command: {error}")
            continue
        line = runner.finished()[-1]
        score = place.data.score
        _say(f"  {score.title} {_number(line['scores'][score.key], score)}, {line['steps']} steps, {_s(line)} s")
    return failed


def _minutes(todo: Sequence[tuple[Cell, Place]]) -> float:
    """Return an estimate of the minutes that these trainings and their scoring take."""
    return sum(cell.budget + SCORING_S / 60 for cell, _ in todo)


def _unfinished(cells: Sequence[Cell], runner: Runner) -> list[Cell]:
    done = {_cell(line) for line in runner.finished() if line["kind"] == "training"}
    return [cell for cell in cells if cell not in done]


def _cell(line: Mapping[str, Any]) -> Cell:
    return Cell(line["data"], line["contender"], line["budget"], line["seed"])


def _possible(cells: Sequence[Cell], given: argparse.Namespace, work: Path) -> list[tuple[Cell, Place]]:
    """Return the trainings that can run, with their places, and print why the others cannot."""
    source = Path(given.data) if given.data else None
    places = {}
    for name in dict.fromkeys(cell.data for cell in cells):
        places[name] = place_of(SETS[name], source, work, quick=given.quick)
        if places[name] is None:
            _say(f"{name}: left out, because {'--data is not given' if source is None else f'{source} lacks it'}")
    reasons = {}
    possible = []
    for cell in cells:
        place = places[cell.data]
        if place is None:
            continue
        if reason := missing(cell.contender, place):
            reasons[cell.data, cell.contender] = reason
        else:
            possible.append((cell, place))
    for (name, contender), reason in reasons.items():
        _say(f"{name}, {TITLES[contender]}: left out, {reason}")
    return possible


class Row(NamedTuple):
    """The trainings of one set, contender and budget."""

    data: DataSet
    contender: str
    budget: float
    lines: tuple[Mapping[str, Any], ...]

    @property
    def scores(self) -> list[float]:
        """The scores of the seeds."""
        return [line["scores"][self.data.score.key] for line in self.lines]

    @property
    def precision(self) -> float | None:
        """The mean average precision of objects; None where the masks hold no objects."""
        found = [line["scores"].get("average_precision") for line in self.lines]
        return None if None in found else mean(map(float, found))

    @property
    def maps(self) -> str:
        """The feature maps of the first stage that Unpool chose, in the order of the lines; empty where unknown."""
        found = [line["size"]["width"] for line in self.lines if "size" in line]
        return ", ".join(map(str, dict.fromkeys(found)))

    def mean_of(self, key: str) -> float:
        """Return the mean of a number over the seeds."""
        return mean(float(line[key]) for line in self.lines)

    def score_text(self) -> str:
        """Return the mean score and the standard deviation over the seeds."""
        text = _number(mean(self.scores), self.data.score)
        return f"{text} ± {stdev(self.scores):.{self.data.score.digits}f}" if len(self.scores) > 1 else text


def rows_of(lines: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return the rows of one label, in the order of the sets, the budgets and the contenders."""
    grouped: dict[tuple[str, float, str], list[Mapping[str, Any]]] = {}
    for line in lines:
        if line["kind"] == "training":
            grouped.setdefault((line["data"], line["budget"], line["contender"]), []).append(line)
    ordered = sorted(grouped, key=lambda key: (list(SETS).index(key[0]), key[1], CONTENDERS.index(key[2])))
    return [Row(SETS[key[0]], key[2], key[1], tuple(grouped[key])) for key in ordered]


def markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the results as a page of tables, one for each label."""
    parts = []
    for label in dict.fromkeys(line["label"] for line in lines):
        own = [line for line in lines if line["label"] == label]
        dates = sorted(line["date"][:10] for line in own)
        days = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        packages = ", ".join(f"{name} {version}" for name, version in own[-1]["versions"].items())
        parts.append(f"{label}: {machine_text(own[-1]['machine'])}; {days}; {packages}.\n")
        rows = rows_of(own)
        parts += [_table([row for row in rows if row.data == data]) for data in dict.fromkeys(row.data for row in rows)]
    keys = dict.fromkeys(line["contender"] for line in lines if line["kind"] == "training")
    notes = [f"* {TITLES[key]}: {RECIPES[key].about}." for key in keys if key in RECIPES]
    rules = "±: standard deviation over the seeds. Seconds: the whole process."
    if any("size" in line for line in lines):
        rules += " Maps: of the first stage, as Unpool chose them."
    parts.append("\n".join([f"{rules}\n", *notes]) + "\n")
    return "\n".join(parts)


def _table(rows: Sequence[Row]) -> str:
    """Return the rows of one set as a table under a line that names the score."""
    data, number = rows[0].data, rows[0].lines[-1]["scored"]
    better = "" if data.score.higher else ", lower is better"
    objects = any(row.precision is not None for row in rows)
    sized = any(row.maps for row in rows)
    heads = ["minutes", "program", data.score.title, *["AP of objects"] * objects, "seeds", *["maps"] * sized]
    heads += ["steps", "seconds"]
    lines = [f"{data.title}: {data.score.title} on {data.tested.format(number)}{better}.\n"]
    lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [f"{row.budget:g}", TITLES[row.contender], row.score_text()]
        cells += ["–" if row.precision is None else f"{row.precision:.3f}"] * objects
        cells += [str(len(row.lines)), *[row.maps or "–"] * sized]
        cells += [f"{row.mean_of('steps'):.0f}", f"{row.mean_of('wall_s'):.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def curve(lines: Sequence[Mapping[str, Any]]) -> str:
    """Draw the mean score against the seconds, a panel for each set and label, as the text of an SVG file.

    Small points are single seeds.
    """
    panels = [
        (label, data, [row for row in rows_of([line for line in lines if line["label"] == label]) if row.data == data])
        for label in dict.fromkeys(line["label"] for line in lines)
        for data in SETS.values()
    ]
    panels = [panel for panel in panels if panel[2]]
    columns = min(len(panels), 2)
    with plotting():
        figure = Figure(figsize=(4.8 * columns, 3.2 * -(-len(panels) // columns)), layout="constrained")
        axes = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).ravel()
        for each, (label, data, rows) in zip(axes, panels, strict=False):
            _draw(each, rows)
            each.set_title(f"{data.title}, {label}", loc="left", fontsize=10)
            each.set(xlabel="seconds", ylabel=data.score.title + ("" if data.score.higher else ", lower is better"))
        for each in axes[len(panels) :]:
            each.set_axis_off()
        named = dict(pair[::-1] for each in axes for pair in zip(*each.get_legend_handles_labels(), strict=True))
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=min(columns + 1, 3), fontsize=8)
        text = svg_element(figure)
    # A file in a page follows the reader's light or dark theme by itself; it does not inherit the page's colour.
    theme = "svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#d1d7e0}}"
    return text.replace(">", f"><style>{theme}</style>", 1) + "\n"


def _draw(axes: Any, rows: Sequence[Row]) -> None:
    for contender in dict.fromkeys(row.contender for row in rows):
        own = [row for row in rows if row.contender == contender]
        colour = COLOURS[CONTENDERS.index(contender) % len(COLOURS)]
        seconds, means = [row.mean_of("wall_s") for row in own], [mean(row.scores) for row in own]
        axes.plot(seconds, means, color=colour, marker="o", markersize=4, label=TITLES[contender])
        single = [(line["wall_s"], score) for row in own for line, score in zip(row.lines, row.scores, strict=True)]
        axes.plot(*zip(*single, strict=True), ".", color=colour, alpha=0.5, markersize=4)
    axes.set_xlim(0, 1.06 * max(row.mean_of("wall_s") for row in rows))
    axes.grid(axis="y", color=CURRENT_COLOUR, alpha=0.12, linewidth=0.6)


def _number(value: float | None, score: Score) -> str:
    return "–" if value is None else f"{value:.{score.digits}f}"


def _s(line: Mapping[str, Any]) -> str:
    return f"{line['wall_s']:.0f}"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", metavar="FOLDER", help="folder with the sets' folders")
    parser.add_argument("--out", metavar="FILE", default="ten-minutes.jsonl", help="results file, which only grows")
    parser.add_argument("--work", metavar="FOLDER", help="for divided sets and runs; by default beside the results")
    parser.add_argument("--plan", choices=("default", "grid"), default="default", help="grid: all combinations")
    parser.add_argument("--sets", choices=list(SETS), nargs="+", default=list(SETS))
    parser.add_argument("--contenders", choices=CONTENDERS, nargs="+", default=list(CONTENDERS))
    parser.add_argument("--budgets", type=float, nargs="+", metavar="MINUTES")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED")
    parser.add_argument("--label", default="native", help="name of the kind of machine in the results")
    parser.add_argument("--prefix", default="", metavar="COMMAND", help="command that each training runs under")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--keep", action="store_true", help="keep the runs' folders, with pictures of predictions")
    parser.add_argument("--quick", action="store_true", help="seconds of training on made pictures: does it run?")
    parser.add_argument("--table", metavar="FILE", help="run nothing; make table and curve of this results file")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there")
    parser.add_argument("--svg", metavar="FILE", help="write the curve there")
    given = parser.parse_args(arguments)
    if given.quick:
        given.plan, given.sets, given.budgets, given.seeds, given.device = "grid", ["cells"], [0.02], [0], "cpu"
    if min(given.budgets or [1]) <= 0:
        parser.error("--budgets are minutes above 0")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the trainings, and make the table and the curve."""
    given = options(arguments)
    failed = 0 if given.table else run_all(given)
    lines = read_results(Path(given.table or given.out))
    if not any(line["kind"] == "training" for line in lines):
        sys.exit("no finished trainings")
    table = markdown(lines)
    sys.stdout.write(table)
    if given.markdown:
        Path(given.markdown).write_text(table, encoding="utf-8")
    if given.svg:
        Path(given.svg).write_text(curve(lines), encoding="utf-8")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exit ends the training that runs, a signal alone not
    main()
