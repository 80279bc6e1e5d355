"""Where commands write: what a person had stays, and what cannot be written is said before the work."""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile

import tiny
from conftest import Program
from unpool.commands.events import Event, Message, finish
from unpool.commands.predict.predict import Predicted
from unpool.commands.predict.targets import find_targets
from unpool.commands.test.test import test as score
from unpool.commands.train.train import TrainedRun, train
from unpool.dataset.pairing.layouts import find_pairs
from unpool.errors import DataError, RunError, UsageError
from unpool.io.destination import claimed, new_folder
from unpool.io.files import atomic_path
from unpool.io.folders import find_files
from unpool.io.outputs import JOURNAL, OUTPUT_MARK, mark_output, note_files
from unpool.io.write.band_form import BandForm
from unpool.io.write.bands import open_band_writer
from unpool.io.write.part_folder import remove, require_own

PIXELS = np.zeros((9, 8, 1), np.uint8)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"mine")
    return root


def found(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_files(root).pictures]


def predicted(run: TrainedRun, out: Path, *inputs: Path | str, **options: object) -> tuple[Predicted, str]:
    events: list[Event] = []
    steps = tiny.predict(run.folder, [str(text) for text in inputs], out, device="cpu", **options)
    result = finish(steps, events.append)
    return result, "\n".join(event.text for event in events if isinstance(event, Message))


@pytest.fixture
def data(cells: Path, tmp_path: Path) -> Path:
    """A set of JPEGs with PNG masks. Writable."""
    for number in ("00", "01"):
        (tmp_path / "data" / "images").mkdir(parents=True, exist_ok=True)
        tiny.write_image(tmp_path / "data" / "masks" / f"{number}.png", np.zeros((48, 56), np.uint8))
        shutil.copy(cells / "images" / f"{number}.png", tmp_path / "data" / "images" / f"{number}.bmp")
    return tmp_path / "data"


def test_a_mark_leaves_out_the_files_of_its_journal_alone(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg", "in/a.png", "in/overlays/a.png", "in/deep/mine.png")
    note_files(tmp_path / "in", [tmp_path / "in" / "a.png", tmp_path / "in" / "overlays" / "a.png"], "k", done=True)
    assert len(found(tmp_path)) == 4  # a journal without a mark, as in a folder called masks
    mark_output(tmp_path / "in")
    assert found(tmp_path) == ["in/a.jpg", "in/deep/mine.png"]
    assert found(tmp_path / "in") == ["a.jpg", "deep/mine.png"]
    assert find_files(tmp_path).left_out == {tmp_path / "in" / OUTPUT_MARK: 2}
    for name in ("a.jpg", "deep/mine.png"):
        (tmp_path / "in" / name).unlink()
    assert found(tmp_path / "in") == ["a.png", "overlays/a.png"]  # somebody asks for the outputs themselves
    assert found(tmp_path) == []


def test_a_mark_without_names_means_the_whole_folder_as_earlier_versions_wrote_it(tmp_path: Path) -> None:
    touch(tmp_path, "run/validation/a.png", "run/b.png", "old/c.jpg", "old/c.png", "old/overlays/c.png")
    for folder in ("run", "old"):
        (tmp_path / folder / OUTPUT_MARK).touch()
    (tmp_path / "old" / JOURNAL).write_text('{"mask": "c.png", "key": "k", "done": true}\n')
    assert found(tmp_path) == ["old/c.jpg"]
    assert found(tmp_path / "run") == ["b.png", "validation/a.png"]
    (tmp_path / "run" / OUTPUT_MARK).write_text("validation/\n")
    assert found(tmp_path) == ["old/c.jpg", "run/b.png"]


@pytest.mark.parametrize("odd", ['{"mask": "a.pn', "[]", '{"mask": 5}', '{"mask": "x", "files": 3}', "[" * 9999, "\0"])
def test_odd_lines_of_a_journal_are_ignored(odd: str, tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg", "in/a.png")
    (tmp_path / "in" / JOURNAL).write_text(odd)
    note_files(tmp_path / "in", [tmp_path / "in" / "a.png"], "k", done=True)
    mark_output(tmp_path / "in")
    assert found(tmp_path) == ["in/a.jpg"]


def test_what_a_mark_leaves_out_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "images" / OUTPUT_MARK).touch()
    with pytest.raises(DataError, match=r"(?s)no pictures.*unpool wrote.*images/\.unpool-output.*delete a mark"):
        find_pairs(tmp_path)
    touch(tmp_path, "run/b.png")
    mark_output(tmp_path / "run", "b.png")
    (tmp_path / "images" / OUTPUT_MARK).unlink()
    (left_out,) = (finding for finding in find_pairs(tmp_path).findings if finding.code == "own-outputs")
    assert left_out.found.endswith("1 picture file (see " + str(tmp_path / "run" / OUTPUT_MARK) + ")")


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png", "images/secret/b.png")
    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"images/secret: the folder cannot be read \(Permission denied\)"):
        find_files(tmp_path)


