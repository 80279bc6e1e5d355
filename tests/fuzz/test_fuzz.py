"""Faulty files: some are read here by every reader, with all that ever had a finding; and the hunt itself."""

import io
import mmap
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import worker
from fuzz.hunt import Finding, Part, Worker, corpus, hunt, keep, parts_of, seeds
from fuzz.kinds import KINDS, Reader, as_data, as_picture, as_settings
from fuzz.mutations import FAULTS, Tree, faulty
from fuzz.seeds import read_tree, seeds_of, write_tree
from unpool.errors import DataError, UnpoolError

LINUX = Path("/proc/self/clear_refs").exists()
NAMES = [name for name, kind in KINDS.items() if kind.available]
pytestmark = pytest.mark.skipif(not LINUX, reason="memory is measured as Linux tells it")


@pytest.fixture(scope="module")
def folders() -> Iterator[Mapping[str, Path]]:
    with seeds(NAMES) as made:
        yield made


@pytest.fixture(scope="module")
def reading() -> Iterator[Worker]:
    process = Worker()
    yield process
    process.close()


@pytest.mark.parametrize("name", NAMES)
def test_sound_files_and_those_of_earlier_findings_are_read(
    name: str, folders: Mapping[str, Path], reading: Worker
) -> None:
    result = reading.read(Part(name, folders[name], None))
    assert result.inputs == len(list(folders[name].iterdir()))
    assert not result.findings


def test_faulty_files_end_in_typed_errors(folders: Mapping[str, Path]) -> None:
    results = list(hunt(parts_of(folders, 150, seed=0), jobs=1))
    assert not [finding for result in results for finding in result.findings]
    assert sum(result.inputs for result in results) >= 150


NAME = st.one_of(
    st.sampled_from(["a", "b", "im0", "im0_mask", "x_1", "é", "e\u0301", "A", "0001", "unpool", "=1", "a b"]),
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=12),
)
FOLDER = st.sampled_from(["", "images", "masks", "train/images", "val/masks", "gt", "labels/x", "trainannot", "x.zarr"])
SUFFIX = st.sampled_from([".png", ".PNG", ".jpg", ".tif", ".txt", ".csv", ".yaml", "", ".ppm", ".npy", ".part"])
PLACES = st.lists(st.tuples(FOLDER, NAME, SUFFIX, st.integers(0, 3)), max_size=9)


@given(PLACES)
@settings(max_examples=60, deadline=None)
def test_folders_of_any_names_end_in_typed_errors(places: list[tuple[str, str, str, int]]) -> None:
    contents = [*(tree["picture.png"] for tree in seeds_of("png", Path())[:3]), b"images/a.png masks/a.png\n"]
    with temporary_tree({}) as folder:
        for below, name, suffix, content in places:
            path = folder / below / (name + suffix)
            if name not in (".", "..") and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents[content])
        assert_typed(as_data, folder)


