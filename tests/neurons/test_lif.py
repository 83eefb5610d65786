from __future__ import annotations

import importlib
import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikeformer.error_handling import ArgumentError, BackendUnavailableError
from spikeformer.neurons import LifNeuron, LifState
from spikeformer.ops import SURROGATES, dispatch
from tests.neurons import scalar

resets = pytest.mark.parametrize("reset", ["subtract", "zero"])


@resets
@pytest.mark.parametrize("threshold", [1.0, 0.6])
@pytest.mark.parametrize("tau_mem", [1.5, 20.0])
def test_equals_a_scalar_loop(reset, threshold, tau_mem):
    current = 2 * torch.randn(3, 9, 4, 2, dtype=torch.float64)
    start = torch.randn(3, 4, 2, dtype=torch.float64)
    neuron = LifNeuron(threshold, tau_mem, reset)
    spikes, state = neuron(current, LifState(start))
    assert 0.1 < spikes.mean() < 0.9
    decay = math.exp(-1 / tau_mem)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in start.shape)).tolist():
        b, *f = index
        series = current[(b, slice(None), *f)].tolist()
        v0 = start[tuple(index)].item()
        expected, v, _ = scalar.lif(series, decay, threshold, reset, v0)
        assert spikes[(b, slice(None), *f)].tolist() == expected
        assert state.membrane[tuple(index)].item() == v


@given(st.floats(0.02, 3.0), st.floats(1.0, 50.0))
def test_interval_between_spikes_under_constant_current(current, tau_mem):
    # v[n] = I (1 - b^n) / (1 - b) after a reset to zero; it fires when that reaches 1.
    decay = math.exp(-1 / tau_mem)
    limit = current / (1 - decay)
    assume(abs(limit - 1) > 1e-3)
    spikes = LifNeuron(1.0, tau_mem, "zero")(torch.full((1, 200, 1), current))
    times = spikes.flatten().nonzero().flatten().tolist()
    if limit < 1:
        assert times == []
        return
    steps = math.log(1 - 1 / limit) / math.log(decay)
    assume(abs(steps - round(steps)) > 1e-3)
    assert times == list(range(math.ceil(steps) - 1, 200, math.ceil(steps)))


def test_a_membrane_decays_freely_below_threshold():
    neuron = LifNeuron(tau_mem=7.0)
    for steps in (1, 5, 40):
        spikes, state = neuron(torch.zeros(1, steps, 1), LifState(torch.tensor([[0.9]])))
        assert spikes.sum() == 0
        assert state.membrane.item() == pytest.approx(0.9 * math.exp(-steps / 7.0), rel=1e-5)


def test_soft_reset_keeps_what_exceeds_the_threshold_and_hard_reset_drops_it():
    current = torch.tensor([[[1.75]]])
    rest = LifState(torch.zeros(1, 1))
    assert LifNeuron(reset="subtract")(current, rest)[1].membrane.item() == 0.75
    assert LifNeuron(reset="zero")(current, rest)[1].membrane.item() == 0.0


def test_input_is_not_scaled_and_the_threshold_itself_fires():
    # One step of a current of exactly 1 fires: no factor (1 - beta), and >= rather than >.
    assert LifNeuron(tau_mem=20.0)(torch.ones(1, 1, 1)).item() == 1.0
    below = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    assert LifNeuron(tau_mem=20.0)(below.view(1, 1, 1)).item() == 0.0


@pytest.mark.parametrize("surrogate_type", SURROGATES)
@pytest.mark.parametrize("slope", [None, 0.8])
def test_the_gradient_is_the_chosen_surrogate(surrogate_type, slope):
    surrogate = SURROGATES[surrogate_type]
    x = torch.linspace(-1, 3, 41, dtype=torch.float64).view(1, 1, -1).requires_grad_()
    neuron = LifNeuron(1.0, surrogate_type=surrogate_type, surrogate_slope=slope)
    (grad,) = torch.autograd.grad(neuron(x).sum(), x)
    expected = surrogate.derivative(x.detach() - 1.0, slope or surrogate.default_slope)
    torch.testing.assert_close(grad, expected)


@resets
@pytest.mark.parametrize("detach_reset", [False, True])
def test_the_reset_passes_a_gradient_unless_detached(reset, detach_reset):
    current = torch.tensor([[[1.25]]], requires_grad=True)
    neuron = LifNeuron(reset=reset, detach_reset=detach_reset, surrogate_type="triangle")
    _, state = neuron(current, LifState(torch.zeros(1, 1)))
    (grad,) = torch.autograd.grad(state.membrane.sum(), current)
    through = 0.0 if detach_reset else 0.75  # the triangle at 0.25 above threshold
    expected = 1 - through if reset == "subtract" else -1.25 * through
    assert grad.item() == pytest.approx(expected)


@resets
def test_gradcheck_with_a_smooth_spike(reset, monkeypatch):
    smooth = lambda x, surrogate, slope: torch.sigmoid(4 * x)  # noqa: E731
    monkeypatch.setattr(importlib.import_module("spikeformer.ops.lif.reference"), "spike", smooth)
    neuron = LifNeuron(0.8, 3.0, reset)

    def run(current, membrane):
        spikes, state = neuron(current, LifState(membrane))
        return spikes, state.membrane

    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((2, 4, 3), (2, 3))]
    assert torch.autograd.gradcheck(run, inputs)


def test_backends_agree_and_an_absent_one_is_refused(monkeypatch):
    monkeypatch.setattr(dispatch, "_TRITON_INTERPRETS", False)
    # A long decay time and coarse currents keep membranes off the threshold.
    current = (torch.randn(4, 20, 33) * 4).round() / 4
    spikes = LifNeuron(backend="auto")(current)
    assert torch.equal(spikes, LifNeuron(backend="reference")(current))
    if not torch.cuda.is_available():
        with pytest.raises(BackendUnavailableError, match="triton"):
            LifNeuron(backend="triton")(current)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reset": "hard"}, "`reset`.*'subtract', 'zero'"),
        ({"surrogate_type": "step"}, "`surrogate_type`.*'fast_sigmoid'"),
        ({"backend": "gpu"}, "`backend`.*'auto'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        LifNeuron(**arguments)


def test_repr():
    text = repr(LifNeuron(0.5, 3.0, "zero"))
    assert text == "LifNeuron(threshold=0.5, tau_mem=3.0, reset='zero')"