def test_predictions_among_the_pictures_are_not_taken_for_pictures(run: TrainedRun, data: Path, tmp_path: Path) -> None:
    own = data / "images"
    predicted(run, own, own)
    assert sorted(path.name for path in own.glob("*.*")) == [
        OUTPUT_MARK,
        JOURNAL,
        "00.bmp",
        "00.png",
        "01.bmp",
        "01.png",
    ]
    pairs = find_pairs(data).pairs
    assert [pair.image.name for pair in pairs] == ["00.bmp", "01.bmp"]
    result, said = predicted(run, tmp_path / "out", data)
    assert [image.name for image, _ in result.written] == ["00.bmp", "01.bmp"]
    assert "2 picture files" in said
    assert OUTPUT_MARK in said
    assert len(predicted(run, own, own, overwrite=True)[0].written) == 2


def test_nothing_is_marked_where_nothing_is_written(run: TrainedRun, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert predicted(run, tmp_path / "out", tmp_path / "broken.png")[0].failed
    assert not (tmp_path / "out").exists()


def targets(out: Path, *inputs: Path | str) -> tuple[list[str], str]:
    chosen = find_targets([str(text) for text in inputs], out)
    return [target.name.as_posix() for target in chosen.targets], "\n".join(chosen.notes)


def test_masks_beside_pictures_are_left_out(tmp_path: Path) -> None:
    set_, out = touch(tmp_path / "set", "images/a.png", "masks/a.png", "more/b.png"), tmp_path / "out"
    for given in (set_, f"{set_}/*/*.png"):
        names, said = targets(out, given)
        assert names == ["images/a", "more/b"]
        assert "left out: 1 mask (masks/a.png)" in said
    assert targets(out, set_, set_ / "masks")[0] == ["images/a", "more/b", "a"]
    assert targets(out, set_ / "masks") == (
        ["a"],
        f"{set_}/masks: a name of a folder of masks; taken as pictures: 1 file",
    )
    together = touch(tmp_path / "one", "a.png", "a_mask.png", "b.png", "b_mask.png", "c.png")
    assert targets(out, together) == (
        ["a", "b", "c"],
        f"{together}: left out: 2 masks (a_mask.png, b_mask.png); to predict a mask, name it, or a folder of masks",
    )
    listed = touch(tmp_path / "listed", "p/a.png", "q/a.png")
    (listed / "train.txt").write_text("p/a.png q/a.png\n")
    assert targets(out, listed)[0] == ["p/a"]
    assert targets(out, touch(tmp_path / "none", "a.png", "b.png")) == (["a", "b"], "")


def test_a_mask_that_somebody_changed_is_never_replaced_by_resume(run: TrainedRun, data: Path, tmp_path: Path) -> None:
    out, pictures = tmp_path / "out", data / "images"
    predicted(run, out, pictures, overlays=True)
    (out / "00.png").write_bytes(b"by hand")
    (out / "overlays" / "00.png").unlink()
    (out / "01.png").unlink()
    result, said = predicted(run, out, pictures, overlays=True, resume=True)
    assert (out / "00.png").read_bytes() == b"by hand"
    assert (out / "01.png").exists()
    assert len(result.written) == 2
    assert f"kept, as somebody changed it since: {out}/00.png" in said
    (out / "00.png").unlink()
    (out / "overlays" / "00.png").write_bytes(b"by hand")
    with pytest.raises(UsageError, match=r"00\.png exists already.*somebody changed it"):
        predicted(run, out, pictures, overlays=True, resume=True)


def test_an_old_mask_that_was_to_be_replaced_is_not_taken_for_the_new_one(
    run: TrainedRun, data: Path, tmp_path: Path
) -> None:
    """Killed before the first mask was in its place, with ``--overwrite``."""
    out, picture = tmp_path / "out", data / "images" / "00.bmp"
    predicted(run, out, picture)
    new = (out / "00.png").read_bytes()
    (out / "00.png").write_bytes(b"old")
    note_files(out.resolve(), [out.resolve() / "00.png"], _key(out), done=False)
    predicted(run, out, picture, resume=True)
    assert (out / "00.png").read_bytes() == new


def _key(out: Path) -> str:
    return (out / JOURNAL).read_text().split('"key": "')[1].split('"')[0]


def write(path: Path) -> None:
    with open_band_writer(path, BandForm(9, 8)) as writer:
        writer.write(PIXELS[..., 0])
        writer.finish()


@pytest.mark.parametrize("there", ["notes.txt", "bands", "draft.tif", "sub/deep.txt"])
def test_the_part_folder_of_somebody_else_is_neither_used_nor_removed(there: str, tmp_path: Path) -> None:
    touch(tmp_path / "x.tif.part", there)
    with pytest.raises(UsageError, match=r"x\.tif\.part is in the way: unpool did not make it"):
        write(tmp_path / "x.tif")
    assert (tmp_path / "x.tif.part" / there).read_bytes() == b"mine"
    assert not (tmp_path / "x.tif").exists()


def test_links_in_the_place_of_unfinished_files_are_not_followed(tmp_path: Path) -> None:
    home = touch(tmp_path / "home", "a.txt")
    (tmp_path / "x.tif.part").symlink_to(home)
    with pytest.raises(UsageError, match="in the way"):
        write(tmp_path / "x.tif")
    part = tmp_path / "y.tif.part"
    mark_output(part, "draft.tif")
    (part / "bands").symlink_to(home / "a.txt")
    with pytest.raises(UsageError, match="in the way"):
        write(tmp_path / "y.tif")
    assert (home / "a.txt").read_bytes() == b"mine"


def test_what_somebody_put_beside_unfinished_files_stays(tmp_path: Path) -> None:
    part, home = tmp_path / "x.tif.part", touch(tmp_path / "home", "a.txt")
    with open_band_writer(tmp_path / "x.tif", BandForm(9, 8)) as writer:
        writer.write(PIXELS[..., 0])
        touch(part, "notes.txt")
        (part / "link").symlink_to(home)
        writer.finish()
        assert writer.unfinished_folder is None
    assert tifffile.imread(tmp_path / "x.tif").shape == (9, 8)
    assert sorted(path.name for path in part.iterdir()) == ["link", "notes.txt"]
    assert (home / "a.txt").exists()


def test_a_zarr_folder_is_removed_without_other_files_and_links(tmp_path: Path) -> None:
    whole = touch(tmp_path / "a.zarr", "zarr.json", "0/zarr.json", "0/c/0/1", "1/.zarray", "1/0.0")
    require_own(whole)
    remove(whole)
    assert not whole.exists()
    home = touch(tmp_path / "home", "0")
    mixed = touch(tmp_path / "b.zarr", "zarr.json", "0/notes.txt")
    (mixed / "1").symlink_to(home)
    with pytest.raises(UsageError, match=r"b\.zarr is in the way"):
        require_own(mixed)
    remove(mixed)
    assert sorted(path.name for path in mixed.rglob("*")) == ["0", "1", "notes.txt"]
    assert (home / "0").exists()


def test_a_folder_in_the_place_of_a_mask_is_refused_before_the_work(
    run: TrainedRun, data: Path, tmp_path: Path
) -> None:
    touch(tmp_path / "out" / "01.png", "notes.txt")
    with pytest.raises(UsageError, match=r"01\.png is in the way"):
        predicted(run, tmp_path / "out", data / "images", overwrite=True)
    assert not (tmp_path / "out" / "00.png").exists()


def test_two_commands_do_not_share_a_folder(run: TrainedRun, cells: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    out = tmp_path / "out"
    with claimed(out):
        for command in (
            train(cells, tiny.settings(), out),
            score(run.model, cells, out=out),
            tiny.predict(run.folder, [str(cells / "images")], out, device="cpu"),
        ):
            with pytest.raises(UsageError, match="another unpool command is writing into this folder"):
                finish(command)
    assert not out.exists()


def test_commands_that_begin_together_get_folders_of_their_own(tmp_path: Path) -> None:
    base = tmp_path / "runs" / "x"
    with new_folder(None, base) as one, new_folder(None, base) as two:
        assert (one.name, two.name) == ("x", "x-2")
        touch(two, "a.txt")
    assert [path.name for path in base.parent.iterdir()] == ["x-2"]
    with pytest.raises(UsageError, match=r"x-2 already exists and is not empty"), new_folder(two, base):
        pass


def test_a_training_that_is_refused_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "photos", "a.png")
    for out in (None, tmp_path / "out"):
        with pytest.raises(DataError):
            finish(train(tmp_path / "photos", tiny.settings(), out))
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_only_a_page_that_explain_wrote_is_replaced(program: Program, tmp_path: Path) -> None:
    for name, text in (
        ("a.md", "# Mine\n\nI made it with unpool explain unet.\n"),
        ("b.svg", "<svg><desc>Drawn by unpool explain.</desc></svg>"),
    ):
        own = tmp_path / name
        own.write_text(text)
        said = program("explain", "segnet-basic", "--page", own.with_suffix(".md"))
        assert (said.code, own.read_text()) == (2, text)
        assert f"{own} exists and was not written by this command" in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.md", "b.svg"]  # not one of two files
    assert program("explain", "unet", "--page", tmp_path / "c.svg").code == 2
    assert program("explain", "--page", tmp_path / "unet.md").code == 2
    (tmp_path / "d.md").mkdir()
    assert program("explain", "unet", "--page", tmp_path / "d.md").code == 2


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_came_meanwhile_is_not_replaced(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    if not links:
        monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.EPERM, "no links here")))

    def write(*, meanwhile: bool) -> None:
        with atomic_path(path, replace=False) as draft:
            draft.write_text("ours")
            if meanwhile:
                path.write_text("mine")

    with pytest.raises(RunError, match="File exists"):
        write(meanwhile=True)
    assert path.read_text() == "mine"
    path.unlink()
    write(meanwhile=False)
    assert path.read_text() == "ours"
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


