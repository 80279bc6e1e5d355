"""``unpool verify``: the proof that a model computes here what it computed where it was trained."""

from __future__ import annotations

from unpool.cli.options import DeviceOption, JsonOption, ModelOption, PrecisionOption
from unpool.cli.program import FAILED, app, print_result


@app.command
def verify(
    model: ModelOption, *, device: DeviceOption = None, precision: PrecisionOption = None, json_: JsonOption = False
) -> int:
    """Prove that a model computes the same on this machine as on the machine that trained it.

    Example: unpool verify runs/photos-unet

    Exit code 1 if it computes something else, 3 if the file is damaged.
    """
    from unpool.commands.verify import verify as command

    verification = command(model, device=device or "auto", precision=precision or "auto")
    print_result(verification.to_json() if json_ else verification.text)
    return 0 if verification.holds else FAILED
