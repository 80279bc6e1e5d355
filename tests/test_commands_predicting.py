"""``predict``: what is found, where it is written, and what is never overwritten."""

import json
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
import unpool
from conftest import Program
from unpool.checkpoint.models import save_model
from unpool.class_table import ClassTable
from unpool.commands.events import Message, finish
from unpool.commands.predict.predict import Predicted
from unpool.commands.predict.targets import FoundTargets, Target, find_targets
from unpool.commands.train.train import TrainedRun
from unpool.errors import DataError, UsageError
from unpool.io.outputs import OUTPUT_MARK
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.io.read.windows import PictureFile, open_picture
from unpool.io.write.images import write_image
from unpool.prediction.averaging import Averaging
from unpool.processes import Processes


def masks(run: TrainedRun, out: Path, *inputs: object, **options: bool) -> Predicted:
    return finish(tiny.predict(run.folder, [str(text) for text in inputs], out, device="cpu", **options))


def files(folder: Path) -> set[str]:
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*") if path.is_file()}
    return written - {OUTPUT_MARK}


@pytest.fixture
def photos(cells: Path, tmp_path: Path) -> Path:
    """Pictures in sub-folders, with things that are no pictures among them. Writable."""
    folder = tmp_path / "photos"
    (folder / "deep" / "er").mkdir(parents=True)
    shutil.copy(cells / "images" / "00.png", folder / "a.png")
    shutil.copy(cells / "images" / "01.png", folder / "deep" / "b.c.png")
    shutil.copy(cells / "images" / "02.png", folder / "deep" / "er" / "d.PNG")
    (folder / "notes.txt").write_text("no picture")
    shutil.copy(cells / "images" / "00.png", folder / ".hidden.png")
    return folder


