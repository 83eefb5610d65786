from __future__ import annotations

import lightning as L
import pytest
import torch
from torch import nn

from spikeformer.training import HistoryRecorder
from spikeformer.training.callbacks import GradientMonitor
from spikeformer.training.callbacks.gradients import gradient_norms
from tests.training.toys import lightning_trainer, loader, module, separable, toy_net


def test_norms_are_those_of_all_parameters_of_a_layer():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2, bias=False))
    net(torch.randn(5, 3)).square().sum().backward()
    norms = gradient_norms(net)
    assert set(norms) == {"0", "2"}  # a norm's scale is no weight matrix
    both = torch.cat([p.grad.flatten() for p in net[0].parameters()])
    torch.testing.assert_close(norms["0"], both.norm())
    torch.testing.assert_close(norms["2"], net[2].weight.grad.norm())


def test_layers_without_a_gradient_are_left_out():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    net[0].requires_grad_(False)
    net(torch.randn(5, 3)).sum().backward()
    assert set(gradient_norms(net)) == {"1"}


def test_an_epoch_has_the_mean_of_its_measured_batches():
    task, seen = module(toy_net(threshold=0.3)), []

    class Spy(GradientMonitor):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            super().on_before_optimizer_step(trainer, pl_module, optimizer)
            if trainer.global_step % 2 == 0:
                seen.append({k: float(v) for k, v in gradient_norms(task.net).items()})

    recorder = HistoryRecorder()
    trainer = lightning_trainer(callbacks=[Spy(2), recorder])
    data = loader(*separable(40), batch_size=8)
    trainer.fit(task, data, data)
    assert len(seen) == 3
    (row,) = recorder.history
    for name in seen[0]:
        mean = sum(norms[name] for norms in seen) / 3
        assert row[f"grad_norm/{name}"] == pytest.approx(mean, rel=1e-5)


def test_gradients_that_are_not_finite_are_left_out():
    task, recorder = module(), HistoryRecorder()
    for parameter in task.net.parameters():
        parameter.register_hook(lambda gradient: gradient * float("inf"))

    class Forget(L.Callback):  # the weights stay finite
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            optimizer.zero_grad()

    trainer = lightning_trainer(callbacks=[GradientMonitor(1), Forget(), recorder])
    data = loader(*separable(8), batch_size=8)
    trainer.fit(task, data, data)
    assert not [name for name in recorder.history[0] if name.startswith("grad_norm/")]
