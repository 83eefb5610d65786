"""Runs `norm_lif` with random input and collects everything it returns, forward and backward."""

from __future__ import annotations

import torch
from torch import nn

from spikeformer.ops import LifState, norm_lif
from tests.ops.devices import device_of

NEURON = {"decay": 0.7, "threshold": 0.9}


def random_input(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * 1.5 + 0.7


def batch_norm(channels):
    """A batch norm whose every number is its own."""
    norm = nn.BatchNorm1d(channels)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.copy_(torch.rand(channels, generator=generator) + 0.3)
    return norm


def results(x, axis, backend, *, training=True, **neuron):
    """Spikes, state, running statistics and the gradients of a random scalar, by name."""
    generator, device = torch.Generator().manual_seed(1), device_of(backend)

    def rand(shape):
        return torch.rand(shape, generator=generator).to(device)

    x, norm = x.to(device), batch_norm(x.shape[axis]).to(device)
    state_shape = x.shape[:1] + x.shape[2:]
    leaves = {
        "current": x.detach().requires_grad_(),
        "weight": norm.weight,
        "bias": norm.bias,
        "decay": torch.tensor(0.7, device=device, requires_grad=True),
        "threshold": torch.tensor(0.9, device=device, requires_grad=True),
        "membrane": rand(state_shape).requires_grad_(),
    }
    adaptation = None
    if "adaptation_decay" in neuron:
        adaptation = leaves["adaptation"] = rand(state_shape).requires_grad_()
    spikes, final = norm_lif(
        leaves["current"],
        LifState(leaves["membrane"], adaptation),
        weight=norm.weight,
        bias=norm.bias,
        running_mean=norm.running_mean,
        running_var=norm.running_var,
        training=training,
        channel_axis=axis,
        decay=leaves["decay"],
        threshold=leaves["threshold"],
        backend=backend,
        **neuron,
    )
    scalar = (spikes * rand(x.shape).sub(0.5).to(x.dtype)).float().sum()
    scalar = scalar + (final.membrane * rand(state_shape)).sum()
    grads = torch.autograd.grad(scalar, list(leaves.values()))
    outcome = {
        "spikes": spikes.detach(),
        "membrane": final.membrane.detach(),
        "running mean": norm.running_mean,
        "running variance": norm.running_var,
    } | {f"d {name}": grad for name, grad in zip(leaves, grads, strict=True)}
    return {name: value.cpu() for name, value in outcome.items()}


def assert_equal_results(got, expected):
    """Spikes alike; the rest to the rounding of its dtype and of sums over the batch."""
    assert got.keys() == expected.keys()
    assert torch.equal(got["spikes"], expected["spikes"])
    for name, value in got.items():
        assert value.shape == expected[name].shape, name
        assert value.dtype == expected[name].dtype, name
        half = value.dtype in (torch.bfloat16, torch.float16)
        # Gradients of a batch's sums are small differences of large numbers.
        scale = max(1.0, expected[name].abs().max().item()) if value.numel() else 1.0
        torch.testing.assert_close(
            value,
            expected[name],
            rtol=2e-2 if half else 1e-4,
            atol=(5e-3 if half else 2e-5) * scale,
            msg=lambda m, n=name: f"{n}: {m}",
        )
