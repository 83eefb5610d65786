from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.instrument import ActivityProbe
from spikeformer.training import HistoryRecorder
from spikeformer.training.callbacks import FiringRateMonitor
from tests.training.toys import (
    Interrupt,
    lightning_trainer,
    loader,
    module,
    num_hooks,
    separable,
    toy_net,
)


@pytest.mark.parametrize("samples", [64, 40])  # 40: the last batch is half as large
def test_firing_rate_monitor_equals_an_activity_probe(samples):
    # A learning rate of nearly nothing: the network stays the same, so one pass tells the rate.
    task, data = module(toy_net(threshold=0.3), lr=1e-12), separable(samples)
    other = separable(24, seed=5)
    recorder = HistoryRecorder()
    trainer = lightning_trainer(callbacks=[FiringRateMonitor(1), recorder])
    trainer.fit(task, loader(*data), loader(*other))
    rates = {}
    for name, (x, _) in {"train": data, "val": other}.items():
        with ActivityProbe(task.net) as probe, torch.no_grad():
            task.net(x)
        rates[name] = probe.firing_rate
    assert 0.1 < rates["train"] < 0.9
    (row,) = recorder.history
    assert row["train/firing_rate"] == pytest.approx(rates["train"], rel=1e-5)
    assert row["val/firing_rate"] == pytest.approx(rates["val"], rel=1e-5)


def test_firing_rate_monitor_measures_every_nth_batch():
    task = module(toy_net(threshold=0.3))
    seen = []

    class Count(FiringRateMonitor):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
            seen.append(num_hooks(pl_module))

    train, val = loader(*separable(), batch_size=8), loader(*separable(8))
    lightning_trainer(callbacks=[Count(3)]).fit(task, train, val)
    assert seen == [1, 0, 0, 1, 0, 0, 1, 0]
    assert num_hooks(task) == 0


@pytest.mark.parametrize("where", ["train", "val"])
def test_firing_rate_monitor_leaves_no_hooks_behind_after_an_error(where):
    task, data = module(), loader(*separable())
    trainer = lightning_trainer(callbacks=[FiringRateMonitor(1), Interrupt(where)])
    with pytest.raises(RuntimeError, match="interrupted"):
        trainer.fit(task, data, data)
    assert num_hooks(task) == 0
    # A compiled network runs compiled again.
    assert torch._dynamo.eval_frame._stance.stance == "default"


def test_firing_rate_monitor_bad_interval():
    with pytest.raises(ArgumentError, match="`every_n_steps`"):
        FiringRateMonitor(0)
