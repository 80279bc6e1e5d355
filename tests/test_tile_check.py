"""Tiles against the whole, measured on a part of a picture: exact ones must be equal, blended ones are told."""

import json
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

import tiny
from conftest import Program
from test_averaging import dropping
from test_prediction import lively, picture
from unpool.checkpoint.models import save_model
from unpool.commands.events import Message, finish
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import test as score
from unpool.errors import RunError
from unpool.geometry import Border
from unpool.io.read.masks import read_mask
from unpool.io.write.images import write_image
from unpool.nets.structure import Structure
from unpool.prediction.averaging import Averaging
from unpool.prediction.blending import summed_bytes
from unpool.prediction.memory import WindowMemory, window_memory
from unpool.prediction.predictor import Predictor
from unpool.prediction.tile_check import Mismatch, tile_mismatch
from unpool.prediction.tile_plan import TileBytes, plan_tiles

EXACT = ("unet", "segnet-basic")


@pytest.mark.parametrize("net", EXACT)
@pytest.mark.parametrize(("size", "tile"), [((150, 170), (32, 48)), ((90, 40), (1024, 1024)), ((33, 200), (64, 64))])
def test_exact_tiles_equal_the_whole(net: str, size: tuple[int, int], tile: tuple[int, int]) -> None:
    found = tile_mismatch(Predictor(lively(net), tiny.CPU, tile), picture(*size), "p")
    assert found is not None
    assert found.exact
    assert found.holds
    assert found.largest < 1e-5
    assert found.share == 0
    assert any(cut < side for cut, side in zip(found.tile, found.sample, strict=True))
    assert all(side <= length for side, length in zip(found.sample, size, strict=True))
    averaging = Averaging("d4")
    assert tile_mismatch(Predictor(lively(net), tiny.CPU, tile, averaging), picture(*size), "p").largest < 1e-5


@pytest.mark.parametrize("net", EXACT)
def test_a_halo_that_is_too_small_is_found(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Structure, "halo", Border(4, 4))
    found = tile_mismatch(Predictor(lively(net), tiny.CPU, (64, 64)), picture(150, 170), "p")
    assert found.holds is False
    assert found.largest > 1e-3


def test_numbers_are_those_of_the_two_answers() -> None:
    model, image = tiny.segmenter(norm="instance"), picture(70, 61)
    found = tile_mismatch(Predictor(model, tiny.CPU), image, "p")
    assert found.sample == (70, 61)
    whole, cut = (Predictor(model, tiny.CPU, tile).probabilities(image, "p") for tile in ((1024, 1024), found.tile))
    assert not found.exact
    assert found.holds is None
    assert found.largest == pytest.approx(np.abs(whole - cut).max(), rel=1e-3)
    assert found.mean == pytest.approx(np.abs(whole - cut).mean(), rel=1e-3)
    assert found.share == pytest.approx((whole.argmax(0) != cut.argmax(0)).mean(), abs=1e-3)
    assert found.largest > 1e-4


@pytest.mark.parametrize("structure", [{}, {"padding": "valid"}, {"norm": "instance"}])
def test_the_sample_takes_no_more_than_a_tile_with_all_that_it_reads(structure: dict[str, object]) -> None:
    model, seen = tiny.segmenter(**structure), []
    model.network.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[2:]))
    list(Predictor(model, tiny.CPU, (96, 64)).probabilities(picture(400, 410), "p"))
    largest = [max(sides) for sides in zip(*seen, strict=True)]
    seen.clear()
    found = tile_mismatch(Predictor(model, tiny.CPU, (96, 64)), picture(400, 410), "p")
    assert found.tile[0] < found.sample[0] < 400
    assert all(side <= most + 4 for shape in seen for side, most in zip(shape, largest, strict=True))


def test_an_axis_that_is_not_cut_stays_whole() -> None:
    found = tile_mismatch(Predictor(tiny.segmenter(), tiny.CPU, (64, 64)), picture(50, 400), "p")
    assert found.tile[0] >= found.sample[0] == 50
    assert found.tile[1] < found.sample[1] < 400


def test_what_is_never_cut_is_not_compared() -> None:
    assert tile_mismatch(Predictor(tiny.segmenter(padding="full", depth=1), tiny.CPU), picture(50, 60), "p") is None
    assert tile_mismatch(Predictor(tiny.segmenter(), tiny.CPU), picture(3, 4), "p") is None


def test_dropout_is_not_sampled_for_it() -> None:
    plain = tile_mismatch(Predictor(dropping(), tiny.CPU), picture(70, 61), "p")
    assert tile_mismatch(Predictor(dropping(), tiny.CPU, averaging=Averaging(samples=5)), picture(70, 61), "p") == plain


