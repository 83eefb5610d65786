"""What neurons say of themselves to ops that have neurons inside."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.neurons import AdLifNeuron, IntegerLifNeuron, LifNeuron, ParametricLifNeuron
from spikeformer.ops import lif

KINDS = {
    "lif": partial(LifNeuron, 0.8, 6.0),
    "options": partial(LifNeuron, reset="zero", surrogate_type="atan", surrogate_slope=3.0),
    "detached": partial(LifNeuron, detach_reset=True, backend="reference"),
    "adlif": partial(AdLifNeuron, 0.8, tau_adp=9.0, beta=0.4),
    "plif": partial(ParametricLifNeuron, tau_mem=3.0),
    "ilif": partial(IntegerLifNeuron, 0.8, 6.0, 3),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_dynamics_make_the_op_do_what_the_neuron_does(kind):
    neuron, current = kind(), 2 * torch.randn(2, 9, 5)
    current.requires_grad_()
    leaves = [current, *neuron.parameters()]
    results = [neuron(current, neuron.initial_state(current)), lif(current, **neuron.dynamics())]
    (spikes, state), (expected, expected_state) = results
    assert 0 < spikes.sum() < spikes.numel()
    assert torch.equal(spikes, expected)
    assert all(
        torch.equal(a, b) for a, b in zip(state, expected_state, strict=True) if a is not None
    )
    grads = [torch.autograd.grad(s.square().sum(), leaves) for s, _ in results]
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_dynamics_name_every_argument_of_the_op():
    for kind in KINDS.values():
        assert kind().dynamics().keys() == lif.__kwdefaults__.keys() - {"with_state"} | {"decay"}


class _Leakier(LifNeuron):
    """Another equation: half of the current is lost."""

    def integrate(self, current, state):
        return super().integrate(current / 2, state)


class _Louder(LifNeuron):
    """Other spikes: twos instead of ones."""

    def forward(self, current, state=None, **kwargs):
        return 2 * super().forward(current, state, **kwargs)


@pytest.mark.parametrize("kind", [_Leakier, _Louder, partial(LifNeuron, check_finite=True)])
def test_neurons_that_must_be_called_have_no_dynamics(kind):
    assert kind().dynamics() is None


def test_a_subclass_may_call_the_integrate_it_changes():
    current = torch.full((1, 6, 1), 2.0)
    assert torch.equal(_Leakier()(current), LifNeuron()(current / 2))


@pytest.mark.parametrize(
    "register",
    [
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    ],
)
def test_a_hooked_neuron_has_no_dynamics(register):
    neuron = LifNeuron()
    handle = getattr(neuron, register)(lambda *_: None)
    assert neuron.dynamics() is None
    handle.remove()
    assert neuron.dynamics() is not None
