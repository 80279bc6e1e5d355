"""The command line: text to command and back; the only place that prints.

Commands are imported when they run, so that help does not wait for torch.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from cyclopts import App, CycloptsError, Parameter

from unpool.errors import UnpoolError

if TYPE_CHECKING:
    from unpool.commands.events import Event

Result = TypeVar("Result")

HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
"""Environment in which torch asks the system for large pages; it looks once, at a process's first tensor."""

FAILED = 1
WRONG_USE = 2
BAD_DATA = 3
STOPPED = 128
"""To which the number of the signal is added."""
INTERRUPTED = STOPPED + 2

app = App(
    name="unpool",
    help="Train, test and use encoder-decoder networks for semantic segmentation on your own folder of pictures.\n\n"
    "Begin with: unpool demo",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)

runs = App(name="runs")
app.command(runs)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]
Data = Annotated[Path, Parameter(help="Folder with pictures and masks, in any common layout.")]
ModelPath = Annotated[Path, Parameter(help="A model.safetensors, or the run folder that holds one.")]
Net = Annotated[str, Parameter(name="--net", help="The network, by name.")]
Masks = Annotated[
    Literal["auto", "values", "colours", "instances"] | None,
    Parameter(name="--masks", help="What mask pixels are: values, colours, or instances (object numbers)."),
]
Classes = Annotated[
    list[str] | None,
    Parameter(
        name="--classes",
        consume_multiple=True,
        negative="",
        help='Class names in order, or "value=name", or "#rrggbb=name".',
    ),
]
Ignore = Annotated[
    list[str] | None,
    Parameter(
        name="--ignore", consume_multiple=True, negative="", help="Mask values or #rrggbb colours that count nowhere."
    ),
]
Settings = Annotated[
    list[str] | None,
    Parameter(name="--set", negative="", help="Any setting, as key=value; may be repeated."),
]
RecipeFile = Annotated[
    Path | None,
    Parameter(
        name="--recipe",
        help="A name from `unpool recipes`, or a TOML file; a run's config.toml is one.",
    ),
]
Seed = Annotated[int | None, Parameter(name="--seed", help="Seed of the split, the weights and the crops.")]
Device = Annotated[str | None, Parameter(name="--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"] | None,
    Parameter(name="--precision", help="Number type of the convolutions; auto takes what the machine is good at."),
]


Tta = Annotated[
    Literal["none", "mirror", "flips", "rotations", "d4"],
    Parameter(
        name="--tta",
        help="Average over the picture mirrored left to right, mirrored every way, turned by quarters, or all (d4, 8).",
    ),
]
Samples = Annotated[
    int, Parameter(name="--samples", help="Average over so many samples of dropout, for networks that have it.")
]


@app.command
def check(
    data: Data,
    *,
    masks: Masks = None,
    classes: Classes = None,
    ignore: Ignore = None,
    seed: Seed = None,
    recipe: RecipeFile = None,
    set_: Settings = None,
    json_: Json = False,
) -> int:
    """Say what is in a folder, and what is wrong with it.

    Example: unpool check photos --masks instances

    Exit code 3 when training on it would be wrong.
    """
    from unpool.commands.checking import check as run
    from unpool.config import resolve
    from unpool.data import describe

    settings = _settings(recipe, set_, masks=masks, classes=classes, ignore=ignore, seed=seed)
    config = resolve(settings)
    survey = _drive(run(data, config.data, config.training.seed), quiet=json_)
    print(json.dumps(survey.to_json(), indent=2, ensure_ascii=False) if json_ else describe(survey))
    return BAD_DATA if survey.errors else 0


