from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.neurons import (
    NEURONS,
    AdLifNeuron,
    CubaLifNeuron,
    IntegerLifNeuron,
    LifNeuron,
    LifState,
    ParametricLifNeuron,
    SpikingNeuron,
)
from spikeformer.neurons.base import decay_of

KINDS = {
    "lif": LifNeuron,
    "lif_hard": partial(LifNeuron, reset="zero"),
    "adlif": partial(AdLifNeuron, tau_adp=5.0, beta=0.3),
    "cuba": partial(CubaLifNeuron, tau_syn=2.0),
    "plif": ParametricLifNeuron,
    "ilif": IntegerLifNeuron,
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def test_registry():
    assert {"LIF": LifNeuron, "AdLIF": AdLifNeuron}.items() <= NEURONS.items()
    assert NEURONS["PLIF"] is ParametricLifNeuron
    assert NEURONS["ILIF"] is IntegerLifNeuron
    assert all(issubclass(kind, SpikingNeuron) for kind in NEURONS.values())


def test_decay_of():
    assert decay_of("tau", 20.0) == math.exp(-1 / 20)
    assert decay_of("tau", math.inf) == 1.0
    with pytest.raises(ArgumentError, match="`tau_mem`"):
        decay_of("tau_mem", 0.0)


@kinds
def test_two_halves_equal_the_whole(kind):
    neuron, current = kind(tau_mem=4.0), torch.randn(2, 11, 3, 2)
    rest = neuron.initial_state(current)
    whole, final = neuron(current, rest)
    first, state = neuron(current[:, :4], rest)
    second, last = neuron(current[:, 4:], state)
    assert 0 < whole.sum() < whole.numel()
    assert torch.equal(torch.cat([first, second], dim=1), whole)
    assert all(torch.equal(a, b) for a, b in zip(last, final, strict=True) if a is not None)
    # The cut must matter: starting again from rest gives something else.
    assert not torch.equal(neuron(current[:, 4:]), second)


@kinds
def test_a_call_without_state_starts_from_rest_and_keeps_nothing(kind):
    neuron, current = kind(tau_mem=4.0), torch.randn(2, 6, 5)
    spikes = neuron(current)
    assert isinstance(spikes, torch.Tensor)
    assert torch.equal(neuron(current), spikes)
    again, state = neuron(current, neuron.initial_state(current))
    assert torch.equal(again, spikes)
    assert isinstance(state, LifState)
    assert set(neuron.state_dict()) <= {"decay_logit"}


@kinds
@pytest.mark.parametrize("shape", [(1, 1), (0, 3, 4), (2, 1, 3), (2, 3, 0), (1, 2, 3, 4, 5)])
def test_shapes(kind, shape):
    neuron, current = kind(), torch.rand(shape)
    spikes, state = neuron(current, neuron.initial_state(current))
    assert spikes.shape == shape
    assert state.membrane.shape == shape[:1] + shape[2:]
    assert neuron(current).shape == shape


@kinds
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_spikes_have_the_dtype_of_the_current(kind, dtype):
    neuron, current = kind().to(dtype), torch.rand(2, 5, 3).to(dtype)
    spikes, state = neuron(current, neuron.initial_state(current))
    assert spikes.dtype == dtype
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert state.membrane.dtype == neuron.initial_state(current).membrane.dtype == wide


@kinds
@pytest.mark.parametrize(
    "current", [torch.rand(3), torch.rand(1, 0, 2), torch.ones(1, 2, 3, dtype=torch.int64)]
)
def test_a_current_that_is_none_is_refused(kind, current):
    with pytest.raises(SpikingDynamicsError, match="Expected a floating-point current"):
        kind()(current)


@kinds
def test_a_state_of_another_batch_is_refused(kind):
    neuron = kind()
    state = neuron.initial_state(torch.rand(1, 2, 4))
    with pytest.raises(SpikingDynamicsError, match=r"state of shape \(3, 4\).*got \(1, 4\)"):
        neuron(torch.rand(3, 2, 4), state)


def test_a_resting_state_needs_a_current_with_time():
    with pytest.raises(ArgumentError, match="batch, timesteps"):
        LifNeuron().initial_state(torch.rand(3))


@kinds
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_check_finite(kind, poison):
    current = torch.zeros(2, 3, 4)
    current[1, 2, 3] = poison
    kind()(current)
    with pytest.raises(SpikingDynamicsError, match="1 of 24 currents are NaN or Inf"):
        kind(check_finite=True)(current)
    kind(check_finite=True)(torch.zeros(2, 3, 4))


@kinds
@pytest.mark.parametrize(
    "arguments",
    [{name: value} for name in ("threshold", "tau_mem") for value in (0.0, -1.0, math.nan)],
)
def test_values_out_of_range(kind, arguments):
    (name,) = arguments
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        kind(**arguments)


@kinds
def test_a_printed_neuron_tells_its_settings(kind):
    text = repr(kind(threshold=0.75, tau_mem=3.0))
    assert "threshold=0.75" in text
    assert "tau_mem=3.0" in text


@kinds
def test_compiles_as_one_graph(kind):
    neuron = kind(tau_mem=4.0)
    layer = nn.Sequential(nn.Linear(3, 3), neuron)
    current = 3 * torch.randn(2, 5, 3)
    expected = layer(current)
    expected_grad = torch.autograd.grad(expected.sum(), layer[0].weight)[0]
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    spikes = compiled(current)
    assert expected.sum() > 0
    torch.testing.assert_close(spikes, expected)
    grad = torch.autograd.grad(spikes.sum(), layer[0].weight)[0]
    torch.testing.assert_close(grad, expected_grad)
