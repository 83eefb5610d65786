from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader

from spikeformer.models import CausalLMHead, SpikingAttention, SpikingNetwork, SpikingTransformer
from spikeformer.neurons import LifNeuron
from spikeformer.training import (
    HistoryRecorder,
    LanguageModule,
    MultiLabelModule,
    RegressionModule,
)
from tests.training.toys import lightning_trainer, loader, module, separable, toy_net


def fitted(task, data, epochs):
    recorder = HistoryRecorder()
    lightning_trainer(max_epochs=epochs, callbacks=[recorder]).fit(task, data, data)
    return recorder.history[-1]


def test_multilabel_learns_and_counts():
    x, y = separable()
    target = torch.stack([y, 1 - y, (x[:, 0] > 0).long()], dim=1).float()
    task = module(toy_net(outputs=3), "binary_cross_entropy", MultiLabelModule, lr=0.05)
    row = fitted(task, loader(x, target), 25)
    assert row["val/accuracy"] > 0.95
    with torch.no_grad():
        right = (task.net(x).mean(1) > 0) == target.bool()
    assert row["val/accuracy"] == pytest.approx(right.float().mean().item())
    assert row["val/exact_match"] == pytest.approx(right.all(1).float().mean().item())
    assert row["val/exact_match"] <= row["val/accuracy"]


def test_a_label_is_predicted_where_its_average_output_is_above_zero():
    task = module(kind=MultiLabelModule, loss="binary_cross_entropy")
    metrics = task.metrics["val_metrics"]
    # Averages: 0.25, -0.25, 0.5 and -1, 0.1, -0.1.
    outputs = torch.tensor([[[0.5, 0.5, 2.0], [0.0, -1.0, -1.0]], [[-1.0, 0.1, -0.1]] * 2])
    task.update_metrics(metrics, outputs, torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    assert metrics["accuracy"].compute().item() == pytest.approx(5 / 6)
    assert metrics["exact_match"].compute().item() == 0.5


@pytest.mark.parametrize("axis", [True, False])
def test_regression_learns_and_measures(axis):
    x, _ = separable()
    target = 0.3 * x[:, :1] - 0.2
    if not axis:
        target = target.squeeze(1)
    task = module(toy_net(outputs=1, hidden=32), "mse", RegressionModule, lr=0.03)
    row = fitted(task, loader(x, target), 30)
    assert row["val/rmse"] < 0.5 * target.std().item()
    with torch.no_grad():
        error = task.net(x).mean(1).squeeze(1) - target.flatten()
    assert row["val/mae"] == pytest.approx(error.abs().mean().item(), rel=1e-4)
    assert row["val/rmse"] == pytest.approx(error.square().mean().sqrt().item(), rel=1e-4)
    assert row["val/loss"] == pytest.approx(row["val/rmse"] ** 2, rel=1e-3)


def test_language_model_learns_a_sequence_by_heart():
    # After each 1 or 2 comes what came two tokens before it: one token alone does not tell.
    tokens = torch.tensor([[1, 3, 1, 4, 2, 3, 2, 4, 1], [2, 4, 2, 3, 1, 4, 1, 3, 2]])
    inputs, target = tokens[:, :-1], tokens[:, 1:].clone()
    target[1, -1] = -100
    neuron = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")
    backbone = SpikingTransformer(
        5,
        32,
        2,
        1,
        4,
        0.5,
        max_length=8,
        dropout=0.0,
        causal=True,
        norm="layer",
        neuron=neuron,
        attention=partial(SpikingAttention, dropout=0.0),
    )
    task = module(
        SpikingNetwork(backbone, CausalLMHead(32, 5)), "next_token", LanguageModule, lr=0.01
    )
    samples = [({"input_ids": i}, t) for i, t in zip(inputs, target, strict=True)] * 20
    row = fitted(task, DataLoader(samples, 2), 3)
    assert row["val/accuracy"] == 1.0
    assert row["val/loss"] < 0.1
    assert row["val/perplexity"] == pytest.approx(math.exp(row["val/loss"]), rel=1e-4)


def test_language_metrics_leave_padding_out():
    task = module(toy_net(), "next_token", LanguageModule)
    metrics = task.metrics["val_metrics"]
    logits = torch.zeros(1, 2, 3, 4)
    logits[0, :, 0, 1] = logits[0, :, 1, 2] = logits[0, :, 2, 3] = 5.0
    task.update_metrics(metrics, logits, torch.tensor([[1, 0, -100]]))
    assert metrics["accuracy"].compute().item() == 0.5
    task.update_metrics(metrics, logits, torch.full((1, 3), -100))
    assert metrics["accuracy"].compute().item() == 0.5


@pytest.mark.parametrize(
    ("kind", "loss", "monitor", "mode"),
    [
        (MultiLabelModule, "binary_cross_entropy", "val/accuracy", "max"),
        (RegressionModule, "mse", "val/mae", "min"),
    ],
)
def test_the_metric_that_tells_how_good_a_network_is(kind, loss, monitor, mode):
    target = torch.rand(8, 2) if kind is RegressionModule else torch.ones(8, 2)
    task = module(kind=kind, loss=loss)
    assert (task.monitor, task.monitor_mode) == (monitor, mode)
    assert monitor in fitted(task, loader(torch.rand(8, 4), target), 1)