@app.command
def train(
    data: Data,
    *,
    net: Annotated[str | None, Parameter(name="--net", help="The network: unet by default.")] = None,
    minutes: Annotated[float | None, Parameter(help="How long to train; 10 unless --epochs is given.")] = None,
    epochs: Annotated[int | None, Parameter(help="How many epochs to train.")] = None,
    out: Annotated[Path | None, Parameter(help="The run folder; by default runs/DATA-NET.")] = None,
    resume: Annotated[bool, Parameter(negative="", help="Go on with the run this command started.")] = False,
    masks: Masks = None,
    classes: Classes = None,
    ignore: Ignore = None,
    seed: Seed = None,
    device: Device = None,
    precision: Precision = None,
    recipe: RecipeFile = None,
    set_: Settings = None,
    json_: Json = False,
) -> int:
    """Train a network on a folder and keep the best epoch.

    Example: unpool train photos --net unet --minutes 10

    The run folder holds the model, the settings, the log and what --resume needs.
    Ctrl-C and SIGTERM stop it with everything saved.
    """
    from unpool.commands.staging import train_in_stages as run

    settings = _settings(
        recipe, set_, net=net, masks=masks, classes=classes, ignore=ignore, seed=seed, minutes=minutes, epochs=epochs,
        device=device, precision=precision,
    )  # fmt: skip
    trained = _drive(run(data, settings, out, resume=resume), quiet=json_)
    if json_:
        print(json.dumps(trained.to_json(), indent=2, ensure_ascii=False))
    else:
        score = "–" if trained.best_mean_iou is None else f"{trained.best_mean_iou:.4f}"
        print(f"model: {trained.model}   (epoch {trained.best_epoch}, validation mean IoU {score})")
        print(f"next:  unpool test {trained.folder} {data}")
    return 0 if trained.stopped_by is None else STOPPED + trained.stopped_by


@app.command
def recipes(*, json_: Json = False) -> int:
    """List the papers' trainings that come with the package.

    Example: unpool recipes
    """
    from unpool.config import paper_recipes, read_recipe

    notes = {name: read_recipe(name) for name in paper_recipes()}
    if json_:
        print(json.dumps(notes, indent=2, ensure_ascii=False))
        return 0
    for name, settings in notes.items():
        note = settings["recipe"]
        print(f"{name}: {settings['net']}\n  {note['citation']}")
        for label in ("data", "expected", "time"):
            print(f"  {label + ':':<10}{note[label]}")
        for departure in note.get("departures", ()):
            print(f"  departs:  {departure}")
    print("\nuse:  unpool train DATA --recipe NAME")
    return 0


@app.command
def test(
    model: ModelPath,
    data: Data,
    *,
    split: Annotated[
        Literal["auto", "train", "val", "test", "all"],
        Parameter(help="Which pictures: auto takes the test split, else the validation split, else all."),
    ] = "auto",
    out: Annotated[Path | None, Parameter(help="Folder of the report; by default beside the model.")] = None,
    measures: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="What to measure beside the counts of pixels: boundaries (BF score, boundary IoU, distances), "
            "boundaries-of-truth (the BF score as SegNet's paper words it), objects (SEG, average precision; by "
            "default for masks of object numbers), membranes (V_rand, V_info and errors of ISBI 2012; the first class "
            "is the membrane), membranes-second (the second class is), calibration (confidence against accuracy; by "
            "default), uncertainty (does it find the wrong pixels; by default with --samples).",
        ),
    ] = None,
    conventions: Annotated[
        bool, Parameter(negative="", help="Also give mean IoU and Dice by other implementations' rules.")
    ] = False,
    tta: Tta = "none",
    samples: Samples = 0,
    device: Device = None,
    precision: Precision = None,
    json_: Json = False,
) -> int:
    """Score a model on a folder's own masks and write a report.

    Example: unpool test runs/photos-unet photos
    """
    from unpool.commands.testing import test as run

    result = _drive(
        run(
            model,
            data,
            which=split,
            out=out,
            device=device or "auto",
            precision=precision or "auto",
            measures=measures,
            conventions=conventions,
            tta=tta,
            samples=samples,
        ),
        quiet=json_,
    )
    if json_:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    return 0


