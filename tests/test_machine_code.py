"""Machine code: compiled for the types that it is given, by several processes where several may compile."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numba
import pytest
import torch

from unpool.convolution import winograd
from unpool.convolution.choices import Measured
from unpool.machine_code import check, compilation
from unpool.machine_code.compilation import CALLS_OF, TOGETHER, compile_with_others
from unpool.machine_code.functions import Group
from unpool.nets import batch_norm


def test_functions_are_compiled_for_the_types_that_they_are_given() -> None:
    """Another type would be compiled again, when the function is called."""
    assert winograd.weights_can_learn()
    assert all(map(batch_norm._works, (torch.float32, torch.bfloat16)))
    types: dict[object, set[object]] = {}
    for calls in CALLS_OF.values():
        for function, arguments in calls:
            types.setdefault(function, set()).add(tuple(map(numba.typeof, arguments)))
    assert len(types) == 9
    for function, expected in types.items():
        assert {signature.args for signature in function.nopython_signatures} == expected  # type: ignore[attr-defined]


def test_every_group_has_functions() -> None:
    assert set(CALLS_OF) == set(get_args(Group))
    assert set(TOGETHER) < set(CALLS_OF)
    assert all(CALLS_OF.values())


class FakeCompiler:
    """A process that ends when it is waited for."""

    def __init__(self, words: list[str], **_: object) -> None:
        self.words, self.waited = words, False

    def wait(self, _: float) -> None:
        self.waited = True


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeCompiler]]:
    """Processes that were started; nothing is kept before."""
    found: list[FakeCompiler] = []

    def start(words: list[str], **options: object) -> FakeCompiler:
        found.append(FakeCompiler(words, **options))
        return found[-1]

    monkeypatch.setattr(compilation, "are_kept", lambda _: False)
    monkeypatch.setattr(subprocess, "Popen", start)
    yield found
    compilation._running.clear()


@pytest.mark.parametrize(("processes", "expected"), [
    (1, []),
    (2, [["batch normalisation, float32", "gradient of a weight"]]),
    (3, [["batch normalisation, float32"], ["gradient of a weight"]]),
    (16, [["batch normalisation, float32"], ["gradient of a weight"]]),
])  # fmt: skip
def test_other_processes_compile_the_rest(
    processes: int, expected: list[list[str]], started: list[FakeCompiler]
) -> None:
    assert not compile_with_others("convolution", processes)
    assert [each.words[2].partition("; compile_groups")[2] for each in started] == [f"(*{each!r})" for each in expected]
    assert not any(each.waited for each in started)
    assert not compile_with_others("gradient of a weight", processes)
    assert all(each.waited for each in started)


def test_bfloat16_needs_no_other_group(started: list[FakeCompiler]) -> None:
    assert not compile_with_others("batch normalisation, bfloat16", 4)
    assert not started


def test_what_is_kept_is_not_compiled_again(started: list[FakeCompiler], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "are_kept", lambda _: True)
    assert compile_with_others("convolution", 4)
    assert not started


def test_what_cannot_be_kept_is_not_compiled_by_others(
    started: list[FakeCompiler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "can_be_kept", lambda _: False)
    assert not compile_with_others("convolution", 4)
    assert not started


def test_a_program_that_is_not_python_is_not_started(
    started: list[FakeCompiler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not compile_with_others("convolution", 4)
    assert not started


def test_a_system_that_refuses_processes(started: list[FakeCompiler], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refused)
    assert not compile_with_others("convolution", 4)
    assert not started


def test_seconds_of_compiling_are_said() -> None:
    before = Measured(compiling=check.compiling_seconds())
    assert not Measured(compiling=before.compiling).text_since(before)
    text = Measured(compiling=before.compiling + 14.3).text_since(before)
    assert text == "compiled machine code in 14 s, once after an installation"


@pytest.mark.slow
def test_the_first_training_of_an_installation(tmp_path: Path) -> None:
    """Three groups are compiled by two processes; a module in the present folder is not imported by them."""
    (tmp_path / "numba.py").write_text("open('imported', 'w')\n", encoding="utf-8")
    lines = (
        "import sys; sys.path.remove(''); from unpool.convolution import winograd",
        "from unpool.machine_code import batch_norm_kernels, check, compilation",
        "from unpool.nets import batch_norm",
        "import torch; torch.set_num_threads(2)",
        "assert winograd.is_available() and len(compilation._running) == 1",
        "assert winograd.weights_can_learn() and batch_norm._works(torch.float32) and not compilation._running",
        "stats = batch_norm_kernels.sum_maps.stats",
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), check.compiling_seconds() > 1)",
    )
    home = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    words = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(words, capture_output=True, text=True, env=home, cwd=tmp_path, check=False)
    assert done.stdout == "1 0 True\n", done.stderr
    assert not (tmp_path / "imported").exists()
