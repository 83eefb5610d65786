from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.instrument import ActivityProbe
from spikeformer.training import HistoryRecorder
from spikeformer.training.callbacks import SpikeRegularization
from tests.training.toys import (
    Interrupt,
    lightning_trainer,
    loader,
    module,
    num_hooks,
    separable,
    toy_net,
)


def trained_rate(*callbacks):
    task, (x, y) = module(toy_net(threshold=0.3)), separable()
    trainer = lightning_trainer(callbacks=list(callbacks), max_epochs=15)
    trainer.fit(task, loader(x, y), loader(x, y))
    with ActivityProbe(task.net) as probe, torch.no_grad():
        task.net(x)
    return probe.firing_rate


def test_spike_regularization_lowers_the_firing_rate():
    without = trained_rate()
    regularized = trained_rate(SpikeRegularization(weight=50.0, target=0.05))
    assert without > 0.2
    assert regularized < 0.6 * without
    # Spikes up to the target are free: a target above the rate changes nothing.
    assert trained_rate(SpikeRegularization(weight=50.0, target=1.0)) == without


def test_spike_regularization_penalty_by_its_formula():
    task, (x, y) = module(toy_net(threshold=0.3), lr=1e-12), separable(16)
    recorder = HistoryRecorder()
    callback = SpikeRegularization(weight=3.0, target=0.1)
    lightning_trainer(callbacks=[callback, recorder]).fit(task, loader(x, y), loader(x, y))
    with ActivityProbe(task.net) as probe, torch.no_grad():
        loss = task.loss(task.net(x), y)
    (row,) = recorder.history
    expected = 3.0 * (probe.firing_rate - 0.1) ** 2
    assert expected > 0.01
    assert row["train/spike_regularization"] == pytest.approx(expected, rel=1e-4)
    # The loss that is shown stays free of it.
    assert row["train/loss"] == pytest.approx(loss.item(), rel=1e-4)


def test_spike_regularization_is_part_of_the_loss_that_is_minimised():
    callback = SpikeRegularization(weight=3.0, target=0.0)
    task, batch = module(toy_net(threshold=0.3)), separable(16)
    trainer = lightning_trainer(callbacks=[callback])
    losses = []
    task.on_before_backward = lambda loss: losses.append(loss.item())
    trainer.fit(task, loader(*batch), loader(*batch))
    net = toy_net(threshold=0.3)
    with ActivityProbe(net) as probe, torch.no_grad():
        plain = task.loss(net(batch[0]), batch[1]).item()
    assert losses[0] == pytest.approx(plain + 3.0 * probe.firing_rate**2, rel=1e-4)


@pytest.mark.parametrize("where", ["nowhere", "train", "val"])
def test_spike_regularization_leaves_nothing_behind(where):
    task, data = module(), loader(*separable())
    trainer = lightning_trainer(callbacks=[SpikeRegularization(), Interrupt(where)])
    if where == "nowhere":
        trainer.fit(task, data, data)
    else:
        with pytest.raises(RuntimeError, match="interrupted"):
            trainer.fit(task, data, data)
    assert num_hooks(task) == 0
    assert task.penalties == {}


@pytest.mark.parametrize("arguments", [{"weight": 0.0}, {"target": 1.5}, {"target": -0.1}])
def test_spike_regularization_bad_arguments(arguments):
    (name,) = arguments
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        SpikeRegularization(**arguments)
