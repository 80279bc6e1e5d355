"""Known texts."""

import subprocess

import pytest

from unpool.wording import (
    DASH,
    all_of,
    bytes_text,
    clock_text,
    command_text,
    count_text,
    decodable,
    dotted_names,
    duration_text,
    first_of,
    on_one_line,
    shortened,
    size_text,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, DASH), (0, "0.0 kB"), (1_234, "1.2 kB"), (45_678, "46 kB"), (123_456, "0.1 MB"),
     (12e6, "12 MB"), (500e6, "500 MB"), (1e9, "1.0 GB"),
     (1_250_000_000, "1.2 GB"), (2.46e9, "2.5 GB"), (4 * 10**8, "400 MB")],
)  # fmt: skip
def test_bytes(count: float | None, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0:00"),
        (7, "0:07"),
        (59.6, "1:00"),
        (750, "12:30"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (3723, "1:02:03"),
        (36061, "10:01:01"),
    ],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.345, "0.34 s"), (9.94, "9.9 s"), (48, "48 s"), (720, "12 min"), (11_100, "3 h 05 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_counts_and_sizes() -> None:
    assert [count_text(1, "picture"), count_text(1200, "picture")] == ["1 picture", "1,200 pictures"]
    assert [count_text(1, "class"), count_text(2, "class"), count_text(0, "batch")] == [
        "1 class",
        "2 classes",
        "0 batches",
    ]
    assert size_text((360, 480)) == "360 x 480"


def test_lists() -> None:
    assert first_of(["a", "b"]) == "a, b"
    assert first_of(list("abcdefg")) == "a, b, c, d and 3 more"
    assert first_of(list("abc"), 2, "; ") == "a; b and 1 more"
    assert [all_of(list(names)) for names in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_names_that_a_terminal_can_show() -> None:
    assert decodable("a\udcff.png") == "a\\udcff.png"
    assert on_one_line("a\x1b[31m\nb\udcff") == "a\\x1b[31m\\nb\\udcff"
    assert [shortened("abcd", most) for most in (4, 3)] == ["abcd", "ab…"]


def test_nested_settings_have_dotted_names() -> None:
    nested = {"training": {"crop": 64, "budget": {"minutes": None}}, "net": "unet", "empty": {}}
    assert list(dotted_names(nested)) == [("training.crop", 64), ("training.budget.minutes", None), ("net", "unet")]


def test_a_command_reaches_a_shell_as_it_was_meant() -> None:
    words = ["my photos", "a\x1b[31m\n'b'\\", "é\u202e", "$HOME"]
    text = command_text(["printf", "%s|", *words])
    assert text.isprintable()
    assert subprocess.run(["bash", "-c", text], capture_output=True, check=True).stdout.decode() == "|".join(
        [*words, ""]
    )
