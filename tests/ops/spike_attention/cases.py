"""Runs `spike_attention` with random spikes and collects everything it returns, and gradients."""

from __future__ import annotations

import torch

from spikeformer.ops import LifState
from spikeformer.ops.spike_attention import spike_attention

# Every mechanism with and without `causal`; "qk_token" has no use for it.
CASES = [("ssa", False), ("ssa", True), ("qk_token", False), ("sdsa", False), ("sdsa", True)]


def random_spikes(*shape, rate=0.4, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator) < rate).to(dtype)


def interleaved(mechanism, shape=(2, 4, 6, 2, 8), **options):
    """Query, key and value as they leave the projection: views of one buffer."""
    batch, timesteps, tokens, heads, channels = shape
    count = 2 if mechanism == "qk_token" else 3
    buffer = random_spikes(batch, timesteps, tokens, count, heads, channels, **options)
    return buffer.unbind(3)


def state_shape(query, mechanism, causal):
    batch, _, tokens, heads, channels = query.shape
    if mechanism == "qk_token":
        return batch, tokens, heads
    return batch, tokens if causal or mechanism == "ssa" else 1, heads, channels


def results(
    spikes, backend, mechanism, causal=False, *, adaptive=False, learnable=True, seed=1, **options
):
    """Spikes, final state and the gradients of a random scalar of both, by name."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.promote_types(spikes[0].dtype, torch.float32)

    def rand(shape):
        return torch.rand(shape, generator=generator).to(wide)

    leaves = {}
    for name, x in zip("qkv", spikes, strict=False):
        # Detached views keep their strides.
        leaves[name] = x.detach().requires_grad_()
    inputs = list(leaves.values())
    parameters = {"decay": 0.7, "threshold": 1.25}
    if adaptive:
        parameters |= {"adaptation_decay": 0.6, "adaptation_strength": 0.3}
    if learnable:
        parameters = {
            name: torch.tensor(value, dtype=wide, requires_grad=True)
            for name, value in parameters.items()
        }
        leaves |= parameters
    shape = state_shape(spikes[0], mechanism, causal)
    leaves["membrane"] = rand(shape).requires_grad_()
    if adaptive:
        leaves["adaptation"] = rand(shape).requires_grad_()
    state = LifState(leaves["membrane"], leaves.get("adaptation"))
    out, final = spike_attention(
        *inputs,
        state=state,
        mechanism=mechanism,
        causal=causal,
        backend=backend,
        **parameters,
        **options,
    )
    scalar = (out * (rand(out.shape) - 0.5)).sum() + (final.membrane * rand(shape)).sum()
    if adaptive:
        scalar = scalar + (final.adaptation * rand(shape)).sum()
    grads = torch.autograd.grad(scalar, list(leaves.values()))
    collected = {"spikes": out.detach(), "final membrane": final.membrane.detach()}
    if adaptive:
        collected["final adaptation"] = final.adaptation.detach()
    return collected | {f"d {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def assert_matches_reference(spikes, kernel, mechanism, causal=False, **options):
    """Spikes and states are equal, and gradients to rounding."""
    expected = results(spikes, "reference", mechanism, causal, **options)
    got = results(spikes, kernel, mechanism, causal, **options)
    assert got.keys() == expected.keys()
    if spikes[0].numel() > 100:
        assert 0 < expected["spikes"].sum() < expected["spikes"].numel()
    half = {torch.bfloat16: 1.6e-2, torch.float16: 2e-3}
    for name, value in got.items():
        assert value.shape == expected[name].shape, name
        assert value.dtype == expected[name].dtype, name
        if name.startswith("d "):
            rtol = half.get(spikes[0].dtype, 1e-4)
            # Many gradients are summed in another order.
            atol = rtol * expected[name].abs().max().item() if value.numel() else 0.0
            torch.testing.assert_close(value, expected[name], rtol=rtol, atol=atol, msg=name)
        else:
            assert torch.equal(value, expected[name]), name
