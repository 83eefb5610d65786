"""`spike_attention` inside torch: operator checks, torch.compile, torch.export."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.ops.spike_attention import spike_attention
from spikeformer.ops.spike_attention.operator import (
    spike_attention_backward_op,
    spike_attention_op,
)
from tests.ops.spike_attention.cases import interleaved, random_spikes, state_shape


def operator_arguments(mechanism, *, full):
    query, key, *value = (x.requires_grad_() for x in interleaved(mechanism, (2, 3, 4, 2, 3)))
    spikes = (query, key, value[0] if value else None)
    if not full:
        return *spikes, None, None, None, [0.9, 1.0, 0.7, 0.2]
    shape = state_shape(query, mechanism, False)
    states = [random_spikes(*shape, seed=seed).requires_grad_() for seed in (1, 2)]
    return *spikes, *states, torch.tensor([0.9, 1.0, 0.7, 0.2], requires_grad=True), []


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("mechanism", ["ssa", "qk_token", "sdsa"])
def test_operators_pass_opcheck(mechanism, full):
    arguments = operator_arguments(mechanism, full=full)
    options = ("subtract", False, "fast_sigmoid", 25.0, 0, "cpu", mechanism, 0.125, False)
    torch.library.opcheck(spike_attention_op, (*arguments, *options, True))
    constant = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments]
    out, membrane, adaptation, *bits = spike_attention_op(*constant, *options, True)
    bits = [x if given is not None else None for x, given in zip(bits, constant[:3], strict=True)]
    grads = (out, membrane, adaptation if full else None)
    torch.library.opcheck(spike_attention_backward_op, (*bits, *constant[3:], *options, *grads))


class Block(nn.Module):
    """A projection to interleaved spikes, and attention between them."""

    def __init__(self, mechanism):
        super().__init__()
        torch.manual_seed(0)
        self.mechanism = mechanism
        self.linear = nn.Linear(6, 18 if mechanism != "qk_token" else 12)
        self.decay = nn.Parameter(torch.tensor(0.9))

    def forward(self, x):
        spikes = torch.sigmoid(9 * self.linear(x)).unflatten(-1, (-1, 2, 3))
        spikes = spikes + (spikes.round() - spikes).detach()
        return spike_attention(
            *spikes.unbind(3), mechanism=self.mechanism, decay=self.decay, scale=0.5
        )[0]


def gradients(module, x):
    out = module(x)
    return out, torch.autograd.grad(out.square().sum(), list(module.parameters()))


# The whole network is compiled with inductor in the tests of `SpikingNetwork`.
@pytest.mark.parametrize("mechanism", ["ssa", "qk_token", "sdsa"])
def test_compiles_without_graph_breaks(mechanism):
    block, x = Block(mechanism), torch.randn(2, 5, 4, 6)
    expected, expected_grads = gradients(block, x)
    assert 0 < expected.mean() < 1
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    out, grads = gradients(compiled, x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mechanism", ["ssa", "qk_token", "sdsa"])
def test_exports_with_a_dynamic_batch(mechanism, tmp_path):
    block, x = Block(mechanism).eval(), torch.randn(2, 5, 4, 6)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(block, (x,), dynamic_shapes={"x": {0: batch}})
    assert "spikeformer.spike_attention.default" in str(program.graph)
    torch.export.save(program, tmp_path / "block.pt2")
    loaded = torch.export.load(tmp_path / "block.pt2").module()
    for size in (2, 5):
        x = torch.randn(size, 5, 4, 6)
        torch.testing.assert_close(loaded(x), block(x))
