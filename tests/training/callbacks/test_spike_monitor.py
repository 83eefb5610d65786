from __future__ import annotations

import logging

import lightning as L
import pytest
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import LifNeuron
from spikeformer.training.callbacks import SpikeMonitor
from tests.training.toys import (
    Interrupt,
    ToyNet,
    lightning_trainer,
    module,
    num_hooks,
    toy_loaders,
)


class PlantedNet(ToyNet):
    """Layers in a row: healthy, saturated, dead."""

    def __init__(self):
        super().__init__(hidden=16, threshold=0.3)
        self.saturated = LifNeuron(threshold=0.1)
        self.dead = LifNeuron(threshold=1e6)
        self.push = nn.Identity()

    def forward(self, x):
        current = self.embed(x).unsqueeze(1).expand(-1, self.timesteps, -1)
        spikes = self.neuron(current)
        return self.readout(spikes + self.saturated(spikes + 1.0) + self.dead(spikes))


def warnings_of(net, *callbacks, epochs=1, caplog=None, compile_with=None):
    caplog.clear()
    task = module(net)
    if compile_with:
        task.net.compile(backend=compile_with)
    trainer = lightning_trainer(callbacks=list(callbacks), max_epochs=epochs)
    with caplog.at_level(logging.WARNING, logger="spikeformer"):
        trainer.fit(task, *toy_loaders())
    assert num_hooks(task) == 0
    return [
        r.getMessage()
        for r in caplog.records
        if r.name.startswith("spikeformer.training.callbacks")
    ]


@pytest.mark.parametrize("compile_with", [None, "eager"])
def test_spike_monitor_names_dead_and_saturated_layers_once(caplog, compile_with):
    messages = warnings_of(
        PlantedNet(), SpikeMonitor(), epochs=3, caplog=caplog, compile_with=compile_with
    )
    assert len(messages) == 2
    saturated, dead = sorted(messages, key=lambda text: "dead" in text.split(" is ")[1])
    assert saturated.startswith("Layer saturated is saturated in epoch 0 (firing rate 1.000)")
    assert "raise its threshold" in saturated
    assert dead.startswith("Layer dead is dead in epoch 0 (firing rate 0.000)")
    assert "lower its threshold" in dead


def test_spike_monitor_is_quiet_where_all_is_well(caplog):
    assert warnings_of(ToyNet(threshold=0.3), SpikeMonitor(), epochs=2, caplog=caplog) == []


def test_spike_monitor_bounds_are_settings(caplog):
    net = ToyNet(threshold=0.3)
    (message,) = warnings_of(net, SpikeMonitor(dead_below=1.0), caplog=caplog)
    assert "Layer neuron is dead" in message
    (message,) = warnings_of(net, SpikeMonitor(saturated_above=0.0), caplog=caplog)
    assert "Layer neuron is saturated" in message


class Recover(L.Callback):
    """Revives the dead layer in epoch 1 and kills it again in epoch 2."""

    def on_train_epoch_start(self, trainer, pl_module):
        pl_module.net.dead.threshold = {1: 0.1}.get(trainer.current_epoch, 1e6)


def test_spike_monitor_warns_again_after_a_recovery(caplog):
    messages = warnings_of(PlantedNet(), Recover(), SpikeMonitor(), epochs=4, caplog=caplog)
    epochs = [m.split("epoch ")[1][0] for m in messages if m.startswith("Layer dead is dead")]
    assert epochs == ["0", "2"]


def test_spike_monitor_looks_every_nth_epoch(caplog):
    messages = warnings_of(PlantedNet(), Recover(), SpikeMonitor(2), epochs=4, caplog=caplog)
    # Epochs 0 and 2 look the same: dead in both, so one warning.
    assert sum("Layer dead is dead" in m for m in messages) == 1


def test_spike_monitor_leaves_no_hooks_behind_after_an_error():
    task = module()
    with pytest.raises(RuntimeError, match="interrupted"):
        lightning_trainer(callbacks=[SpikeMonitor(), Interrupt()]).fit(task, *toy_loaders())
    assert num_hooks(task) == 0


@pytest.mark.parametrize(
    "arguments", [{"every_n_epochs": 0}, {"dead_below": -1.0}, {"saturated_above": 1.1}]
)
def test_spike_monitor_bad_arguments(arguments):
    (name,) = arguments
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        SpikeMonitor(**arguments)
