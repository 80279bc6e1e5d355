"""A process of several that predict pictures together: a model, a folder, how many there are, and what fails in one."""

import json
import sys
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import tiny
from unpool.commands.events import Event, Message, finish
from unpool.commands.predict import jobs as dividing
from unpool.commands.predict import predict as predicting
from unpool.errors import RunError
from unpool.io.write.bands import BandWriter
from unpool.processes import join, leave

plain_write = BandWriter.write


def no_memory(*_: object) -> Any:
    raise MemoryError


def no_room(writer: BandWriter, band: NDArray[Any]) -> None:
    """Write small pictures only."""
    if writer.form.rows > 1000:
        raise RunError("no room", "room", "make room")
    plain_write(writer, band)


if __name__ == "__main__":
    model, folder, count, *fails = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
    dividing.LARGE = 1e6
    predicting.fitting_tile = lambda *_: (512, 512)
    rank = join("cpu").rank
    if "room" in fails:
        BandWriter.write = no_room  # type: ignore[method-assign]
    if "memory" in fails and rank == 1:
        predicting.fitting_tile = no_memory
    steps = tiny.predict(
        model, [str(folder / "*.tif")], folder / f"out-{count}", probabilities="uint8", device="cpu",
        precision="float32",
    )  # fmt: skip
    events: list[Event] = []
    result = finish(steps, events.append)
    messages = [event.text for event in events if isinstance(event, Message)]
    report = {"failed": [[path.name, why] for path, why in result.failed], "messages": messages}
    (folder / f"report-{count}-{rank}.json").write_text(json.dumps(report))
    leave()
