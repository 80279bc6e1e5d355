"""A process of several that predict pictures together: a model, a folder, how many there are, and what fails in one."""

import json
import sys
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unpool.commands.events import Message
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
    predicting.LARGE = 1e6
    predicting._Work.tile = lambda *_: (512, 512)  # type: ignore[method-assign]
    rank = join("cpu").rank
    if "room" in fails:
        BandWriter.write = no_room  # type: ignore[method-assign]
    if "memory" in fails and rank == 1:
        predicting._Work.tile = no_memory  # type: ignore[method-assign]
    steps = predicting.predict(
        model, [str(folder / "*.tif")], folder / f"out-{count}", probabilities="uint8", device="cpu",
        precision="float32",
    )  # fmt: skip
    said = []
    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            done = stop.value
            break
        said += [event.text] if isinstance(event, Message) else []
    found = {"failed": [[path.name, why] for path, why in done.failed], "said": said}
    (folder / f"said-{count}-{rank}.json").write_text(json.dumps(found))
    leave()
