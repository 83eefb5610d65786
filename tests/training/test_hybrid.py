"""Two-phase training in one call."""

from __future__ import annotations

import torch

from spikeformer.training import HybridTrainer
from tests.training.callbacks.test_hybrid import ConstantLogits
from tests.training.toys import QUIET, num_hooks, toy_loaders, toy_net


def test_hybrid_trainer_learns():
    net = toy_net()
    trainer = HybridTrainer(net, 10, 5, surrogate_gradient="atan", learning_rate=0.05, **QUIET)
    history = trainer.train(*toy_loaders(shuffle=True))
    assert len(history) == 15
    assert history[9]["train/accuracy"] > 0.9
    assert history[-1]["val/accuracy"] > 0.9
    assert net.neuron.surrogate_type == "atan"


def test_hybrid_trainer_follows_its_teacher_and_leaves_it_alone():
    teacher = ConstantLogits([3.0, -3.0])
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
