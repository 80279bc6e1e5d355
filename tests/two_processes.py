"""What each of the processes of tests/test_processes.py runs: train a tiny network and leave what came of it."""

import sys
from pathlib import Path

import torch

import tiny
from unpool import optim, processes
from unpool.training.loop import fit
from unpool.training.records import TrainingState

net, norm, out, parts = sys.argv[1:]
torch.set_num_threads(1)
together = processes.join("cpu")
data, held_out = tiny.samples(5), tiny.samples(3, seed=9)
model = tiny.segmenter(net, norm=norm)
state = TrainingState(parts=int(parts))
setup = tiny.setup(
    model,
    data,
    held_out,
    batches=tiny.sampler(data, model, batch_size=5, least_steps=2, most_steps=2),
    optimiser=optim.optimiser(model.network, "sgd", 1e-2, 1e-2),
    processes=together,
)
list(fit(model, setup, state))
torch.save({"network": model.network.state_dict(), "history": state.history}, Path(out) / f"{together.rank}.pt")
processes.leave()