def test_folders_are_searched_and_mirrored(run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    result = masks(run, tmp_path / "out", photos)
    assert files(tmp_path / "out") == {"a.png", "deep/b.c.png", "deep/er/d.png"}
    assert {mask for _, mask in result.written} == {tmp_path / "out" / name for name in files(tmp_path / "out")}
    assert result.failed == ()
    for image, mask in result.written:
        assert read_mask(mask).shape == read_image(image).shape[:2]


def test_files_and_patterns(run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    masks(run, tmp_path / "file", photos / "deep" / "b.c.png")
    assert files(tmp_path / "file") == {"b.c.png"}
    masks(run, tmp_path / "glob", photos / "**" / "*.png")
    assert files(tmp_path / "glob") == {"a.png", "deep/b.c.png"}
    masks(run, tmp_path / "all", photos / "a.png", photos / "deep", photos / "*.png")
    assert files(tmp_path / "all") == {"a.png", "b.c.png", "er/d.png"}


def test_patterns_in_a_hidden_folder_find_its_pictures(photos: Path) -> None:
    hidden = photos.rename(photos.parent / ".photos")
    assert [target.name.as_posix() for target in find_targets([str(hidden / "*.png")], hidden / "out").targets] == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("gone.png", "gone.png: no such file or folder"), ("*.bmp", "no picture found"), ("empty", "the folder is empty")],
)
def test_inputs_that_match_nothing_are_refused(text: str, message: str, photos: Path) -> None:
    (photos / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        find_targets([str(photos / text)], photos / "out")


def test_masks_of_an_earlier_call_are_not_taken_for_pictures(run: TrainedRun, photos: Path) -> None:
    for _ in range(2):
        result = masks(run, photos / "masks", photos, overlays=True, overwrite=True)
        assert len(result.written) == 3
        assert result.failed == ()


def test_the_output_folder_may_lie_above_the_pictures(run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    result = masks(run, tmp_path, photos / "deep")
    assert sorted(mask.relative_to(tmp_path).as_posix() for _, mask in result.written) == ["b.c.png", "er/d.png"]


def test_two_pictures_for_one_output_are_refused_before_any_work(run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    Image.open(photos / "a.png").save(photos / "a.bmp")
    with pytest.raises(UsageError, match=r"a\.bmp and .*a\.png would both be written to .*out/a\.png"):
        masks(run, tmp_path / "out", photos)
    assert not (tmp_path / "out").exists()


def test_a_mask_and_an_overlay_for_one_output_are_refused(run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    (photos / "overlays").mkdir()
    shutil.copy(photos / "a.png", photos / "overlays" / "a.png")
    with pytest.raises(UsageError, match=r"would both be written to .*out/overlays/a\.png"):
        masks(run, tmp_path / "out", photos, overlays=True)
    masks(run, tmp_path / "out", photos)


@pytest.mark.parametrize("there", ["a.png", "overlays/a.png", "probabilities/a.tif"])
def test_outputs_that_exist_are_refused_unless_overwriting(
    there: str, run: TrainedRun, photos: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "out" / there
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"precious")
    with pytest.raises(UsageError, match=rf"{there} exists already\n(.|\n)*--overwrite"):
        masks(run, tmp_path / "out", photos, overlays=True, probabilities="float32")
    assert files(tmp_path / "out") == {there}
    assert precious.read_bytes() == b"precious"
    masks(run, tmp_path / "out", photos, overlays=True, probabilities="float32", overwrite=True)
    assert precious.read_bytes() != b"precious"


def test_a_picture_is_never_replaced_by_its_mask(run: TrainedRun, photos: Path) -> None:
    before = (photos / "a.png").read_bytes()
    result = masks(run, photos, photos / "a.png", overwrite=True)
    assert "its mask would replace the picture itself" in result.failed[0][1]
    assert (photos / "a.png").read_bytes() == before


def test_masks_come_back_in_the_values_they_were_drawn_in(run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    labels = unpool.load(run.folder, "cpu").predict(photos / "a.png")
    masks(run, tmp_path / "out", photos / "a.png")
    with Image.open(tmp_path / "out" / "a.png") as written:
        assert written.mode == "L"  # as the masks that it was trained on
        assert (np.asarray(written) == labels * 255).all()
    assert (read_mask(tmp_path / "out" / "a.png") == labels * 255).all()


def test_colour_masks_come_back_in_their_colours(photos: Path, tmp_path: Path) -> None:
    red, blue = (255, 0, 0), (0, 0, 200)
    table = ClassTable("colours", ("red", "blue"), ((red,), (blue,)), (), (red, blue))
    save_model(tmp_path / "model.safetensors", tiny.segmenter(classes=table), {})
    finish(tiny.predict(tmp_path / "model.safetensors", [str(photos / "a.png")], tmp_path / "out", device="cpu"))
    written = np.asarray(Image.open(tmp_path / "out" / "a.png").convert("RGB")).reshape(-1, 3)
    assert {tuple(map(int, colour)) for colour in written} <= {red, blue}


def test_overlays_and_probabilities(run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    masks(run, tmp_path / "out", photos, overlays=True, probabilities="float32")
    names = ("a", "deep/b.c", "deep/er/d")
    expected = {f"{n}.png" for n in names} | {f"overlays/{n}.png" for n in names}
    assert files(tmp_path / "out") == expected | {f"probabilities/{n}.tif" for n in names}
    overlay = read_image(tmp_path / "out" / "overlays" / "a.png")
    assert overlay.shape[1] == 8 * 56  # small pictures are enlarged, and the legend lies below
    assert overlay.shape[0] > 8 * 48
    likely = read_image(tmp_path / "out" / "probabilities" / "a.tif")
    assert (likely.shape, likely.dtype) == ((48, 56, 2), np.float32)
    np.testing.assert_allclose(likely.sum(axis=2), 1, atol=1e-5)
    assert (likely.argmax(axis=2) * 255 == read_mask(tmp_path / "out" / "a.png")).all()


def test_a_broken_picture_does_not_stop_the_others(
    run: TrainedRun, photos: Path, tmp_path: Path, program: Program
) -> None:
    (photos / "b.png").write_bytes((photos / "a.png").read_bytes()[:100])
    write_image(photos / "c.png", np.zeros((9, 9), np.uint16))
    said = program("predict", run.folder, photos, "-o", tmp_path / "out", "--device", "cpu")
    assert said.code == 3
    assert files(tmp_path / "out") == {"a.png", "deep/b.c.png", "deep/er/d.png"}
    assert said.out.count("skipped: ") == 2
    assert "3 masks in" in said.out
    assert "2 pictures could not be predicted" in said.out
    result = masks(run, tmp_path / "again", photos)
    assert [path.name for path, _ in result.failed] == ["b.png", "c.png"]
    assert "pixels of type uint16" in result.failed[1][1]


def test_an_error_that_nobody_foresaw_does_not_stop_the_others(
    run: TrainedRun, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(path: Path, *bounds: float) -> AbstractContextManager[PictureFile]:
        if path.name == "a.png":
            raise ZeroDivisionError("odd")
        return open_picture(path, *bounds)

    monkeypatch.setattr("unpool.commands.predict.predict.open_picture", odd)
    result = masks(run, tmp_path / "out", photos)
    assert files(tmp_path / "out") == {"deep/b.c.png", "deep/er/d.png"}
    assert "a.png: ZeroDivisionError: odd" in result.failed[0][1]


def test_the_first_process_names_what_the_others_could_not_read(
    run: TrainedRun, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Processes):
        """The first of two, of which the other fails on all that is its own."""

        def agree(self, value: float) -> float:
            return value

        def sum_counts(self, values: torch.Tensor) -> torch.Tensor:
            return values + torch.arange(len(values)) % 2

        def agree_text(self, text: str, rank: int = 0) -> str:
            other = {
                str(photos / "deep" / "b.c.png"): "b.c.png is broken\n  expected: a picture\n  to do:    save it again"
            }
            asked.append(rank)
            return json.dumps(other) if rank and asked.count(1) == 2 else text  # first the pictures that are unlike

    asked: list[int] = []
    monkeypatch.setattr("unpool.commands.predict.predict.join", lambda _: Failing(0, 2))
    events = tiny.predict(run.folder, [str(photos)], tmp_path / "out", device="cpu")
    said = [event.text for event in events if isinstance(event, Message)]
    assert said[-2].startswith("skipped: b.c.png is broken")
    assert "to do:    save it again" in said[-2]
    assert said[-1].startswith("2 masks in")
    assert "1 picture could not be predicted" in said[-1]


@pytest.mark.parametrize("name", ["../escaped", "deep/../../escaped"])
def test_names_with_dots_cannot_leave_the_folder(
    name: str, run: TrainedRun, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import PurePosixPath

    from unpool.commands.predict import predict as predicting

    found = FoundTargets([Target(photos / "a.png", PurePosixPath(name))], ())
    monkeypatch.setattr(predicting, "find_targets", lambda *_: found)
    with pytest.raises(DataError, match="a path inside"):
        masks(run, tmp_path / "out", photos)
    assert not list(tmp_path.rglob("*escaped*"))


def test_inputs_given_with_dots_or_a_root_stay_inside(
    run: TrainedRun, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos / "deep")
    masks(run, tmp_path / "out", "../a.png", photos / "deep" / "b.c.png", "../deep/er")
    assert files(tmp_path / "out") == {"a.png", "b.c.png", "d.png"}


def test_a_link_in_the_output_folder_is_not_followed(run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "out" / "deep")
    with pytest.raises(DataError, match="a path inside"):
        masks(run, tmp_path / "out", photos)
    assert files(tmp_path / "elsewhere") == set()


def test_a_turned_photograph_is_predicted_as_displayed(run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    pixels = Image.open(photos / "a.png").convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # displayed after a quarter turn clockwise
    pixels.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    upright = read_image(tmp_path / "turned.jpg")
    assert upright.shape == (56, 48, 3)
    masks(run, tmp_path / "out", tmp_path / "turned.jpg")
    mask = read_mask(tmp_path / "out" / "turned.png")
    assert mask.shape == (56, 48)
    assert (mask == unpool.load(run.folder, "cpu").mask(upright)).all()


def test_tiles_do_not_show_in_a_large_picture(run: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    model = unpool.load(run.folder, "cpu")
    image = np.random.default_rng(0).integers(0, 256, (130, 175), dtype=np.uint8)
    from unpool.prediction.predictor import Predictor

    whole = Predictor(model.segmenter, tiny.CPU).probabilities(image[..., None], "p")
    tiled = Predictor(model.segmenter, tiny.CPU, (48, 48)).probabilities(image[..., None], "p")
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


@pytest.mark.parametrize("shape", [(), (3,), (0, 5), (1, 2, 3, 4)])
def test_arrays_that_are_no_picture_are_refused(shape: tuple[int, ...], run: TrainedRun) -> None:
    with pytest.raises(DataError, match="an array of shape"):
        unpool.load(run.folder, "cpu").predict(np.zeros(shape, np.uint8))


def test_a_loaded_model_says_what_it_is(run: TrainedRun, cells: Path, tmp_path: Path) -> None:
    model = unpool.load(run.folder, "cpu")
    assert model.path == run.model
    assert not model.network.training
    likely = model.probabilities(cells / "images" / "00.png")
    assert likely.shape == (2, 48, 56)
    assert model.test(cells, out=tmp_path / "test").scores.mean_iou is not None


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with dropout, trained on upright pictures. Read only."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    story = {"config": {"augmentation": {"orientation": "upright"}}}
    save_model(path, tiny.segmenter(dropout=0.5, dropout_after=("bottom", "decoder1")), story)
    return path


@pytest.mark.parametrize(("scale", "top"), [("uint8", 255), ("uint16", 65535)])
def test_probabilities_as_integers(scale: str, top: int, run: TrainedRun, photos: Path, tmp_path: Path) -> None:
    masks(run, tmp_path / "whole", photos / "a.png", probabilities="float32")
    masks(run, tmp_path / "out", photos / "a.png", probabilities=scale)
    likely, found = (read_image(tmp_path / each / "probabilities" / "a.tif") for each in ("whole", "out"))
    assert found.dtype == scale
    np.testing.assert_allclose(found, likely.astype(np.float64) * top, atol=0.51)
    assert (read_mask(tmp_path / "out" / "a.png") == read_mask(tmp_path / "whole" / "a.png")).all()


def test_uncertainty_is_what_is_missing_to_certainty_or_the_variance_of_samples(
    dropping: Path, photos: Path, tmp_path: Path
) -> None:
    picture, model = str(photos / "a.png"), unpool.load(dropping, "cpu")
    finish(tiny.predict(dropping, [picture], tmp_path / "a", uncertainty=True, probabilities="float32", device="cpu"))
    found = read_image(tmp_path / "a" / "uncertainty" / "a.tif")
    likely = read_image(tmp_path / "a" / "probabilities" / "a.tif")
    assert (found.shape, found.dtype) == ((48, 56, 1), np.float32)
    np.testing.assert_array_equal(found[..., 0], 1 - likely.max(axis=2))
    np.testing.assert_array_equal(model.uncertainty(picture), found[..., 0][None])
    averaging = Averaging("flips", samples=3)
    finish(tiny.predict(dropping, [picture], tmp_path / "b", uncertainty=True, averaging=averaging, device="cpu"))
    found = read_image(tmp_path / "b" / "uncertainty" / "a.tif")
    assert found.shape == (48, 56, 2)
    assert 0 < found.max() <= 0.25
    np.testing.assert_array_equal(np.moveaxis(model.uncertainty(picture, tta="flips", samples=3), 0, -1), found)
    mask = model.mask(picture, tta="flips", samples=3)
    assert (read_mask(tmp_path / "b" / "a.png") == mask).all()
    assert (model.probabilities(picture, tta="flips", samples=3).argmax(0) * 255 == mask).all()


def test_averaging_is_announced_with_what_the_model_never_saw(dropping: Path, photos: Path, tmp_path: Path) -> None:
    averaging = Averaging("d4", samples=1)
    events = tiny.predict(dropping, [str(photos / "a.png")], tmp_path / "out", device="cpu", averaging=averaging)
    said = [event.text for event in events if isinstance(event, Message)]
    assert "the mean of 8 orientations (d4), 1 dropout sample of each" in said[0]
    assert "The model was trained on upright pictures only, and --tta d4 uses other orientations too" in said[1]


def test_samples_of_a_model_without_dropout_are_refused_before_any_work(
    run: TrainedRun, photos: Path, tmp_path: Path, program: Program
) -> None:
    said = program("predict", run.folder, photos, "-o", tmp_path / "out", "--samples", "5")
    assert said.code == 2
    assert "5 samples of unet, which has no dropout" in said.err
    assert not (tmp_path / "out").exists()


def test_the_options_of_averaging_can_be_typed(dropping: Path, photos: Path, tmp_path: Path, program: Program) -> None:
    words = ["--tta", "rotations", "--samples", "2", "--uncertainty", "--probabilities", "uint8", "--device", "cpu"]
    assert program("predict", dropping, photos / "a.png", "-o", tmp_path / "out", *words).code == 0
    assert files(tmp_path / "out") == {"a.png", "probabilities/a.tif", "uncertainty/a.tif"}
