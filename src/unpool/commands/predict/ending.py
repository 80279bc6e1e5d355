"""The last lines of ``predict``: where its files are, what the masks hold, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unpool.class_table import ClassTable
from unpool.commands.predict.targets import ExtraOutputs
from unpool.io.destination import free_path
from unpool.io.pixel_size import PixelSize
from unpool.io.write.masks import WrittenForm, form_in_words, written_form
from unpool.prediction.averaging import Averaging
from unpool.wording import command_text, count_text

DARK = 20
"""The largest value of grey masks that look black on a screen."""


@dataclass(frozen=True)
class PredictCommand:
    """What a person typed, as far as a command that follows from it needs it.

    Attributes
    ----------
    memory: bytes that were given.
    pixel_size: for measurements of objects, where it was given.
    """

    model: Path
    inputs: Sequence[str]
    out: Path
    extras: ExtraOutputs
    averaging: Averaging
    memory: float | None = None
    device: str = "auto"
    precision: str = "auto"
    pixel_size: PixelSize | None = None

    def again(self) -> str:
        """Return the command that keeps what is finished and predicts the rest."""
        return command_text([*self._words(self.inputs, self.out, self.extras), "--resume"])

    def with_extra(self, source: Path, option: str) -> str:
        """Return the command that predicts one picture with one more kind of file, into a folder of its own."""
        out = free_path(self.out.with_name(f"{self.out.name}{option.replace('--', '-')}"))
        return command_text([*self._words([str(source)], out, ExtraOutputs(mask_form=self.extras.mask_form)), option])

    def _words(self, inputs: Sequence[str], out: Path, extras: ExtraOutputs) -> Iterator[object]:
        yield from ("unpool", "predict", self.model, *inputs, "--out", out)
        if extras.mask_form:
            yield from ("--mask-form", extras.mask_form)
        if extras.overlays:
            yield "--overlay"
        if extras.overlays and extras.opacity != ExtraOutputs().opacity:
            yield from ("--opacity", f"{extras.opacity:g}")
        if extras.probabilities:
            yield from ("--probabilities", extras.probabilities)
        if extras.uncertainty:
            yield "--uncertainty"
        if extras.objects:
            yield "--objects"
        if extras.objects and self.pixel_size is not None:
            yield from ("--pixel-size", self.pixel_size.describe().replace(" ", ""))
        if self.averaging.tta != "none":
            yield from ("--tta", self.averaging.tta)
        if self.averaging.samples:
            yield from ("--samples", self.averaging.samples)
        if self.memory is not None:
            yield from ("--memory", f"{self.memory / 1e6:.0f}MB")
        for option, given in (("--device", self.device), ("--precision", self.precision)):
            if given != "auto":
                yield from (option, given)


def ending(command: PredictCommand, table: ClassTable, done: Sequence[Path], missed: int) -> str:
    """Return the last lines.

    Parameters
    ----------
    done: pictures that were predicted.
    missed: number of pictures that could not be predicted.
    """
    out, extras, count = command.out, command.extras, len(done)
    skipped = f"; {count_text(missed, 'picture')} could not be predicted" if missed else ""
    form = f" ({form_in_words(table, written_form(table))})" if count else ""
    lines = [f"{count_text(count, 'mask')} in {out}{form}{skipped}"]
    if count:
        extra = {
            "overlays": extras.overlays,
            "probabilities": extras.probabilities,
            "uncertainty": extras.uncertainty,
            "objects": extras.objects,
        }
        lines += [f"{folder} in {out / folder}" for folder, requested in extra.items() if requested]
        lines += _dark_note(written_form(table))
        if table.form is None:
            lines.append(
                "the model's card, of an earlier version, does not say how its training masks were stored; "
                "--mask-form palette writes a palette"
            )
    if missed:
        lines.append(f"once they are repaired, this predicts them and keeps the others:\n  {command.again()}")
    elif not extras.overlays:
        lines.append(f"to see a mask on its picture:\n  {command.with_extra(done[0], '--overlay')}")
    elif not extras.uncertainty:
        lines.append(f"to see where the model is unsure:\n  {command.with_extra(done[0], '--uncertainty')}")
    return "\n".join(lines)


def _dark_note(form: WrittenForm) -> list[str]:
    """Return a line on masks that a viewer of pictures shows black; none on others."""
    top = int(form.values.max())
    if form.palette or form.one_bit or form.values.ndim == 2 or top > DARK:
        return []
    return [f"values up to {top} look black in a viewer; --overlay or --mask-form palette shows them"]
