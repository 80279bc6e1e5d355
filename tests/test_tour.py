"""One picture through every seam of the house."""

from pathlib import Path

import numpy as np
import torch

import tiny
from unpool.checkpoint.models import LoadedModel, load_model, save_model
from unpool.class_table import IGNORE_ID
from unpool.data.batches import Batch
from unpool.data.samples import Sample, read_sample
from unpool.data.training_normalisation import training_normalisation
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.survey import survey
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.io.write.masks import write_mask
from unpool.losses.loss import LossValue
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.scores import Scores, scores
from unpool.prediction.evaluation import evaluate_each
from unpool.prediction.predictor import Predictor
from unpool.segmenter import Frame, Segmenter
from unpool.training.loop import fit
from unpool.training.records import Budget, EpochRecord


def test_one_picture_through_every_seam(tmp_path: Path) -> None:
    # file -> array
    folder = tiny.write_set(tmp_path / "cells", 4)
    pair = find_pairs(folder).pairs[1]
    image, mask = read_image(pair.image), read_mask(pair.mask)
    assert (image.shape, image.dtype) == ((49, 63, 1), np.uint8)
    assert (mask.shape, mask.dtype) == ((49, 63), np.uint8)
    assert np.unique(mask).tolist() == [0, 255]

    # array -> Sample
    found = survey(folder)
    sample = read_sample(pair, found.table)
    assert isinstance(sample, Sample)
    assert (sample.labels.shape, sample.labels.dtype) == ((49, 63), np.uint8)
    assert (sample.labels == mask // 255).all()

    # Sample -> Batch
    data = [read_sample(p, found.table) for p in found.folder.pairs]
    fresh = tiny.segmenter(classes=found.table)
    model = Segmenter(fresh.net, fresh.network, training_normalisation(data, 1), found.table)
    batch = next(tiny.sampler(data, model).epoch(0))
    assert isinstance(batch, Batch)
    assert (batch.images.shape, batch.images.dtype) == ((2, 1, 32, 32), torch.float32)
    assert (batch.labels.shape, batch.labels.dtype) == ((2, 32, 32), torch.int64)
    assert set(batch.labels.unique().tolist()) <= {0, 1, IGNORE_ID}

    # Batch -> logits -> LossValue
    setup = tiny.setup(model, data[:3], data[3:], budget=Budget(epochs=1))
    logits = model.network(batch.images)
    assert (logits.shape, logits.dtype) == ((2, 2, 32, 32), torch.float32)
    loss = setup.loss(logits, batch.labels)
    assert isinstance(loss, LossValue)
    assert all((part.shape, part.dtype) == ((), torch.float32) for part in (loss.total, *loss.terms.values()))

    # LossValue -> EpochRecord
    (record,) = fit(model, setup)
    assert isinstance(record, EpochRecord)
    assert record.best
    assert isinstance(record.train_loss, float)
    assert isinstance(record.mean_iou, float)

    # Segmenter -> model file -> Segmenter
    save_model(tmp_path / "model.safetensors", model, {"history": [record.to_json()]})
    loaded = load_model(tmp_path / "model.safetensors")
    assert isinstance(loaded, LoadedModel)
    assert tiny.same_weights(loaded.segmenter.network, model.network)
    prepared = loaded.segmenter.prepare(image, pair.name)
    assert (prepared.shape, prepared.dtype) == ((1, 1, 52, 64), torch.float32)
    assert loaded.segmenter.frame(image.shape[:2]) == Frame((52, 64), (0, 0), (0, 0))

    # Segmenter -> prediction, probabilities
    prediction = Predictor(loaded.segmenter, tiny.CPU).predict(image, pair.name).prediction
    assert (prediction.shape, prediction.dtype) == ((49, 63), np.uint8)
    likely = Predictor(loaded.segmenter, tiny.CPU).probabilities(image, pair.name)
    assert (likely.shape, likely.dtype) == ((2, 49, 63), np.float32)

    # prediction -> ConfusionMatrix -> Scores
    (result,) = evaluate_each(Predictor(loaded.segmenter, tiny.CPU), [sample])
    assert (
        result.matrix.counts == ConfusionMatrix.of(loaded.segmenter.classes.names, sample.labels, prediction).counts
    ).all()
    assert isinstance(result.matrix, ConfusionMatrix)
    assert (result.matrix.counts.shape, result.matrix.counts.dtype) == ((2, 2), np.int64)
    assert result.matrix.pixels == 49 * 63
    assert isinstance(scores(result.matrix), Scores)

    # prediction -> file
    write_mask(tmp_path / "out.png", prediction, loaded.segmenter.classes)
    written = read_mask(tmp_path / "out.png")
    assert (written.shape, written.dtype) == (mask.shape, mask.dtype)
    assert (written == np.where(prediction == 1, 255, 0)).all()
    assert (found.table.encode(written, "out.png") == prediction).all()