def test_reduced_arithmetic_is_judged_by_class_ids() -> None:
    found = Mismatch((9, 9), (4, 4), True, False, False, 2e-4, 1e-6, 0.0)
    assert found.holds is False
    assert "at most 1e-04 in float32" in found.allowed
    assert replace(found, reduced=True).holds
    assert replace(found, reduced=True, share=0.02).holds is False
    assert "at most 1% other class ids" in replace(found, reduced=True).allowed


def test_a_network_that_unpools_is_judged_by_class_ids_too() -> None:
    """Rounding may choose another of two equal maxima, as in a flat region, and that moves a value to another pixel."""
    found = Mismatch((9, 9), (4, 4), True, False, True, 0.3, 1e-4, 0.002)
    assert found.holds
    assert "another of two equal maxima" in found.allowed
    assert replace(found, share=0.02).holds is False


def test_a_plan_counts_the_sums_and_the_tiles_of_blending() -> None:
    held, sums = WindowMemory(100.0, 1e6), summed_bytes(12, sampled=True)
    assert sums == 4 * (2 * 12 + 1)
    exact, blended = (tiny.segmenter(norm=norm).network.structure for norm in ("batch", "instance"))
    for room in (20e6, 60e6):
        plans = [plan_tiles(each, TileBytes(held, 4.0, sums), (2000, 3000), room, "p") for each in (exact, blended)]
        assert all(plan.bytes <= room for plan in plans)
        assert plans[1].tile[0] < plans[0].tile[0]
        assert plans[1].overhead > 2 * plans[0].overhead
    whole = plan_tiles(blended, TileBytes(held, 4.0, sums), (2000, 3000), 1e9, "p")
    assert whole.tile == (2000, 3000)
    assert whole.bytes == held.of(*whole.window) + 4.0 * 2000 * 3000