@given(st.sampled_from(["", "width=", "classes=", "data.ignore=", "net=", "#ff00ff=", "1="]), st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_settings_of_any_text_end_in_typed_errors(key: str, text: str) -> None:
    with temporary_tree({"words.txt": (key + text).encode("utf-8", "replace")}) as folder:
        assert_typed(as_settings, folder)


MARK = st.sampled_from([b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"\xff\xd8\xff", b"BM", b"GIF89a", b"RIFF"])


@given(MARK, st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_pictures_of_any_bytes_end_in_typed_errors(mark: bytes, content: bytes) -> None:
    with temporary_tree({"picture.png": mark + content}) as folder:
        assert_typed(as_picture, folder)


def assert_typed(reader: Reader, folder: Path) -> None:
    try:
        reader(folder)
    except UnpoolError:
        return


@contextmanager
def temporary_tree(tree: Tree) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        write_tree(tree, Path(folder))
        yield Path(folder)


def raising(error: Exception) -> Reader:
    def read(folder: Path) -> int:
        raise error

    return read


def sated(folder: Path) -> int:
    with mmap.mmap(-1, 30 << 20) as block:  # from the system: malloc may have kept as much of what tests before freed
        block[:: mmap.PAGESIZE] = bytes(len(block) // mmap.PAGESIZE)
        return len(block)


def hungry(folder: Path) -> int:
    return sated(folder) - (30 << 20)


def printing(folder: Path) -> int:
    sys.stderr.write("a library's warning")
    return 0


@pytest.mark.parametrize(
    ("reader", "wrong"),
    [
        (raising(DataError("x.png: broken", "a picture", "save it again")), ""),
        (raising(DataError("x.png: broken", "a picture", " ")), "a message without all its parts"),
        (raising(KeyError("rows")), "KeyError: 'rows' (test_fuzz.py"),
        (raising(MemoryError()), "MemoryError"),
        (hungry, "0.0 GiB of memory"),
        (sated, ""),
        (printing, "on the screen: b\"a library's warning"),
    ],
)
def test_a_worker_sees_what_a_reader_does_wrong(
    reader: Reader, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MEMORY", 16 << 20)
    with (tmp_path / "screen.txt").open("wb+") as screen:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(screen, write_through=True))
        found = worker.fault_of(reader, tmp_path, screen.fileno())
        sys.stderr.detach()  # type: ignore[attr-defined]
    assert found.startswith(wrong) if wrong else not found


def test_the_system_ends_a_reader_that_takes_too_long() -> None:
    program = "from fuzz import worker; worker.CPU_SECONDS = 0.2; worker.fault_of(lambda _: [*iter(int, 1)], '', 1)"
    place = os.pathsep.join(sys.path)
    ended = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": place}, check=False)
    assert ended.returncode == -signal.SIGPROF


def test_a_hunt_goes_on_after_a_worker_that_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = """
import json, os, signal, sys
for line in sys.stdin:
    seed, first, stop = json.loads(line)["numbers"]
    for number in range(first, stop):
        print(json.dumps({"number": number}), flush=True)
        print(json.dumps({"reader": "as_picture"}), flush=True)
        if number == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
    print(json.dumps({"done": True}), flush=True)
"""
    monkeypatch.setattr("fuzz.hunt.PROGRAM", ("-c", dying))
    (result,) = hunt([Part("png", tmp_path, (0, 0, 5))], jobs=1)
    assert result.inputs == 5
    (finding,) = result.findings
    assert (finding.number, finding.reader, finding.wrong) == (2, "as_picture", "the process ended with SIGSEGV")


def test_inputs_can_be_made_again_and_differ_from_their_seeds(folders: Mapping[str, Path]) -> None:
    for name, folder in folders.items():
        trees = [read_tree(path) for path in sorted(folder.iterdir())]
        made = [[faulty(tree, Random(f"{name} {n}")) for n, tree in enumerate(trees)] for _ in range(2)]
        assert made[0] == made[1], name
        assert sum(one != other for one, other in zip(made[0], trees, strict=True)) > 0.6 * len(trees), name


def test_every_kind_of_file_has_its_own_faults(folders: Mapping[str, Path]) -> None:
    tried = set()
    for folder in folders.values():
        for name, content in read_tree(folder).items():
            end = next((end for end in FAULTS if name.endswith(end)), None)
            if end is not None and "corpus" not in name:
                made = {FAULTS[end](content, Random(number)) for number in range(12)}
                assert len(made) > 3, name
                tried.add(end)
    assert tried >= FAULTS.keys() - {".zattrs", ".zarray", ".zgroup"}


def test_the_input_of_a_finding_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.hunt.CORPUS", tmp_path)
    finding = Finding("png", 3, "as_picture", "KeyError: 7 (io/read/x.py:3)", {"picture.png": b"x"})
    assert read_tree(keep(finding)) == {"picture.png": b"x"}
    assert list(corpus("png").values()) == [{"picture.png": b"x"}]
    assert finding.cause == "png as_picture KeyError (io/read/x.py:3)"
