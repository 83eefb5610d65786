"""Two phases on one set of weights, a teacher beside both, resumable in each."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.training import HistoryRecorder, HybridTrainer, ShardedStrategy
from spikeformer.training.callbacks import HybridPhases
from tests.training.toys import QUIET, lightning_trainer, module, num_hooks, toy_loaders, toy_net


class ConstantLogits(nn.Module):
    """Always the same logits, in the wrapping of `transformers`."""

    def __init__(self, logits):
        super().__init__()
        self.layer = nn.Identity()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return SimpleNamespace(logits=self.layer(self.logits.expand(len(x), -1)))


def test_hybrid_phases_train_the_rate_proxy_first_and_the_network_after_it():
    ran = []
    trained = module()
    trained.net.register_forward_hook(
        lambda net, args, outputs: ran.append((trained.trainer.current_epoch, net.training))
    )
    history = HistoryRecorder()
    trainer = lightning_trainer(max_epochs=3, callbacks=[HybridPhases(2), history])
    trainer.fit(trained, *toy_loaders())
    assert {epoch for epoch, training in ran if training} == {2}
    assert {epoch for epoch, training in ran if not training} == {0, 1, 2}  # validation spikes
    assert [row["train/spiking"] for row in history.history] == [0, 0, 1]
    assert trained.proxy is None
    assert num_hooks(trained.net) == 1


@pytest.mark.parametrize(
    ("share", "epochs", "phases"),
    [(0.6, 5, "00011"), (0.6, 2, "01"), (0.9, 2, "01"), (0.1, 3, "011"), (0.6, 1, "1")],
)
def test_hybrid_phases_with_a_share_of_all_epochs(share, epochs, phases):
    history = HistoryRecorder()
    trainer = lightning_trainer(max_epochs=epochs, callbacks=[HybridPhases(share), history])
    trainer.fit(module(), *toy_loaders())
    assert "".join(f"{row['train/spiking']:.0f}" for row in history.history) == phases


def test_hybrid_phases_refuse_sharded_weights():
    trainer = SimpleNamespace(max_epochs=3, strategy=ShardedStrategy())
    with pytest.raises(ConfigurationError, match="cannot be sharded"):
        HybridPhases(2).setup(trainer, module(), "fit")


@pytest.mark.parametrize("cut", [2, 5])
def test_hybrid_phases_resume_in_either_phase(cut, tmp_path):
    """Cut after two epochs of the first phase, or after one of the second."""

    def fit(epochs, planned, ckpt=None):
        history = HistoryRecorder()
        trained = module()
        phases = HybridPhases(4, ConstantLogits([1.0, 0.0]))
        trainer = lightning_trainer(max_epochs=planned, callbacks=[phases, history])
        trainer.fit_loop.max_epochs = planned
        if epochs < planned:
            trainer.fit_loop.epoch_loop.max_steps = epochs * 4
        trainer.fit(trained, *toy_loaders(), ckpt_path=ckpt)
        trainer.save_checkpoint(tmp_path / "cut.ckpt")
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.history]
        return rows, trained.net.state_dict()

    whole, weights = fit(8, 8)
    part, _ = fit(cut, 8)
    rest, resumed = fit(8, 8, str(tmp_path / "cut.ckpt"))
    assert part == whole[:cut]
    assert rest == whole
    for name, value in weights.items():
        assert torch.equal(value, resumed[name]), name


@pytest.mark.parametrize(("cut", "phases"), [(1, "00000011"), (4, "00011111")])
def test_hybrid_phases_share_follows_the_new_length_unless_the_network_spikes(
    cut, phases, tmp_path
):
    """Three of four epochs were to be with rates, then the run is given eight."""

    def fit(epochs, ckpt=None):
        history = HistoryRecorder()
        trainer = lightning_trainer(max_epochs=epochs, callbacks=[HybridPhases(0.75), history])
        if cut < epochs == 4:
            trainer.fit_loop.epoch_loop.max_steps = cut * 4
        trainer.fit(module(), *toy_loaders(), ckpt_path=ckpt)
        trainer.save_checkpoint(tmp_path / "cut.ckpt")
        return "".join(f"{row['train/spiking']:.0f}" for row in history.history)

    fit(4)
    assert fit(8, str(tmp_path / "cut.ckpt")) == phases


def test_hybrid_phases_refuse_bad_arguments():
    for arguments, words in (
        ({"ann_epochs": -1}, "at least 0"),
        ({"ann_epochs": 1.0}, "fraction"),
        ({"ann_epochs": 0.0}, "fraction"),
        ({"distillation_weight": 2.0}, "from 0.0 to 1.0"),
        ({"teacher": toy_net(), "feature_weight": 1.0}, "teacher_layer"),
    ):
        with pytest.raises(ArgumentError, match=words):
            HybridPhases(**arguments)
    with pytest.raises(ConfigurationError, match="max_epochs"):
        lightning_trainer(max_epochs=2, callbacks=[HybridPhases(2)]).fit(module(), *toy_loaders())
    with pytest.raises(ConfigurationError, match="max_epochs"):
        lightning_trainer(max_epochs=-1, max_steps=2, callbacks=[HybridPhases(0.5)]).fit(
            module(), *toy_loaders()
        )
    three = HybridTrainer(toy_net(), 1, 1, **QUIET)
    with pytest.raises(ArgumentError, match=r"\(16, 2\)"):
        three.train(*toy_loaders(), ConstantLogits([1.0, 2.0, 3.0]))
    with pytest.raises(ArgumentError, match="snn_epochs"):
        HybridTrainer(toy_net(), 1, 0)
