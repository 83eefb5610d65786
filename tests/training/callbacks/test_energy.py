from __future__ import annotations

import lightning as L
import pytest
import torch

from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.profiling import EnergyProfiler
from spikeformer.training import HistoryRecorder
from spikeformer.training.callbacks import EnergyEarlyStopping, EnergyMonitor, SpikeRegularization
from spikeformer.training.callbacks.energy import ENERGY
from tests.training.toys import Interrupt, lightning_trainer, loader, module, separable, toy_net


def fit(*callbacks, epochs=1, lr=1e-12, resume=None):
    task, data = module(toy_net(threshold=0.3), lr=lr), loader(*separable())
    recorder = HistoryRecorder()
    trainer = lightning_trainer(callbacks=[*callbacks, recorder], max_epochs=epochs)
    trainer.fit(task, data, data, ckpt_path=resume)
    return task, trainer, recorder.history


def test_logs_the_energy_of_the_first_validation_batch():
    task, _, (row,) = fit(EnergyMonitor("loihi1"))
    profiler = EnergyProfiler("loihi1")
    with torch.no_grad(), profiler.measure() as recording:
        task.net(separable()[0][:16])
    assert row[ENERGY] == pytest.approx(recording.get_metrics()["energy_per_sample_uj"])


def test_logs_the_last_value_where_it_does_not_count_again():
    *_, history = fit(EnergyMonitor(every_n_epochs=2), epochs=3, lr=0.05)
    energies = [row[ENERGY] for row in history]
    assert energies[0] == energies[1] != energies[2]


def test_a_resumed_run_does_not_count_before_it_is_due(tmp_path):
    _, trainer, before = fit(EnergyMonitor(every_n_epochs=2), lr=0.05)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = EnergyMonitor(every_n_epochs=2)
    *_, after = fit(resumed, epochs=2, lr=0.05, resume=tmp_path / "last.ckpt")
    assert after[1][ENERGY] == before[0][ENERGY]


def test_regularization_lowers_it():
    *_, plain = fit(EnergyMonitor(), epochs=15, lr=1e-2)
    regularization = SpikeRegularization(weight=50.0, target=0.05)
    *_, quiet = fit(EnergyMonitor(), regularization, epochs=15, lr=1e-2)
    assert quiet[-1][ENERGY] < 0.9 * plain[-1][ENERGY]


def test_leaves_no_hooks_behind():
    hooks = torch.nn.modules.module._global_forward_hooks
    before = len(hooks)
    with pytest.raises(RuntimeError, match="interrupted"):
        fit(EnergyMonitor(), Interrupt("val"))
    assert len(hooks) == before


class Script(L.Callback):
    """Lets training report these values."""

    def __init__(self, values):
        self.values = values

    def on_validation_epoch_end(self, trainer, pl_module):
        loss, energy = self.values[trainer.current_epoch]
        pl_module.log("quality", loss)
        pl_module.log(ENERGY, energy)


CASES = {
    "a better metric goes on": ([(3, 1), (2, 1), (1, 1), (0.5, 1)], 4),
    "less energy goes on": ([(1, 4), (1, 3), (1, 2), (1, 1)], 4),
    "a worse metric for less energy is progress": ([(1, 4), (2, 3), (3, 2), (4, 1)], 4),
    "neither stops": ([(1, 1), (1, 1), (2, 1), (1, 2)], 3),
    "what was reached at less energy before is none": ([(1, 1), (1, 2), (0.99, 1), (1, 1)], 4),
    "a saving too small to count": ([(1, 1), (1, 0.999), (1, 0.998), (1, 0.5)], 3),
}


@pytest.mark.parametrize("name", CASES)
def test_training_ends_when_neither_gets_better(name):
    values, epochs = CASES[name]
    stopping = EnergyEarlyStopping("quality", patience=2)
    _, trainer, _ = fit(Script(values), stopping, epochs=4)
    assert trainer.current_epoch == epochs


def test_more_may_be_better():
    values = [(1, 1), (2, 1), (3, 1), (4, 1)]
    up = EnergyEarlyStopping("quality", mode="max", patience=2)
    assert fit(Script(values), up, epochs=4)[1].current_epoch == 4
    down = EnergyEarlyStopping("quality", mode="min", patience=2)
    assert fit(Script(values), down, epochs=4)[1].current_epoch == 3


def test_it_takes_up_where_a_checkpoint_left_off():
    first, second = EnergyEarlyStopping(), EnergyEarlyStopping()
    first.front, first.waited = [(1.0, 2.0)], 3
    second.load_state_dict(first.state_dict())
    assert (second.front, second.waited) == ([(1.0, 2.0)], 3)


def test_mistakes_are_told():
    with pytest.raises(ConfigurationError, match=r"needs `val/energy_uj`.*energy_early_stopping"):
        fit(EnergyEarlyStopping())
    with pytest.raises(ArgumentError, match="backend"):
        EnergyMonitor("pyjoules")
    for arguments in ({"mode": "up"}, {"patience": 0}, {"min_saving": 2.0}, {"min_delta": -1.0}):
        (name,) = arguments
        with pytest.raises(ArgumentError, match=name):
            EnergyEarlyStopping(**arguments)
