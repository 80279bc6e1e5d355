"""The program of each process in tests/test_processes.py: train a tiny network and save what it learned."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch

import tiny
from unpool import optim, processes
from unpool.data.samples import Sample
from unpool.training.loop import training
from unpool.training.records import TrainingState


def without_ties(sample: Sample, random: np.random.Generator) -> Sample:
    """Vary the pixels of a picture, so that no two windows of it are alike.

    In a flat region (saturated pixels, for example) the values of a feature map are equal up to rounding, and rounding
    decides which is the maximum. A network with unpooling puts the value there, so a difference of 1e-7 in a weight
    changes the validation loss by 2e-3.
    """
    return dataclasses.replace(sample, image=sample.image // 2 + random.integers(0, 128, sample.image.shape, np.uint8))


net, norm, out, parts = sys.argv[1:]
torch.set_num_threads(1)
together = processes.join("cpu")
random = np.random.default_rng(0)
data, held_out = tiny.samples(5), [without_ties(sample, random) for sample in tiny.samples(3, seed=9)]
model = tiny.segmenter(net, norm=norm)
state = TrainingState(parts=int(parts))
setup = tiny.setup(
    model,
    data,
    held_out,
    # In the first batch of this seed no value before a ReLU, and no maximum before its runner-up, is nearer than 1e-5.
    batches=tiny.sampler(data, model, seed=4, batch_size=5, least_steps=2, most_steps=2),
    optimiser=optim.optimiser(model.network, "sgd", 1e-2, 1e-2),
    processes=together,
)
records = training(model, setup, state)
next(records)
gradients = {name: parameter.grad.clone() for name, parameter in model.network.named_parameters()}
statistics = {name: buffer.clone() for name, buffer in model.network.named_buffers()}
for _ in records:
    pass
outcome = {
    "gradients": gradients,
    "statistics": statistics,
    "network": model.network.state_dict(),
    "history": state.history,
}
torch.save(outcome, Path(out) / f"{together.rank}.pt")
processes.leave()
