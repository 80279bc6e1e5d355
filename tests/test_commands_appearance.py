"""``check``, ``test``, ``predict`` and ``Model.predict`` on pictures unlike those that the model saw."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

import tiny
import unpool
from conftest import Program
from unpool.appearance.picture import appearance_of
from unpool.appearance.seen import SeenPictures
from unpool.checkpoint.models import load_model, save_model
from unpool.commands.train.train import TrainedRun
from unpool.io.read.images import image_info
from unpool.io.write.images import write_image
from unpool.normalisation import ChannelConstants, Normalisation

CASES = Path(__file__).parents[2] / "shared" / "cases" / "faults"
GREY_NOTE = "in grey ({}), but the model was trained on pictures in colour: expect worse masks"


def coloured(seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 40, 3), np.uint8)
    pixels[20:30, 10:25] = (250, 20, 20)
    return pixels


def floats(seed: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((48, 40, channels)).astype(np.float32)


@pytest.fixture
def colour_model(tmp_path: Path) -> Path:
    """A model of three channels that saw pictures in colour."""
    seen = SeenPictures.of([appearance_of(coloured(seed)) for seed in range(3)])
    save_model(tmp_path / "colour.safetensors", replace(tiny.segmenter(channels=3), seen=seen), {})
    return tmp_path / "colour.safetensors"


@pytest.fixture
def float_model(tmp_path: Path) -> Path:
    """A model that saw one channel of floats from 0 to 1."""
    seen = SeenPictures.of([appearance_of(floats(seed)) for seed in range(3)])
    constants = Normalisation(1, {"float32": ChannelConstants((0.5,), (0.3,))})
    save_model(tmp_path / "float.safetensors", replace(tiny.segmenter(), normalisation=constants, seen=seen), {})
    return tmp_path / "float.safetensors"


def pairs_of(folder: Path, pictures: dict[str, np.ndarray]) -> Path:
    """A folder of pictures, each with a mask of one square."""
    for name, pixels in pictures.items():
        write_image(folder / "images" / f"{name}.{'tif' if pixels.dtype == np.float32 else 'png'}", pixels)
        mask = np.zeros(pixels.shape[:2], np.uint8)
        mask[20:30, 10:25] = 255
        write_image(folder / "masks" / f"{name}.png", mask)
    return folder


def test_a_training_stores_what_it_saw(run: TrainedRun, cells: Path) -> None:
    segmenter, card = load_model(run.model)
    train = unpool.check(cells).split.train
    pixels = [np.asarray(tiny_pixels) for name, tiny_pixels, _ in tiny.pictures(8) if name in train]
    seen = card["appearance"]
    assert seen["ranges"]["uint8"]["least"] == min(each.min() for each in pixels)
    assert seen["ranges"]["uint8"]["largest"] == max(each.max() for each in pixels)
    assert seen["ranges"]["uint8"]["short"] == min(each.max() for each in pixels)
    assert seen["colours"] == [0, 0]
    assert segmenter.seen == SeenPictures.from_card(seen)


def test_grey_pictures_for_a_model_that_saw_colour(colour_model: Path, tmp_path: Path, program: Program) -> None:
    pictures = {"a": coloured(8), "b": coloured(9)[..., 0], "c": coloured(9)[..., 1]}
    data = pairs_of(tmp_path / "data", pictures)
    said = program("predict", colour_model, data / "images", "-o", tmp_path / "out", "--device", "cpu")
    assert said.code == 0
    first, both = (line for line in said.out.splitlines() if line.startswith("note: "))
    files = [data / "images" / f"{name}.png" for name in "bc"]
    assert first.startswith(f"note: 1 picture {GREY_NOTE.format(files[0])}")
    assert both.startswith(f"note: 2 pictures {GREY_NOTE.format(f'{files[0]}, {files[1]}')}")
    again = program("predict", colour_model, data / "images", "-o", tmp_path / "json", "--device", "cpu", "--json")
    assert [f"note: {each}" for each in json.loads(again.out)["warnings"]] == [both]
    tested = program("test", colour_model, data, "--out", tmp_path / "test", "--device", "cpu")
    assert tested.code == 0
    assert f"2 pictures {GREY_NOTE.format('b, c')}" in " ".join(tested.out.split())
    scores = json.loads((tmp_path / "test" / "scores.json").read_text())
    assert any(each.startswith(f"2 pictures {GREY_NOTE.format('b, c')}") for each in scores["warnings"])


def test_a_large_picture_is_judged_by_its_windows(
    float_model: Path, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unpool.commands.predict.predict.TILE", (32, 32))
    pixels = np.tile(floats(1), (3, 3, 1)) * 255
    pixels[:, :70] = -9999  # whole tiles without data
    write_image(tmp_path / "large.tif", pixels)
    command = ("predict", float_model, tmp_path / "large.tif", "-o", tmp_path / "out", "--device", "cpu")
    above, missing = (line for line in program(*command).out.splitlines() if line.startswith("note: "))
    assert "far above" in above
    assert "times as far (0..1 beside 0..255, or 8-bit values beside 16-bit ones)" in above
    assert "large.tif: -9999 on about " in missing
    with pytest.warns(UserWarning, match="large.tif") as said:
        unpool.load(float_model, device="cpu").predict(tmp_path / "large.tif")
    whole_above, whole_missing = (str(each.message) for each in said)
    assert above == f"note: {whole_above}"  # the windows together are the picture
    assert whole_missing.startswith(
        missing.removeprefix("note: ").split(" on ")[0]
    )  # pixels of two windows count twice


def test_predict_from_python_warns(colour_model: Path) -> None:
    model = unpool.load(colour_model, device="cpu")
    with pytest.warns(UserWarning, match=r"1 picture in grey \(the array\), but the model was trained"):
        model.predict(coloured(8)[..., 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(coloured(8))


def test_a_card_without_appearance_says_what_its_constants_say(tmp_path: Path) -> None:
    grey = coloured(8)[..., 0]
    plain = tiny.segmenter(channels=3)
    constants = ChannelConstants((80.0, 95.0, 60.0), (38.0, 14.0, 42.0))
    for name, segmenter in (("like", plain), ("unlike", replace(plain, normalisation=replace(
        plain.normalisation, constants={"uint8": constants})))):  # fmt: skip
        save_model(tmp_path / name, segmenter, {})
    assert load_model(tmp_path / "like").card["appearance"] is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unpool.load(tmp_path / "like", device="cpu").predict(grey)
    with pytest.warns(UserWarning, match="in grey"):
        unpool.load(tmp_path / "unlike", device="cpu").predict(grey)


@pytest.mark.parametrize("text", ["-9999", "-9999\0", " -9999.0 ", "-9.999e3"])
def test_gdal_names_missing_data(text: str, tmp_path: Path) -> None:
    pixels = floats(0)[..., 0]
    pixels[:9, :9] = -9999
    tifffile.imwrite(tmp_path / "a.tif", pixels, extratags=[(42113, "s", 0, text, True)])
    assert image_info(tmp_path / "a.tif").missing == -9999


@pytest.mark.parametrize("text", ["nan", "none", "", "1e300"])
def test_gdal_names_no_value(text: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", floats(0)[..., 0], extratags=[(42113, "s", 0, text, True)])
    assert image_info(tmp_path / "a.tif").missing is None


def test_check_warns_of_declared_missing_data(tmp_path: Path) -> None:
    data = pairs_of(tmp_path, {f"p{k}": coloured(k)[..., 0] for k in range(4)})
    pixels = np.maximum(coloured(0)[..., 0], 1)
    pixels[:12] = 0
    (data / "images" / "p0.png").unlink()
    tifffile.imwrite(data / "images" / "p0.tif", pixels, extratags=[(42113, "s", 0, "0", True)])
    found = {finding.code: finding for finding in unpool.check(data).findings}["missing-data"]
    assert (found.severity, found.files) == ("warning", ("p0",))
    assert "1 picture with the value 0 on 25.00% of the pixels (p0), which the files declare" in found.found


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
@pytest.mark.parametrize(
    ("case", "code"), [("float-range-mix/range_mix", "mixed-ranges"), ("nodata/nodata", "missing-data")]
)
def test_shared_cases(case: str, code: str) -> None:
    findings = {finding.code: finding for finding in unpool.check(CASES / case).findings}
    assert findings[code].severity == "warning"
