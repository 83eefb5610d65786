"""Two phases on one set of weights, a teacher beside both, resumable in each."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.training import HistoryRecorder, HybridTrainer, ShardedStrategy
from spikeformer.training.callbacks import HybridPhases
from spikeformer.training.callbacks.distillation import Teacher
from tests.training.toys import QUIET, lightning_trainer, module, num_hooks, toy_loaders, toy_net


class Answers(nn.Module):
    """Always the same logits, in the wrapping of `transformers`."""

    def __init__(self, logits):
        super().__init__()
        self.layer = nn.Identity()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return SimpleNamespace(logits=self.layer(self.logits.expand(len(x), -1)))


def test_the_twin_trains_first_and_the_network_after_it():
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
def test_a_share_of_all_epochs_comes_first(share, epochs, phases):
    history = HistoryRecorder()
    trainer = lightning_trainer(max_epochs=epochs, callbacks=[HybridPhases(share), history])
    trainer.fit(module(), *toy_loaders())
    assert "".join(f"{row['train/spiking']:.0f}" for row in history.history) == phases


def test_sharded_weights_are_refused():
    trainer = SimpleNamespace(max_epochs=3, strategy=ShardedStrategy())
    with pytest.raises(ConfigurationError, match="cannot be sharded"):
        HybridPhases(2).setup(trainer, module(), "fit")


def test_it_learns():
    net = toy_net()
    trainer = HybridTrainer(net, 10, 5, surrogate_gradient="atan", learning_rate=0.05, **QUIET)
    history = trainer.train(*toy_loaders(shuffle=True))
    assert len(history) == 15
    assert history[9]["train/accuracy"] > 0.9
    assert history[-1]["val/accuracy"] > 0.9
    assert net.neuron.surrogate_type == "atan"


def test_a_teacher_is_followed_and_left_alone():
    teacher = Answers([3.0, -3.0])
    net = toy_net()
    trainer = HybridTrainer(net, 6, 6, learning_rate=0.05, **QUIET)
    history = trainer.train(*toy_loaders(), teacher, distillation_weight=1.0)
    x, _ = next(iter(toy_loaders()[0]))
    assert bool((net(x).mean(dim=1).argmax(dim=1) == 0).all())
    assert history[-1]["train/distillation"] < 0.1 * history[0]["train/distillation"]
    assert teacher.logits.grad is None
    assert torch.equal(teacher.logits, torch.tensor([3.0, -3.0]))
    assert not teacher.training
    assert num_hooks(net) == num_hooks(teacher) == 0


def test_the_distance_to_the_teacher_is_hintons():
    teacher = Teacher(Answers([1.0, 2.0]), 0.3, temperature=4.0)
    student = nn.Linear(2, 2)
    wrapped = nn.Sequential(student, nn.Unflatten(1, (1, 2)))
    teacher.watch([wrapped], "", torch.device("cpu"))
    outputs = wrapped(torch.rand(5, 2))[:, 0]
    p = torch.softmax(torch.tensor([1.0, 2.0]) / 4, 0)
    q = torch.softmax(outputs / 4, 1)
    expected = 0.3 * 16 * (p * (p.log() - q.log())).sum(dim=1).mean()
    torch.testing.assert_close(teacher.logits_loss(), expected)
    teacher.stop()
    assert num_hooks(wrapped) == 0


def test_features_that_are_alike_up_to_rotation_cost_nothing():
    net = toy_net()
    teacher_net = nn.Sequential(nn.Identity(), nn.Linear(4, 2))
    teacher = Teacher(teacher_net, feature_weight=1.0, layer="0")
    teacher.watch([net], "embed", torch.device("cpu"))
    x = torch.rand(6, 4)
    with torch.no_grad():  # rows of the embedding are orthonormal: similarities are kept
        net.embed.weight.copy_(torch.linalg.qr(torch.randn(16, 4))[0])
        net.embed.bias.zero_()
    net.train()(x)
    assert teacher.features_loss().item() == pytest.approx(0, abs=1e-10)
    with torch.no_grad():
        net.embed.weight[:, 0] = 0
    net(x)
    assert teacher.features_loss().item() > 1e-4
    teacher.stop()


@pytest.mark.parametrize("cut", [2, 5])
def test_a_run_resumes_in_either_phase(cut, tmp_path):
    """Cut after two epochs of the first phase, or after one of the second."""

    def fit(epochs, planned, ckpt=None):
        history = HistoryRecorder()
        trained = module()
        phases = HybridPhases(4, Answers([1.0, 0.0]))
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
def test_a_share_is_that_of_the_new_length_unless_the_network_spikes_already(cut, phases, tmp_path):
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


def test_what_it_refuses():
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
        three.train(*toy_loaders(), Answers([1.0, 2.0, 3.0]))
    with pytest.raises(ArgumentError, match="snn_epochs"):
        HybridTrainer(toy_net(), 1, 0)
