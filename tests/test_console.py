"""What is shown while a command runs."""

import io
from collections.abc import Generator
from typing import Any

import pytest

from unpool.cli import console
from unpool.cli.console import epoch_line, show
from unpool.commands.events import Event, Message, Progress, finish
from unpool.training.records import EpochRecord, StepRecord


def record(**changes: Any) -> EpochRecord:
    given = {
        "epoch": 2, "steps": 40, "train_loss": 0.5, "terms": {"cross_entropy": 0.3, "dice": 0.2}, "learning_rate": 1e-3,
        "val_loss": 0.4, "mean_iou": 0.75, "mean_dice": 0.8, "global_accuracy": 0.9, "class_accuracy": 0.85,
        "class_iou": {}, "class_recall": {}, "predicted_shares": {}, "intervals": {}, "best": True, "progress": 0.25,
        "seconds": 60.0, "waiting": 0.1, "skipped": 0, "validated": 4,
    }  # fmt: skip
    return EpochRecord(**{**given, **changes})


def story() -> Generator[Event, None, str]:
    yield Message("hello [bold]")
    yield Progress("reading", 1, 2)
    yield StepRecord(1, 1, 20, 0.5, 0.1, 9.0)
    yield record()
    yield Progress("reading", 2, 2)
    return "done"


def test_an_epoch_in_one_line() -> None:
    assert epoch_line(record()) == (
        "epoch   2    1:00  lr 1.0e-03  loss 0.500  mean IoU 0.7500  accuracy 0.9000  3:00 left  best"
    )
    blank = epoch_line(record(train_loss=None, mean_iou=None, best=False, progress=1.0, skipped=3, seconds=3725.0))
    assert "loss –" in blank
    assert "(not validated)" in blank
    assert "1:02:05" in blank
    assert "3 steps skipped: loss not finite" in blank
    assert "left" not in blank
    assert "best" not in blank


def test_finish_drops_events_and_returns_the_result() -> None:
    assert finish(story()) == "done"


def test_pipes_get_plain_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert show(story()) == "done"
    assert capsys.readouterr().out.splitlines() == ["hello [bold]", epoch_line(record())]
    monkeypatch.setattr(console, "LINE_EVERY", -1.0)
    show(story())
    assert capsys.readouterr().out.splitlines() == [
        "hello [bold]",
        "reading: 1 of 2",
        "epoch 1, step 1 of 20, loss 0.500, 1:21 left",
        epoch_line(record()),
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminals_get_a_bar_and_the_same_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "150")
    assert show(story()) == "done"
    shown = screen.getvalue()
    assert "hello [bold]" in shown
    assert epoch_line(record()) in shown
    assert "\x1b[?25h" in shown  # the cursor comes back


def test_errors_pass_through_and_leave_the_terminal_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> Generator[Event, None, None]:
        yield Progress("reading", 1, 2)
        raise ValueError("broken")

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    with pytest.raises(ValueError, match="broken"):
        show(failing())
    assert "\x1b[?25h" in screen.getvalue()