@app.command
def compare(
    tests: Annotated[list[Path], Parameter(help="Two or more folders that unpool test wrote, or their scores.json.")],
    *,
    json_: Json = False,
) -> int:
    """Say whether one model is better than others, from tests on the same pictures.

    Example: unpool compare runs/photos-unet/test-photos runs/photos-segnet/test-photos

    The first test is called A, the next B; with more than two the best is compared with each of the others.
    """
    from unpool.commands.comparing import compare as run

    result = run(tests)
    print(json.dumps(result.to_json(), indent=2, ensure_ascii=False) if json_ else result.text)
    return 0


@app.command
def predict(
    model: ModelPath,
    inputs: Annotated[list[str], Parameter(help="Pictures, folders (with sub-folders) and patterns.")],
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder for the masks.")],
    overlay: Annotated[bool, Parameter(negative="", help="Also write the picture with the mask over it.")] = False,
    probabilities: Annotated[
        Literal["float32", "uint16", "uint8"] | None,
        Parameter(help="Also write every class's probability, in 0..1, 0..65535 or 0..255."),
    ] = None,
    uncertainty: Annotated[
        bool,
        Parameter(negative="", help="Also write 1 - confidence, or with --samples the variance of every class."),
    ] = False,
    tta: Tta = "none",
    samples: Samples = 0,
    memory: Annotated[
        str | None,
        Parameter(help="What the process may hold: 2GB, 800MB. By default half of what is free, at most 4GB."),
    ] = None,
    resume: Annotated[
        bool, Parameter(negative="", help="Keep what the same command wrote before it was interrupted, and go on.")
    ] = False,
    verify: Annotated[
        bool, Parameter(negative="", help="First compare tiles with the whole on a part of the first picture.")
    ] = False,
    overwrite: Annotated[bool, Parameter(negative="", help="Replace outputs that exist.")] = False,
    device: Device = None,
    precision: Precision = None,
    json_: Json = False,
) -> int:
    """Write a mask for every picture, in the values of the masks the model was trained on.

    Example: unpool predict runs/photos-unet new-photos --out masks --overlay
    """
    from unpool.commands.predicting import predict as run
    from unpool.engine.averaging import Averaging

    result = _drive(
        run(
            model,
            inputs,
            out,
            overlays=overlay,
            probabilities=probabilities,
            uncertainty=uncertainty,
            averaging=Averaging(tta, samples),
            verify=verify,
            overwrite=overwrite,
            resume=resume,
            memory=_bytes(memory),
            device=device or "auto",
            precision=precision or "auto",
        ),
        quiet=json_,
    )
    if json_:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    return BAD_DATA if result.failed else 0


@app.command
def info(model: ModelPath, *, json_: Json = False) -> int:
    """Read a model file out: what it is, what it takes and gives, how it came to be, how good it is.

    Example: unpool info runs/photos-unet
    """
    from unpool.commands.verifying import info as run

    told = run(model)
    print(json.dumps(told.data, indent=2, ensure_ascii=False) if json_ else told.text)
    return 0


@app.command
def verify(model: ModelPath, *, device: Device = None, precision: Precision = None, json_: Json = False) -> int:
    """Prove that a model computes on this machine what it computed where it was trained.

    Example: unpool verify runs/photos-unet

    Exit code 1 when it does not, 3 when the file is damaged.
    """
    from unpool.commands.verifying import verify as run

    found = run(model, device=device or "auto", precision=precision or "auto")
    print(json.dumps(found.to_json(), indent=2, ensure_ascii=False) if json_ else found.text)
    return 0 if found.holds else FAILED


@app.command
def export(
    model: ModelPath,
    *,
    to: Annotated[Literal["onnx", "torch-export", "bioimageio"], Parameter(help="The format.")],
    out: Annotated[Path | None, Parameter(help="The file; by default beside the model.")] = None,
    output: Annotated[
        Literal["classes", "probabilities"], Parameter(help="What it gives for each pixel.")
    ] = "probabilities",
    precision: Annotated[
        Literal["float32", "float16", "int8"], Parameter(help="Number type of the network; int8 of its convolutions.")
    ] = "float32",
    pixels: Annotated[
        Literal["uint8", "uint16", "float32"] | None,
        Parameter(help="Pixel type it takes, where the model was trained on several."),
    ] = None,
    pictures: Annotated[
        Path | None, Parameter(help="Folder of pictures to calibrate int8 on, and to compare on.")
    ] = None,
    author: Annotated[
        list[str] | None, Parameter(name="--author", negative="", help="Who a bioimageio package names; repeatable.")
    ] = None,
    json_: Json = False,
) -> int:
    """Write a model for other programs, and prove that it computes the same.

    Example: unpool export runs/photos-unet --to onnx --out model.onnx
    """
    from unpool.commands.exporting import export as run

    result = _drive(
        run(model, to, out, output=output, precision=precision, pixels=pixels, pictures=pictures, authors=author or ()),
        quiet=json_,
    )
    if json_:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    return 0


