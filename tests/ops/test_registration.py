"""What operators share: autocast, absent tensors, and gradients of what was given."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from spikeformer.ops import lif
from spikeformer.ops.lif import Dynamics
from spikeformer.ops.lif.operator import lif_op
from spikeformer.ops.registration import autocast, float32_like


def test_autocast_casts_where_it_is_on():
    x, weight = torch.ones(2), torch.ones(3)
    assert autocast(x, weight, None) == (x, weight, None)
    with torch.autocast("cpu", torch.bfloat16):
        cast = autocast(x, weight, None)
    assert [tensor.dtype for tensor in cast[:2]] == [torch.bfloat16] * 2
    assert cast[2] is None


def test_float32_like_is_empty_for_what_is_absent():
    present, absent = float32_like(torch.ones(1), torch.ones(2, 3, dtype=torch.bfloat16), None)
    assert (present.shape, present.dtype) == ((2, 3), torch.float32)
    assert absent.shape == (0,)


def test_differentiate_gives_gradients_of_what_was_given():
    current, membrane = torch.rand(2, 3, 4).requires_grad_(), torch.rand(2, 4).requires_grad_()
    numbers = [0.9, 1.0, 0.0, 0.0]
    dynamics = Dynamics(numbers, "subtract", False, "atan", 2.0, 0, "cpu")
    neuron = dynamics.for_operator(current.device)
    _, final, _ = lif_op(current, membrane, None, *neuron, True)
    # Nobody asks for the gradient of the spikes, which counts as zero.
    grads = torch.autograd.grad(final.sum(), (current, membrane))
    assert [grad.shape for grad in grads] == [current.shape, membrane.shape]
    assert all(grad.abs().sum() > 0 for grad in grads)


def test_the_operator_runs_where_something_watches_and_not_elsewhere():
    current = torch.rand(2, 3, 4, requires_grad=True)
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func._schema.name)
            return func(*args, **(kwargs or {}))

    def step():
        return torch.autograd.grad(lif(current, decay=0.9, backend="cpu")[0].sum(), current)[0]

    straight = step()
    with Watch():
        assert torch.equal(step(), straight)
    assert {"spikeformer::lif", "spikeformer::lif_backward"} <= set(seen)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    assert "spikeformer::lif_backward" in {event.key for event in profiled.key_averages()}


def test_there_is_no_second_derivative():
    current = torch.rand(2, 3, 4, requires_grad=True)
    fired, _ = lif(current, decay=0.9, backend="cpu")
    (grad,) = torch.autograd.grad(fired.square().sum(), current, create_graph=True)
    with pytest.raises(RuntimeError, match="autograd formula"):
        grad.sum().backward()