def test_a_mask_that_came_meanwhile_is_not_replaced(run: TrainedRun, data: Path, tmp_path: Path) -> None:
    out, said = tmp_path / "out", []
    for event in tiny.predict(run.folder, [str(data / "images")], out, device="cpu"):
        if not (out / "01.png").exists():
            touch(out, "01.png")
        said += [event.text] if isinstance(event, Message) else []
    assert (out / "01.png").read_bytes() == b"mine"
    assert any("01.png exists already" in text for text in said)


def test_no_name_of_a_picture_is_replaced(run: TrainedRun, data: Path, tmp_path: Path) -> None:
    shutil.copy(data / "images" / "00.bmp", tmp_path / "00.bmp")
    os.link(data / "images" / "01.bmp", tmp_path / "00.png")
    before = (tmp_path / "00.png").read_bytes()
    inputs = (tmp_path / "00.bmp", data / "images" / "01.bmp")
    result, _ = predicted(run, tmp_path, *inputs, overwrite=True)
    assert "would replace the picture" in result.failed[0][1]
    assert (tmp_path / "00.png").read_bytes() == before


def test_names_that_do_not_fit_are_refused_before_the_work(run: TrainedRun, data: Path, tmp_path: Path) -> None:
    long = data / "images" / f"{'ä' * 124}.bmp"
    (data / "images" / "01.bmp").rename(long)
    with pytest.raises(UsageError, match=r"the name of its output .* would have 252 bytes"):
        predicted(run, tmp_path / "out", data / "images")
    long.unlink()
    deep = tmp_path.joinpath(*("d" * 200 for _ in range(19)))
    for size in (4040, 4090):  # its longest file, the journal, fits into 4096 bytes, and does not
        with pytest.raises(UsageError, match="the path of its output"):
            predicted(run, deep / ("d" * (size - len(str(deep)) - 1)), data / "images")
    with pytest.raises(UsageError, match="File name too long"):
        predicted(run, tmp_path / ("d" * 300), data / "images")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_names_that_differ_in_case_are_one_where_the_file_system_takes_them_for_one(
    run: TrainedRun, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    for name in ("a.bmp", "A.bmp"):
        shutil.copy(data / "images" / "00.bmp", folder / name)
    monkeypatch.setattr("unpool.commands.predict.targets.ignores_case", lambda _: True)
    with pytest.raises(UsageError, match=r"A\.bmp and .*a\.bmp would both be written"):
        predicted(run, tmp_path / "out", folder)
    monkeypatch.undo()
    assert len(predicted(run, tmp_path / "out", folder)[0].written) == 2


def test_links_in_circles_pipes_and_devices_are_skipped_by_name(run: TrainedRun, data: Path, tmp_path: Path) -> None:
    folder = data / "images"
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    for number, given in enumerate((folder, f"{folder}/*")):
        result, _ = predicted(run, tmp_path / f"out-{number}", given)
        assert [path.name for path, _ in result.failed] == ["loop.png", "pipe.png", "zero.png"]
        assert len(result.written) == 2
    assert len(predicted(run, tmp_path / "alone", folder / "pipe.png")[0].failed) == 1


@pytest.mark.parametrize("out", ["circle", "nowhere"])
def test_a_link_to_nothing_is_no_place(out: str, run: TrainedRun, data: Path, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nowhere").symlink_to("gone")
    with pytest.raises(RunError, match="cannot be written"):
        predicted(run, tmp_path / out, data / "images")


def test_names_of_folders_must_be_letters_too(tmp_path: Path) -> None:
    touch(tmp_path, os.fsdecode(b"images\xff/a.png"))
    with pytest.raises(DataError, match="no UTF-8 letters"):
        find_files(tmp_path)
    with pytest.raises(DataError, match="no UTF-8 letters"):
        find_targets([str(touch(tmp_path, os.fsdecode(b"a\xff.png")) / os.fsdecode(b"a\xff.png"))], tmp_path / "out")


def test_a_disk_without_room_is_said_before_the_work(
    run: TrainedRun, cells: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(RunError, match=r"(?s)1\.0 kB of the disk are free.* for the checkpoints and the model"):
        finish(train(cells, tiny.settings(), tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    said = predicted(run, tmp_path / "out", data / "images", probabilities="float32")[1]
    assert "the files may take up to 46 kB" in said  # (48 x 56 + 49 x 63) pixels, 2 classes, 4 bytes
    assert "may take up to" not in predicted(run, tmp_path / "masks-only", data / "images")[1]


def test_long_names_of_samples_do_not_fail_at_the_end_of_a_training(cells: Path, tmp_path: Path) -> None:
    for path in (*(cells / "images").iterdir(), *(cells / "masks").iterdir()):
        to = tmp_path / "data" / path.parent.name / ("d" * 200) / f"{path.stem}{'n' * 200}.png"
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
    assert finish(train(tmp_path / "data", tiny.settings(epochs=1), tmp_path / "run")).finished
    assert list((tmp_path / "run" / "validation").glob("1-*.png"))
