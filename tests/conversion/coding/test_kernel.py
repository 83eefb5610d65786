from __future__ import annotations

import pytest
import torch

from spikeformer.conversion import Coding, fire
from spikeformer.conversion.coding.neuron import _stepwise


@pytest.mark.parametrize(("encoding", "mantissa"), [("rate", 0), ("rate", 1), ("binary", 0)])
@pytest.mark.parametrize("neuron_model", ["IF", "LIF"])
@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3, 5), (2, 4099), (3, 2, 5, 33)])
def test_the_kernel_does_what_the_equations_say(encoding, mantissa, neuron_model, shape):
    x = torch.randn(5, *shape)
    theta = torch.rand(shape[-1]) + 0.5
    coding = Coding(encoding, neuron_model, tau_mem=10.0, mantissa=mantissa)
    ours, reference = (f(x, theta, None, 1, coding) for f in (fire, _stepwise))
    # One rounding may put a membrane on the other side of a level.
    differs = ((ours.rates - reference.rates).abs() > 1e-5).float().mean()
    assert differs < 1e-3
    assert (ours.events - reference.events).abs().max() <= 1


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 1, 3), (3, 1, 0, 2), (1, 3, 2, 0)])
@pytest.mark.parametrize("heads", [1, 3])
def test_memory_layout_and_broadcasting_do_not_matter(axes, heads):
    x = torch.randn(4, 2, 3, 5, 6).permute(0, *(axis + 1 for axis in axes))
    shape = x.shape[1:]
    theta = torch.rand(shape[1] if heads > 1 else 1, 1, shape[3]) + 0.5
    assert torch.equal(
        fire(x, theta, None, 1, Coding()).rates,
        fire(x.contiguous(), theta.expand(shape).contiguous(), None, 1, Coding()).rates,
    )


@pytest.mark.parametrize("shape", [(7,), (2, 3, 5), (2, 4099)])
def test_events_are_written_as_multiples_too(shape):
    x = torch.randn(5, *shape)
    theta = torch.rand(shape[-1]) + 0.5
    fired = fire(x, theta, None, 1, Coding(), (True, True))
    steps = torch.arange(1, 6).reshape(-1, *[1] * len(shape))
    sent = fired.rates.diff(dim=0, prepend=torch.zeros(1, *shape)) * steps / theta * 128
    assert (sent.round() == 128).any()
    assert torch.equal(fired.multiples.float(), (sent.round() + 128).clamp(max=255))
    alone = fire(x, theta, None, 1, Coding(), (False, True))
    assert torch.equal(alone.multiples, fired.multiples)
    assert torch.equal(alone.state.rate, fired.rates[-1])
    assert len(alone.rates) == 0