@app.command
def demo(
    *,
    out: Annotated[Path | None, Parameter(help="Where everything goes; by default unpool-demo.")] = None,
    minutes: Annotated[float, Parameter(help="How long to train.")] = 1.5,
    net: Net = "unet",
    json_: Json = False,
) -> int:
    """Show the whole story in a few minutes, on pictures made on the spot.

    Example: unpool demo
    """
    from unpool.commands.demo import demo as run

    result = _drive(run(out, minutes=minutes, net=net), quiet=json_)
    if json_:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    return 0


@app.command
def explain(
    net: Annotated[str | None, Parameter(help="The network; without one, all are listed.")] = None,
    other: Annotated[str | None, Parameter(help="Another, to stand beside it.")] = None,
    *,
    size: Annotated[str | None, Parameter(help="Of the picture: 360x480 or 572; by default the paper's.")] = None,
    channels: Annotated[int | None, Parameter(help="Channels of the picture.")] = None,
    classes: Annotated[int | None, Parameter(help="Number of classes.")] = None,
    set_: Settings = None,
    figure: Annotated[Path | None, Parameter(help="Write the drawing of the network to this SVG file.")] = None,
    page: Annotated[
        Path | None, Parameter(help="Write everything to this Markdown file, the drawing beside it.")
    ] = None,
    json_: Json = False,
) -> int:
    """Say what a network is made of, layer by layer, and what it costs; of two, what differs.

    Example: unpool explain unet-2015 --size 572
    """
    from unpool.commands.explaining import explain as run

    settings = _settings(None, set_)
    told = run(net, other, size=size, channels=channels, classes=classes, settings=settings, figure=figure, page=page)
    print(json.dumps(told.data, indent=2, ensure_ascii=False) if json_ else told.text)
    return 0


RunName = Annotated[str, Parameter(help="A run's id, the beginning of one, or a run's folder.")]
Places = Annotated[
    list[Path] | None,
    Parameter(name="--among", consume_multiple=True, negative="", help="Folders to look in; by default runs."),
]


@runs.default
def runs_list(
    folders: Annotated[list[Path] | None, Parameter(negative="", help="Where to look; by default in runs.")] = None,
    *,
    net: Annotated[str | None, Parameter(help="Only runs of this network.")] = None,
    data: Annotated[str | None, Parameter(help="Only runs on a folder of this name.")] = None,
    kind: Annotated[Literal["train", "test"] | None, Parameter(help="Only trainings, or only tests.")] = None,
    state: Annotated[
        Literal["running", "finished", "stopped", "failed", "interrupted"] | None,
        Parameter(help="Only runs that stand so; interrupted ones were killed."),
    ] = None,
    where: Annotated[
        list[str] | None,
        Parameter(
            name="--where", negative="", help="Only runs in whose run.json this is so, as key=value; may be repeated."
        ),
    ] = None,
    sort: Annotated[
        Literal["created", "score", "seconds", "memory", "net", "data"],
        Parameter(help="What to sort by: the newest, the best, the shortest or the smallest first."),
    ] = "created",
    reverse: Annotated[bool, Parameter(negative="", help="Sort the other way round.")] = False,
    json_: Json = False,
) -> int:
    """List what was trained and tested.

    Example: unpool runs --kind test --sort score --where crop=256
    """
    from unpool.commands.runs import list_runs
    from unpool.ledger import Wanted

    wanted = Wanted(net=net, data=data, kind=kind, state=state, where=tuple(where or ()))
    listed = list_runs(folders or (), wanted, sort, reverse=reverse)
    print(json.dumps(listed.to_json(), indent=2, ensure_ascii=False) if json_ else listed.text)
    return 0


