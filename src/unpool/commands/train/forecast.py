"""The forecast of a training: its time, memory and number of parts, from a rehearsal."""

from __future__ import annotations

from dataclasses import dataclass

from unpool.config.schema import TrainingSettings
from unpool.errors import UsageError
from unpool.training.records import TrainingState
from unpool.training.rehearsal import Rehearsal
from unpool.wording import bytes_text, count_text, duration_text, minutes_text

MOST_DAYS = 60.0
"""Days of training above which a budget is taken for a mistake."""


@dataclass(frozen=True)
class Forecast:
    """The forecast of a training.

    Attributes
    ----------
    steps: steps of an epoch.
    epoch_seconds: time of an epoch with a validation.
    given: the settings, which have a budget.
    free: bytes of free memory; None is unknown.
    """

    rehearsal: Rehearsal
    steps: int
    epoch_seconds: float
    given: TrainingSettings
    free: int | None

    @property
    def minutes(self) -> float:
        """Time of the whole training."""
        if self.given.epochs is not None:
            return self.given.epochs * self.epoch_seconds / 60
        assert self.given.minutes is not None
        return self.given.minutes

    def require_reasonable(self) -> None:
        """Raise UsageError where the training takes more than ``MOST_DAYS`` days."""
        if self.minutes <= MOST_DAYS * 24 * 60:
            return
        by_epochs = self.given.epochs is not None
        budget = count_text(self.given.epochs, "epoch") if self.given.epochs is not None else minutes_text(self.minutes)
        pace = f", at {self.rehearsal.step_seconds:.1f} s per step" if by_epochs else ""
        raise UsageError(
            f"{budget}{pace}: {self.minutes / 60 / 24:.0f} days",
            f"a training of at most {MOST_DAYS:g} days",
            "give fewer --epochs or --minutes",
        )

    def text(self, compiled: str, state: TrainingState, pictures: int) -> str:
        """Return the forecast as a page of text.

        Parameters
        ----------
        compiled: whether the step is compiled, and why.
        state: of the training that begins.
        pictures: number of validation pictures.
        """
        every = state.validated_every
        found = self.rehearsal
        free = "" if self.free is None else f" of {bytes_text(self.free)} that are free"
        rows = [
            ("one batch", self._learning_text()),
            (
                "time",
                f"{duration_text(found.step_seconds)} per step, "
                f"{duration_text(self.epoch_seconds)} per epoch with its validation",
            ),
            ("forecast", self._budget_text(state)),
            (
                "validation",
                f"every {every}. of {pictures} pictures, to save time; all of them at the end" if every > 1 else "",
            ),
            ("memory", f"a step takes about {bytes_text(found.peak_bytes)}{free}"),
            ("in parts", f"each batch is computed in {found.parts} parts, to fit" if found.parts > 1 else ""),
            ("compiled", compiled),
        ]
        return "\n".join(["Rehearsal", *(f"  {label:<15}{value}" for label, value in rows if value)])

    def _learning_text(self) -> str:
        losses = self.rehearsal.losses
        text = f"the loss of one batch, repeated, went from {losses[0]:.3f} to {min(losses[1:]):.3f}"
        if self.rehearsal.learns:
            return text
        return text + "; it should fall: lower --set learning_rate=… if the training does not learn"

    def _budget_text(self, state: TrainingState) -> str:
        if self.given.epochs is not None:
            return f"{count_text(self.given.epochs, 'epoch')} in about {duration_text(self.minutes * 60)}"
        epochs = (self.minutes * 60 - state.reserved - state.last_validation) / self.epoch_seconds
        steps = max(int(epochs * self.steps), 1)
        return f"about {steps:,} steps ({epochs:.1f} epochs) in {minutes_text(self.given.minutes or 0)}"
