"""A process of several that predict one picture together: a model, a folder, how many there are."""

import sys
from pathlib import Path

from unpool.commands import predicting
from unpool.commands.events import finish
from unpool.engine.processes import leave

if __name__ == "__main__":
    model, folder, count = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    predicting.LARGE = 1e6
    done = finish(
        predicting.predict(
            model, [str(folder / "big.tif")], folder / f"out-{count}", probabilities="uint8", device="cpu",
            precision="float32",
        )
    )  # fmt: skip
    assert not done.failed
    leave()
