"""Training and evaluation mode are compared on the same samples, and nothing is left changed."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from spikeformer.neurons import LifNeuron
from spikeformer.validation import ComprehensiveValidator, ModesSubject, running_norms
from spikeformer.validation.checks.modes import modes_agree
from spikeformer.validation.probe import ModeRun
from tests.validation.networks import HARD, vit
from tests.validation.samples import IMAGES


def settled(net, inputs=IMAGES):
    """A network whose running statistics are torch's own average over the samples."""
    update_bn([inputs], net)
    return net


def silent():
    """A network whose running variances are far too large."""
    net = settled(vit())
    for norm in running_norms(net):
        norm.running_var.fill_(1e4)
    return net


class OverTime(nn.Module):
    """A network of one batch norm, for inputs of (batch, classes)."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        return self.norm(x)[:, None].expand(-1, 3, -1)


def test_settled_statistics_agree():
    net, validator = settled(vit()), ComprehensiveValidator("comprehensive")
    training, evaluation = ModesSubject(net, IMAGES).modes
    assert training.firing_rate == pytest.approx(evaluation.firing_rate, rel=0.05)
    assert training.firing_rate > 0
    assert validator.validate_modes(net, IMAGES, targets=torch.arange(64) % 10) == []


def test_unsettled_statistics_are_a_warning_with_a_remedy():
    net = silent()
    training, evaluation = ModesSubject(net, IMAGES).modes
    (found,) = ComprehensiveValidator().validate_modes(net, IMAGES)
    assert found.level.value == "warning"
    assert f"{training.firing_rate:.2%}"[:-1] in found.message
    assert f"{evaluation.firing_rate:.2%}"[:-1] in found.message
    assert found.value == evaluation.firing_rate < training.firing_rate / 1.5
    assert "pipeline=recalibrate" in found.remedy
    assert ComprehensiveValidator("basic").validate_modes(net, IMAGES) == []


@pytest.mark.parametrize(
    ("training", "evaluation", "differ"),
    [
        (ModeRun(0.30, None), ModeRun(0.21, None), False),  # a factor of 1.4
        (ModeRun(0.33, None), ModeRun(0.21, None), True),  # of 1.6
        (ModeRun(0.21, None), ModeRun(0.33, None), True),
        (ModeRun(0.030, None), ModeRun(0.012, None), False),  # 1.8 percentage points
        (ModeRun(0.035, None), ModeRun(0.012, None), True),  # 2.3
        (ModeRun(0.2, 0.90), ModeRun(0.2, 0.81), False),
        (ModeRun(0.2, 0.90), ModeRun(0.2, 0.79), True),
        (ModeRun(0.2, 0.79), ModeRun(0.2, 0.90), True),
    ],
)
def test_how_far_modes_may_lie_apart(training, evaluation, differ):
    subject = ModesSubject(nn.Identity(), IMAGES)
    subject.modes = (training, evaluation)
    assert bool(list(modes_agree(subject))) == differ


def test_rates_are_those_of_the_two_modes():
    """Beside a network without dropout that is put into both modes by hand."""
    net = nn.Sequential(
        nn.Linear(4, 16), nn.Flatten(0, 1), nn.BatchNorm1d(16), nn.Unflatten(0, (8, 4))
    )
    net.append(LifNeuron(tau_mem=2.0))
    net[2].running_mean.fill_(0.5)
    x = torch.rand(8, 4, 4)
    with torch.no_grad():
        by_hand = [float(copy.deepcopy(net).train(mode)(x).mean()) for mode in (True, False)]
    modes = ModesSubject(net, x).modes
    assert [mode.firing_rate for mode in modes] == pytest.approx(by_hand)
    assert by_hand[0] != by_hand[1]


def test_accuracies_are_counted_by_hand():
    classes = torch.tensor([0, 1] * 8)
    x = nn.functional.one_hot(classes, 2).float()
    net = OverTime()
    net.norm.running_mean.copy_(torch.tensor([5.0, 0.0]))  # so that class 1 always wins
    training, evaluation = ModesSubject(net, x, classes).modes
    assert (training.accuracy, evaluation.accuracy) == (1.0, 0.5)
    (found,) = ComprehensiveValidator().validate_modes(net, x, targets=classes)
    assert "accuracy 100.0" in found.message.replace("\N{NO-BREAK SPACE}", " ")
    (labelled,) = ComprehensiveValidator().validate_modes(Named(net), {"x": x, "labels": classes})
    assert labelled == found
    # Without classes there is nothing to say: no neuron fires.
    assert ComprehensiveValidator().validate_modes(net, x) == []
    assert ModesSubject(net, x, x).modes[0].accuracy is None


class Named(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def test_dropout_is_no_difference():
    layers = [nn.Linear(4, 64), nn.Dropout(0.9), HARD(threshold=1.0)]
    net = nn.Sequential(*layers[:1], Tokens(64), *layers[1:])
    x = torch.rand(64, 4, 4)
    assert ComprehensiveValidator().validate_modes(settled(net, x), x) == []


class Tokens(nn.Module):
    """A batch norm over batch and time."""

    def __init__(self, features):
        super().__init__()
        self.norm = nn.BatchNorm1d(features)

    def forward(self, x):
        return 2 * self.norm(x.flatten(0, 1)).view(x.shape)


def test_without_running_statistics_nothing_runs():
    batch = partial(nn.BatchNorm1d, 4, track_running_stats=False)
    assert ModesSubject(nn.Sequential(nn.Linear(4, 4), batch()), torch.rand(3, 4)).modes is None


def test_what_does_not_run_is_for_another_check():
    assert list(modes_agree(ModesSubject(vit(), torch.rand(2, 7)))) == []


def test_the_network_and_the_random_streams_are_as_they_were():
    net = silent()
    net.train()
    net.backbone.blocks.eval()
    before = copy.deepcopy(net.state_dict())
    modes = [module.training for module in net.modules()]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert ComprehensiveValidator().validate_modes(net, IMAGES)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert not any(module._forward_hooks for module in net.modules())