def test_the_copy_that_instance_normalisation_makes_is_counted() -> None:
    """torch lays its input out anew: one more copy of the first stage's 16 float32 maps."""
    networks = (tiny.segmenter(norm=norm, width=16).network for norm in ("group", "instance"))
    group, instance = (window_memory(tiny.CPU.place(network), tiny.CPU) for network in networks)
    assert instance.pixel == pytest.approx(group.pixel + 64, abs=1)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with instance normalisation. Read only."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, tiny.segmenter(norm="instance"), {})
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A small picture and two large ones."""
    for name, size in (("a", (30, 30)), ("b", (90, 70)), ("c", (71, 90))):
        write_image(tmp_path / "photos" / f"{name}.png", picture(*size)[..., 0])
    return tmp_path / "photos"


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unpool.commands.predict.predict.fitting_tile", lambda *_: (32, 32))
    monkeypatch.setattr("unpool.commands.test.test.TILE", (32, 32))


BLENDED = "this network normalises over all pixels of a tile"


@pytest.mark.usefixtures("small_tiles")
def test_predict_says_once_that_tiles_are_blended(instance: Path, photos: Path, tmp_path: Path) -> None:
    events = list(tiny.predict(instance, [str(photos)], tmp_path / "out", device="cpu", precision="float32"))
    said = [event.text for event in events if isinstance(event, Message) and BLENDED in event.text]
    assert len(said) == 1
    assert f"{photos / 'b.png'}: on " in said[0]
    assert "the probabilities differ by at most" in said[0]
    assert read_mask(tmp_path / "out" / "c.png").shape == (71, 90)


def test_nothing_is_said_where_nothing_is_cut_or_tiles_are_exact(
    instance: Path, photos: Path, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BLENDED not in program("predict", instance, photos, "-o", tmp_path / "a", "--device", "cpu").out
    monkeypatch.setattr("unpool.commands.predict.predict.fitting_tile", lambda *_: (32, 32))
    save_model(tmp_path / "exact.safetensors", tiny.segmenter(), {})
    said = program("predict", tmp_path / "exact.safetensors", photos, "-o", tmp_path / "b", "--device", "cpu")
    assert said.code == 0
    assert BLENDED not in said.out


@pytest.mark.usefixtures("small_tiles")
def test_verify_of_a_blended_network_tells_and_does_not_judge(
    instance: Path, photos: Path, tmp_path: Path, program: Program
) -> None:
    said = program("predict", instance, photos / "b.png", "-o", tmp_path / "out", "--verify", "--device", "cpu")
    assert said.code == 0
    assert said.out.count(BLENDED) == 1


def test_verify_of_an_exact_network(
    photos: Path, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(tmp_path / "model.safetensors", lively("unet"), {})
    words = ["predict", tmp_path / "model.safetensors", photos, "--verify", "--device", "cpu", "--precision", "float32"]
    said = program(*words, "-o", tmp_path / "out")
    assert said.code == 0
    assert "verified, " in said.out
    assert "a.png: on 30 x 30 pixels of it, computed in one piece and in tiles of" in said.out
    assert "expected: at most 1e-04 in float32; rounding is usually about 1e-06" in said.out
    monkeypatch.setattr(Structure, "halo", Border(0, 0))
    said = program(*words, "-o", tmp_path / "wrong")
    assert said.code == 1
    assert "a.png: tiles do not equal the picture in one piece" in said.err
    assert not list((tmp_path / "wrong").glob("*.png"))


def test_verify_takes_the_first_picture_that_can_be_read(instance: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").write_bytes(b"\x89PNG broken")
    events = tiny.predict(instance, [str(photos)], tmp_path / "out", device="cpu", verify=True)
    said = [event.text for event in events if isinstance(event, Message)]
    assert any("b.png: on" in text for text in said)


def verification(model: Path, photos: Path, out: Path) -> list[str]:
    """What is said with --verify before the first picture is predicted."""
    events = tiny.predict(model, [str(photos)], out, device="cpu", precision="float32", verify=True, overwrite=True)
    said = [event.text for event in takewhile(lambda event: isinstance(event, Message), events)]
    events.close()
    return said[1:]


def test_verify_goes_on_where_a_picture_cannot_be_planned(
    photos: Path, instance: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tile(_: object, __: object, source: str, ___: float) -> tuple[int, int]:
        if source.endswith("a.png"):
            raise RunError("no tile fits", "room", "more --memory")
        return 32, 32

    monkeypatch.setattr("unpool.commands.predict.predict.fitting_tile", tile)
    said = verification(instance, photos, tmp_path / "out")
    assert "b.png: on" in said[0]
    assert not any("c.png: on" in text for text in said)
    result = finish(tiny.predict(instance, [str(photos)], tmp_path / "out", device="cpu", verify=True))
    assert [path.name for path, _ in result.failed] == ["a.png"]


def test_verify_takes_a_picture_that_is_cut_before_one_that_only_could_be(
    photos: Path, instance: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(photos / "0.png", picture(3, 4)[..., 0])
    assert "a.png: on 30 x 30" in verification(instance, photos, tmp_path / "out")[0]
    monkeypatch.setattr("unpool.commands.predict.predict.TILE", (32, 80))
    assert "b.png: on " in verification(instance, photos, tmp_path / "out")[0]


def test_verify_says_once_that_nothing_is_cut(photos: Path, instance: Path, tmp_path: Path) -> None:
    for path in photos.iterdir():
        write_image(path, picture(3, 4)[..., 0])
    said = verification(instance, photos, tmp_path / "out")
    assert said == ["nothing to verify: no picture that can be predicted is cut into tiles, or can be"]


@pytest.mark.usefixtures("small_tiles")
def test_a_test_says_it_too(instance: Path, cells: Path, tmp_path: Path) -> None:
    found = finish(score(instance, cells, TestOptions(device="cpu"), out=tmp_path / "test"))
    assert sum(BLENDED in warning for warning in found.warnings) == 1
    assert BLENDED in json.dumps(json.loads((tmp_path / "test" / "scores.json").read_text()))
    save_model(tmp_path / "exact.safetensors", tiny.segmenter(), {})
    exact = finish(score(tmp_path / "exact.safetensors", cells, TestOptions(device="cpu"), out=tmp_path / "other"))
    assert not any(BLENDED in warning for warning in exact.warnings)


def test_blended_results_are_not_continued_in_other_tiles(
    instance: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their pixels depend on the tiles, so a picture that was left half done starts again."""
    from unpool.commands.predict import predict as predicting

    keys, plain = [], predicting.open_results

    def opened(*given: object, key: str | None, **rest: object) -> object:
        keys.append(key)
        return plain(*given, key=key, **rest)

    monkeypatch.setattr(predicting, "open_results", opened)
    for side in (32, 40):
        monkeypatch.setattr(predicting, "fitting_tile", lambda *_, side=side: (side, side))
        finish(tiny.predict(instance, [str(photos / "b.png")], tmp_path / "out", device="cpu", overwrite=True))
    assert len(set(keys)) == 2
    assert None not in keys


def test_the_error_says_what_to_do() -> None:
    from unpool.commands.tile_notes import verified

    wrong = Mismatch((90, 90), (32, 32), True, False, False, 0.2, 0.01, 0.03)
    with pytest.raises(RunError, match=r"differ by at most 2\.0e-01(.|\n)*--precision float32 or --device cpu"):
        verified("p", wrong)
    assert "nothing to verify" in verified("p", None)