@runs.command(name="show")
def runs_show(run: RunName, *, among: Places = None, json_: Json = False) -> int:
    """Show everything about one run, its tests and the command that does it again.

    Example: unpool runs show 3f2a
    """
    from unpool.commands.runs import show_run

    shown = show_run(run, among or ())
    print(json.dumps(shown.to_json(), indent=2, ensure_ascii=False) if json_ else shown.text)
    return 0


@runs.command(name="rerun")
def runs_rerun(
    run: RunName,
    *,
    among: Places = None,
    out: Annotated[Path | None, Parameter(help="The new folder; by default FOLDER-again beside the old.")] = None,
    json_: Json = False,
) -> int:
    """Train or test again with the same data, settings and seed, and say whether the same came out.

    Example: unpool runs rerun 3f2a
    """
    from unpool.commands.rerunning import rerun
    from unpool.commands.runs import show_run

    again = _drive(rerun(show_run(run, among or ()).entry, out), quiet=json_)
    print(json.dumps(again.to_json(), indent=2, ensure_ascii=False) if json_ else again.text)
    return 0 if again.stopped_by is None else STOPPED + again.stopped_by


def main() -> None:
    """The program. Exit codes: 0 done, 1 failed, 2 wrong use, 3 bad data, 130 interrupted, 143 stopped by SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar or a dash that the terminal cannot show is no reason to stop
    os.environ.update({**HUGE_PAGES, **os.environ})
    # Of the processes that torchrun started, the first one speaks.
    if "WORLD_SIZE" in os.environ and os.environ.get("RANK", "0") != "0":
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for the rest of the process)
    try:
        code = app(sys.argv[1:], exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        code = WRONG_USE
    except UnpoolError as error:
        print(f"unpool: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("unpool: interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        code = FAILED
    except MemoryError:
        print("unpool: out of memory\n  expected: a smaller picture, crop, batch or network\n"
              "  to do:    lower --set crop=… or batch_size=…, or close other programs", file=sys.stderr)  # fmt: skip
        code = FAILED
    except OSError as error:
        print(f"unpool: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)


def _bytes(text: str | None) -> float | None:
    """A number of bytes such as 2GB or 800MB."""
    from unpool.errors import UsageError

    if text is None:
        return None
    number, unit = text.strip().upper().removesuffix("B"), 1.0
    for letter, size in (("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        if number.endswith(letter):
            number, unit = number[:-1], size
    try:
        found = float(number) * unit
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise UsageError(f"--memory {text}", "a size such as 2GB or 800MB", "correct it")
    return found


def _settings(recipe: Path | None, assignments: list[str] | None, **options: Any) -> dict[str, Any]:
    """Settings from a recipe, then ``--set``, then the options of their own; the later wins."""
    from unpool.config import merge, over_recipe, parse_assignments, read_recipe

    given = {key: value for key, value in options.items() if value is not None}
    places = {
        "masks": "data", "classes": "data", "ignore": "data",
        "seed": "training", "minutes": "training", "epochs": "training",
        "device": "machine", "precision": "machine",
    }  # fmt: skip
    own: dict[str, Any] = {}
    for key, value in given.items():
        if key in places:
            own.setdefault(places[key], {})[key] = value
        else:
            own[key] = value
    base = read_recipe(recipe) if recipe is not None else {}
    return over_recipe(base, merge(parse_assignments(assignments or []), own))


def _drive(command: Generator[Event, None, Result], *, quiet: bool) -> Result:
    """Run a command, showing what it says: a bar on a terminal, plain lines elsewhere, nothing with --json."""
    from unpool.commands.events import finish
    from unpool.console import show
    from unpool.engine.processes import leave

    result = finish(command) if quiet else show(command)
    leave()
    return result


if __name__ == "__main__":
    main()
