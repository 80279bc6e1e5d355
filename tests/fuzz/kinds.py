"""Kinds of files, each with the functions of Unpool that read it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import tiny
from unpool.checkpoint.checkpoints import load_newest_checkpoint
from unpool.commands.compare import compare
from unpool.commands.events import finish
from unpool.commands.info import info
from unpool.commands.runs.listing import list_runs, show_run
from unpool.commands.runs.rerun import rerun
from unpool.config.assignments import parse_assignments
from unpool.config.recipes import read_recipe
from unpool.config.settings import resolve
from unpool.dataset.mask_values.class_names import names_by_hand
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.survey import survey
from unpool.dataset.survey_text import survey_page
from unpool.errors import UnpoolError
from unpool.io.outputs import read_journal, written_names
from unpool.io.read.file_facts import size_and_placement
from unpool.io.read.images import load_picture
from unpool.io.read.masks import load_mask
from unpool.io.read.stack import open_stack
from unpool.io.read.windows import open_picture
from unpool.ledger.folders import find_runs
from unpool.ledger.selection import RunFilter, select_runs
from unpool.prediction.predictor import Predictor

Reader = Callable[[Path], int]
"""A function that reads what is in a folder, and returns the bytes of its result. Only a typed error may come out."""

PREDICTED_PIXELS = 100_000
"""The most pixels of a picture that is predicted here: a sound large one may take its time."""


@dataclass(frozen=True)
class Kind:
    """A kind of files, and its readers. ``weight`` is its share of the inputs."""

    name: str
    readers: tuple[Reader, ...]
    weight: int = 1
    package: str = ""

    @property
    def available(self) -> bool:
        """Whether the optional package that reads it is installed."""
        return not self.package or find_spec(self.package) is not None


def _picture(folder: Path) -> Path:
    """Return the picture, whatever a fault made of its name."""
    return next(iter(sorted(folder.glob("*.*"))), folder / "none.png")


def as_picture(folder: Path) -> int:
    """Read a picture in one piece and by windows; both must agree where both can be read."""
    path = _picture(folder)
    size_and_placement(path)
    whole = None
    try:
        whole = load_picture(path).pixels
    finally:
        if whole is None:
            _windows(path, None)
    return whole.nbytes + _windows(path, whole)


def _windows(path: Path, whole: np.ndarray | None) -> int:  # type: ignore[type-arg]
    with open_picture(path, cache=1 << 20) as picture:
        rows, columns, _ = picture.shape
        for region in (
            (slice(0, 16), slice(0, 16)),
            (slice(rows // 2, rows // 2 + 9), slice(columns // 3, columns // 3 + 20)),
            (slice(max(rows - 5, 0), rows), slice(0, min(columns, 3000))),
        ):
            window = picture.window(*region)
            if whole is not None and not np.array_equal(window, whole[region], equal_nan=True):
                raise AssertionError("a window differs from the picture")
        return picture.cached_bytes


def as_mask(folder: Path) -> int:
    """Read a mask as it is, and as colours."""
    path = _picture(folder)
    return load_mask(path).values.nbytes + load_mask(path, "colours").values.nbytes


def as_stack(folder: Path) -> int:
    """Read the first and the last page of a stack."""
    with open_stack(_picture(folder)) as stack:
        return sum(stack.read(page).pixels.nbytes for page in (0, stack.pages - 1)) if stack else 0


def as_prediction(folder: Path) -> int:
    """Predict a small picture."""
    path = _picture(folder)
    rows, columns = size_and_placement(path)[0]
    if rows * columns > PREDICTED_PIXELS:
        return 0
    pixels = load_picture(path).pixels
    Predictor(tiny.segmenter(channels=min(pixels.shape[2], 8)), tiny.CPU).predict(pixels, str(path))
    return pixels.nbytes


def as_data(folder: Path) -> int:
    """Survey a folder of pictures and masks, by their values and as object numbers."""
    survey_page(survey(folder))
    survey_page(survey(folder, MaskOptions(kind="instances")))
    return 0


def as_recipe(folder: Path) -> int:
    """Read a recipe, and settings from it."""
    for path in folder.glob("*.toml"):
        resolve(read_recipe(path))
    return 0


def as_settings(folder: Path) -> int:
    """Take every line as a setting, as a condition on runs, and as a class name."""
    lines = "".join(path.read_text("utf-8", "replace") for path in folder.glob("*.txt")).split("\n")
    for line in lines:
        for reader in (lambda word: resolve(parse_assignments([word])), lambda word: names_by_hand([word]), _selected):
            try:
                reader(line)
            except UnpoolError:
                continue
    return 0


def _selected(word: str) -> None:
    select_runs((), RunFilter(where=(word,)))


def as_runs(folder: Path) -> int:
    """List the runs of a folder, show each, and begin to repeat it."""
    listed = list_runs([folder])
    assert listed.text
    assert listed.to_json()
    for run in find_runs([folder]).runs:
        shown = show_run(str(run.folder), [folder])
        assert shown.text
        assert shown.to_json()
    for run in listed.found.runs:
        if Path(run.record.data.folder).name != "cells":  # a fault may have made it the root of this computer
            continue
        try:
            finish(rerun(run, folder / "again"))
        except UnpoolError:
            continue
    return 0


def as_comparison(folder: Path) -> int:
    """Compare each test with itself."""
    for path in sorted(folder.rglob("scores*.json")):
        assert compare([path, path]).text
    return 0


def as_model(folder: Path) -> int:
    """Describe a model file, which reads its card and its weights."""
    for path in sorted(folder.glob("*.safetensors")):
        assert info(path).text
    return 0


def as_checkpoint(folder: Path) -> int:
    """Read a checkpoint."""
    for path in sorted(folder.glob("*.pt")):
        load_newest_checkpoint(path)
    return 0


def as_journal(folder: Path) -> int:
    """Read a journal of predictions."""
    read_journal(folder)
    written_names(folder)
    return 0


PICTURES = (as_picture, as_mask, as_prediction)
KINDS = {
    kind.name: kind
    for kind in (
        Kind("png", PICTURES, 4),
        Kind("jpeg", PICTURES, 2),
        Kind("bitmap", PICTURES, 3),
        Kind("tiff", (*PICTURES, as_stack), 8),
        Kind("arrays", (*PICTURES, as_stack), 2),
        Kind("zarr", PICTURES, 3, "zarr"),
        Kind("dataset", (as_data,), 4),
        Kind("recipe", (as_recipe,), 2),
        Kind("settings", (as_settings,), 2),
        Kind("runs", (as_runs, as_comparison), 1),
        Kind("model", (as_model,), 2),
        Kind("checkpoint", (as_checkpoint,), 2),
        Kind("journal", (as_journal,), 1),
    )
}
