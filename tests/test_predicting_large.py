"""Pictures of any size: the same answer in bands as at once, under a ceiling, and continued after a kill."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from test_processes import start
from unpool.checkpoint.models import save_model
from unpool.commands.events import Event, Message, Progress, finish
from unpool.commands.predict import predict as predicting
from unpool.commands.predict.predict import Predicted
from unpool.errors import RunError, UsageError
from unpool.io.outputs import JOURNAL
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.io.write.images import write_image
from unpool.nets.named import named_net
from unpool.orientation import OrientationSet
from unpool.prediction.averaging import Averaging
from unpool.prediction.memory import WindowMemory, window_memory
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import PROBABILITIES, Prediction
from unpool.prediction.tile_plan import TileBytes, plan_tiles

SMALL = (64, 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random small model. Read only."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, tiny.segmenter(), {"citation": "none"})
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A tiled TIFF with a resolution, of a size that no tile divides. Writable."""
    pixels = np.random.default_rng(0).integers(0, 255, (333, 275), dtype=np.uint8)
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, pixels, tile=(64, 64), compression="zlib", resolution=(300.0, 300.0), resolutionunit=2)
    return path


def predicted(model: Path, picture: Path, out: Path, **options: object) -> tuple[Predicted, list[Event]]:
    steps = tiny.predict(model, [str(picture)], out, device="cpu", precision="float32", **options)  # type: ignore[arg-type]
    events: list[Event] = []
    return finish(steps, events.append), events


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of more than 64 pixels are large, and cut into tiles of at most 64."""
    monkeypatch.setattr("unpool.commands.predict.predict.TILE", SMALL)
    for sides in ("SIDES", "WIDE"):
        monkeypatch.setattr(f"unpool.prediction.tile_plan.{sides}", (16, 32, 48, 64))


def run_with(folder: Path, ceiling: str) -> tuple[float, float, int]:
    """Predict ``big.tif`` in a process of its own: its ceiling, its peak memory, and how many pictures failed."""
    program = (
        "import sys, json; from pathlib import Path; from unpool.commands.events import finish\n"
        "from unpool.checkpoint.models import load_model; from unpool.machine.process_memory import resident_memory\n"
        "from unpool.commands.predict.predict import PredictionOptions, predict\n"
        f"load_model(Path(sys.argv[1])); {ceiling}\n"
        "options = PredictionOptions(memory=ceiling, device='cpu', precision='float32')\n"
        "result = finish(predict(Path(sys.argv[1]), [sys.argv[2]], Path(sys.argv[3]), options=options))\n"
        "peak = int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024\n"
        "print(json.dumps([ceiling, peak, len(result.failed)]))"
    )
    given = [str(folder / name) for name in ("model.safetensors", "big.tif", "out")]
    done = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, text=True, check=True)
    found: tuple[float, float, int] = tuple(json.loads(done.stdout.splitlines()[-1]))
    return found


@pytest.mark.usefixtures("small_tiles")
def test_bands_are_what_the_whole_picture_is(
    model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"overlays": True, "probabilities": "uint16", "uncertainty": True}
    _, events = predicted(model, picture, tmp_path / "bands", **options)
    assert sum(isinstance(event, Progress) and event.work == "rows of tiles" for event in events) > 4
    monkeypatch.setattr("unpool.commands.predict.predict.TILE", (1024, 1024))
    _, events = predicted(model, picture, tmp_path / "whole", **options)
    assert not any(isinstance(event, Progress) and event.work == "rows of tiles" for event in events)
    for name, most in (("slide.tif", 0), ("overlays/slide.tif", 0), ("probabilities/slide.tif", 1)):
        one, other = (read_image(tmp_path / folder / name).astype(int) for folder in ("bands", "whole"))
        assert np.abs(one - other).max() <= most
    one, other = (read_image(tmp_path / folder / "uncertainty/slide.tif") for folder in ("bands", "whole"))
    np.testing.assert_allclose(one, other, atol=1e-5)
    with tifffile.TiffFile(tmp_path / "bands" / "slide.tif") as written:
        assert written.pages[0].tags["XResolution"].value == (300, 1)
    assert not list((tmp_path / "bands").rglob("*.part"))


@pytest.mark.usefixtures("small_tiles")
def test_an_interrupted_picture_goes_on_where_it_was(model: Path, picture: Path, tmp_path: Path) -> None:
    steps = tiny.predict(model, [str(picture)], tmp_path / "out", device="cpu", precision="float32")
    for event in steps:
        if isinstance(event, Progress) and event.done == 3:
            break
    steps.close()
    assert not (tmp_path / "out" / "slide.tif").exists()
    result, events = predicted(model, picture, tmp_path / "out")
    assert any(isinstance(event, Message) and "continuing from row" in event.text for event in events)
    first = next(event for event in events if isinstance(event, Progress))
    assert first.done > 2
    predicted(model, picture, tmp_path / "unbroken")
    one, other = (read_mask(tmp_path / folder / "slide.tif") for folder in ("out", "unbroken"))
    assert np.array_equal(one, other)
    assert result.failed == ()


def messages(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Message))


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RunError("the sun went down", "light", "wait")])
def test_an_interruption_reports_the_rows_that_are_kept(
    error: BaseException, model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = predicting.shared_bands

    def stopped(*given: object, **wanted: object) -> Iterator[Prediction]:
        yield from islice(plain(*given, **wanted), 3)  # type: ignore[arg-type]
        raise error

    monkeypatch.setattr(predicting, "shared_bands", stopped)
    events: list[Event] = []
    with suppress(KeyboardInterrupt):
        for event in tiny.predict(model, [str(picture)], tmp_path / "out", device="cpu", precision="float32"):
            events.append(event)
    kept = f"{picture}: 192 of 333 rows are kept in {tmp_path / 'out' / 'slide.tif.part'}"
    assert f"{kept}; the same command with --resume continues there" in messages(events)
    assert "starts again" not in messages(events)
    monkeypatch.setattr(predicting, "shared_bands", plain)
    _, events = predicted(model, picture, tmp_path / "out", resume=True)
    assert "continuing from row 192 of 333" in messages(events)
    assert " kept in " not in messages(events)


def test_nothing_is_left_of_a_picture_that_is_written_at_once(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "small.png", np.zeros((40, 50), np.uint8))
    monkeypatch.setattr("unpool.commands.predict.results.write_mask", Mock(side_effect=RunError("a", "b", "c")))
    result, events = predicted(model, tmp_path / "small.png", tmp_path / "out")
    assert result.failed
    assert " kept in " not in messages(events)


@pytest.mark.usefixtures("small_tiles")
def test_what_was_left_by_another_model_is_not_gone_on_with(model: Path, picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_model(other, tiny.segmenter(seed=5), {"citation": "none"})
    steps = tiny.predict(other, [str(picture)], tmp_path / "out", device="cpu", precision="float32")
    for event in steps:
        if isinstance(event, Progress) and event.done == 3:
            break
    steps.close()
    _, events = predicted(model, picture, tmp_path / "out")
    assert not any(isinstance(event, Message) and "continuing" in event.text for event in events)
    found = tmp_path / "out" / "slide.tif.part"
    left = f"{found} was left by other settings, another model, picture or version, and starts again"
    assert left in messages(events)
    predicted(model, picture, tmp_path / "fresh")
    one, two = (read_mask(tmp_path / folder / "slide.tif") for folder in ("out", "fresh"))
    assert np.array_equal(one, two)


def test_resume_keeps_what_the_same_command_wrote(model: Path, picture: Path, tmp_path: Path) -> None:
    predicted(model, picture, tmp_path / "out")
    before = (tmp_path / "out" / "slide.tif").stat().st_mtime_ns
    with pytest.raises(UsageError, match="--resume to keep"):
        predicted(model, picture, tmp_path / "out")
    result, events = predicted(model, picture, tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "slide.tif").stat().st_mtime_ns == before
    assert result.written == ((picture, tmp_path / "out" / "slide.tif"),)
    assert any(isinstance(event, Message) and event.text == "1 of them is finished already" for event in events)
    other = tmp_path / "other.safetensors"
    save_model(other, tiny.segmenter(seed=5), {"citation": "none"})
    with pytest.raises(UsageError, match="exists already"):
        predicted(other, picture, tmp_path / "out", resume=True)
    journal = tmp_path / "out" / JOURNAL
    journal.write_text(journal.read_text()[:-9])  # torn: killed when the mask was in its place, and so whole
    predicted(model, picture, tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "slide.tif").stat().st_mtime_ns == before
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([*lines[:-1], b'{"mask": 5}', b"[" * 5000, b"\xff", b"[]", b""]))
    _, events = predicted(model, picture, tmp_path / "out", resume=True)
    (named,) = [line for line in messages(events).splitlines() if "passed over" in line]
    assert named.count(f"{journal}: line") == 4
    assert (tmp_path / "out" / "slide.tif").stat().st_mtime_ns == before  # what the other lines hold is known


def test_a_small_tiled_picture_keeps_its_form(model: Path, picture: Path, tmp_path: Path) -> None:
    predicted(model, picture, tmp_path / "out")
    with tifffile.TiffFile(tmp_path / "out" / "slide.tif") as written:
        assert written.pages[0].is_tiled
        assert written.pages[0].tags["XResolution"].value == (300, 1)


def test_resume_knows_whose_masks_are_there(model: Path, picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_model(other, tiny.segmenter(seed=5), {"citation": "none"})
    predicted(model, picture, tmp_path / "out")
    predicted(other, picture, tmp_path / "out", overwrite=True)
    with pytest.raises(UsageError, match="exists already"):
        predicted(model, picture, tmp_path / "out", resume=True)


def test_resume_goes_on_between_the_outputs(model: Path, picture: Path, tmp_path: Path) -> None:
    options = {"probabilities": "uint8"}
    predicted(model, picture, tmp_path / "out", **options)
    journal = tmp_path / "out" / JOURNAL
    journal.write_text(journal.read_text().splitlines()[0] + "\n")  # killed before the mask was in its place
    (tmp_path / "out" / "slide.tif").unlink()
    result, _ = predicted(model, picture, tmp_path / "out", resume=True, **options)
    assert result.failed == ()
    assert (tmp_path / "out" / "slide.tif").exists()


def test_too_little_memory_is_refused_before_any_work(model: Path, picture: Path, tmp_path: Path) -> None:
    result, _ = predicted(model, picture, tmp_path / "out", memory=1e6)
    ((_, reason),) = result.failed
    assert "0 kB are left of the memory that prediction may take" in reason
    assert "--memory" in reason


def test_a_plan_fits_and_computes_as_little_as_can_be() -> None:
    structure = named_net("unet").structure
    held = WindowMemory(300.0, 5e7)
    plans = [plan_tiles(structure, TileBytes(held, 4.0), (9000, 7000), room, "p") for room in (1.5e8, 4e8, 1e9, 8e9)]
    for plan, room in zip(plans, (1.5e8, 4e8, 1e9, 8e9), strict=True):
        assert plan.bytes <= room
        for side, length in zip(plan.tile, (9000, 7000), strict=True):
            assert side % structure.stride == 0 or side == length
    overheads = [plan.overhead for plan in plans]
    assert overheads == sorted(overheads, reverse=True)
    low = plan_tiles(structure, TileBytes(held, 4.0), (9000, 7000), 8e9, "p", most_rows=600)
    assert low.window[0] <= 600
    with pytest.raises(RunError, match="MB are left"):
        plan_tiles(structure, TileBytes(held, 4.0), (9000, 7000), 1e7, "p")


@settings(max_examples=25, deadline=None)
@given(
    net=st.sampled_from(sorted(tiny.STRUCTURES)),
    size=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    room=st.floats(0, 1),
    tta=st.sampled_from(["none", "none", "d4"]),
)
def test_whatever_the_memory_gives_is_the_whole(
    net: str, size: tuple[int, int], room: float, tta: OrientationSet
) -> None:
    """Every plan between the smallest tile and the largest gives what the picture gives at once."""
    model = tiny.segmenter(net)
    structure, held = model.network.structure, WindowMemory(300.0, 0.0)
    sides = (8, 16, 24, 32, 64, 128)
    with patch("unpool.prediction.tile_plan.SIDES", sides), patch("unpool.prediction.tile_plan.WIDE", sides):
        plan = plan_tiles(structure, TileBytes(held, 4.0), size, 3e6 + room * 9e6, "p")
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 1), dtype=np.uint8)
    whole = Predictor(model, tiny.CPU, size, Averaging(tta)).predict(pixels, "p", PROBABILITIES)
    banded = list(Predictor(model, tiny.CPU, plan.tile, Averaging(tta)).bands(pixels, "p", keep=PROBABILITIES))
    np.testing.assert_allclose(
        np.concatenate([each.probabilities for each in banded], 1), whole.probabilities, atol=2e-6
    )
    assert [each.top for each in banded] == list(np.cumsum([0, *(len(each.prediction) for each in banded)])[:-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_picture_of_20000_pixels_a_side(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", tiny.segmenter(width=4), {"citation": "none"})
    cell = np.random.default_rng(0).integers(0, 255, (256, 256), dtype=np.uint8)
    count = -(-20_000 // 256)
    with tifffile.TiffWriter(tmp_path / "big.tif", bigtiff=True) as tiff:
        tiles = (cell for _ in range(count * count))
        tiff.write(tiles, shape=(20_000, 20_000), dtype="uint8", tile=(256, 256), compression="zlib", maxworkers=1)
    ceiling, peak, failed = run_with(tmp_path, "ceiling = 1.5e9")
    assert not failed
    assert peak <= ceiling
    with tifffile.TiffFile(tmp_path / "out" / "big.tif") as written:
        assert written.pages[0].shape == (20_000, 20_000)


def test_more_maps_hold_more() -> None:
    narrow, wide = (window_memory(tiny.segmenter(width=width).network, tiny.CPU) for width in (4, 16))
    assert 2 < wide.pixel / narrow.pixel < 5


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_ceiling_holds(tmp_path: Path) -> None:
    """A picture whose maps would take 2 GB at once goes through in 300 MB beside what the program holds."""
    save_model(tmp_path / "model.safetensors", tiny.segmenter(width=16), {"citation": "none"})
    pixels = np.random.default_rng(0).integers(0, 255, (2500, 3000), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "big.tif", pixels, tile=(256, 256), compression="zlib")
    ceiling, peak, failed = run_with(tmp_path, "ceiling = resident_memory() + 300e6")
    assert not failed
    assert peak <= ceiling
    assert peak > ceiling - 290e6  # so that the ceiling is what keeps it low


@pytest.mark.parametrize("by", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_killed_prediction_goes_on(by: signal.Signals, model: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3000, 2100), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "big.tif", pixels, tile=(256, 256))
    words = [sys.executable, "-m", "unpool", "predict", str(model), str(tmp_path / "big.tif"), "--device", "cpu"]
    words += ["--precision", "float32", "--out", str(tmp_path / "out")]
    part = tmp_path / "out" / "big.tif.part" / "bands"
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (part.exists() and part.stat().st_size > 2000):
            time.sleep(0.01)
        process.send_signal(by)
        last, _ = process.communicate()
    if by == signal.SIGINT:
        assert process.returncode == 130
        assert f"of 3,000 rows are kept in {part.parent}; the same command with --resume" in last
    printed = subprocess.run([*words, "--resume"], capture_output=True, text=True, check=True).stdout
    assert "continuing from row" in printed
    whole = finish(
        tiny.predict(model, [str(tmp_path / "big.tif")], tmp_path / "unbroken", device="cpu", precision="float32")
    )
    one, other = (read_mask(tmp_path / folder / "big.tif") for folder in ("out", "unbroken"))
    assert np.array_equal(one, other)
    assert whole.failed == ()


def together(count: int, model: Path, folder: Path, *fails: str) -> list[dict[str, list[str]]]:
    """Predict the TIFFs of a folder in several processes; the failures and messages of each."""
    start(count, [str(Path(__file__).with_name("sharing.py")), str(model), str(folder), str(count), *fails])
    return [json.loads((folder / f"report-{count}-{rank}.json").read_text()) for rank in range(count)]


def test_two_processes_share_the_rows_of_a_large_picture(model: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2300, 1100), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "big.tif", pixels, tile=(256, 256))
    for count in (1, 2):
        assert not any(each["failed"] for each in together(count, model, tmp_path))
    for name in ("big.tif", "probabilities/big.tif"):
        one, other = (read_image(tmp_path / f"out-{count}" / name) for count in (1, 2))
        assert np.array_equal(one, other)


def damage(path: Path, row: int) -> None:
    """Spoil the deflated tile of a TIFF that has a pixel row, at the left edge."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        number = row // page.tilelength * -(-page.imagewidth // page.tilewidth)
        start, size = page.dataoffsets[number], page.databytecounts[number]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(size))


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        ("picture", "big.tif: cannot be read as a picture"),
        pytest.param("memory", "process 1: MemoryError", marks=pytest.mark.slow),
        ("journal", "cannot be written"),
        pytest.param("room", "no room", marks=pytest.mark.slow),
    ],
)
def test_two_processes_go_on_after_one_has_failed(fails: str, why: str, model: Path, tmp_path: Path) -> None:
    """Every other 512 rows of the large ones are the second process's; the first one has the journal."""
    for seed, (name, size) in enumerate(
        {"a": (90, 80), "b": (70, 99), "big": (3000, 600), "more": (1900, 600)}.items()
    ):
        pixels = np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, tile=(128, 128), compression="zlib")
    if fails == "picture":
        damage(tmp_path / "big.tif", 2750)
    if fails == "journal":
        (tmp_path / "out-2" / JOURNAL).mkdir(parents=True)
    first, second = together(2, model, tmp_path, fails)
    by = dict(first["failed"])
    assert why in by["big.tif"]
    if fails == "room":
        assert (set(by), second["failed"]) == ({"big.tif", "more.tif"}, [])
    elif fails == "picture":
        assert set(by) == {"big.tif"} == set(dict(second["failed"]))
        assert not (tmp_path / "out-2" / "big.tif.part").exists()  # nobody can continue a damaged picture
        assert not any("rows are kept in" in text for text in first["messages"])
    else:
        assert set(by) == {"big.tif", "more.tif"} | ({"a.tif"} if fails == "journal" else set())
        assert set(dict(second["failed"])) == {"b.tif", "big.tif", "more.tif"}
    there = {path.name for path in (tmp_path / "out-2").glob("*.tif") if path.is_file()}
    assert there == {f"{name}.tif" for name in ("a", "b", "big", "more")} - set(by) - set(dict(second["failed"]))
    for name in there:
        finish(tiny.predict(model, [str(tmp_path / name)], tmp_path / "alone", device="cpu", precision="float32"))
        one, other = (read_mask(tmp_path / folder / name) for folder in ("out-2", "alone"))
        assert np.array_equal(one, other)
