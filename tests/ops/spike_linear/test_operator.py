"""`spike_linear` inside torch: what it saves, operator checks, compile, export, autocast."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spikeformer.ops.spike_linear import cpu, spike_linear
from spikeformer.ops.spike_linear.op import spike_linear_op


@pytest.fixture(autouse=True)
def always_sparse(monkeypatch):
    monkeypatch.setattr(cpu, "sparse_wins", lambda *_: True)


def random_spikes(*shape):
    return (torch.rand(shape) < 0.3).float()


def saved_by(function):
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        function()
    return saved


def test_backward_saves_bits_in_place_of_spikes():
    spikes, layer = random_spikes(10, 12).requires_grad_(), nn.Linear(12, 5)
    saved = saved_by(lambda: spike_linear(spikes, layer.weight, layer.bias))
    assert sorted(t.nbytes for t in saved) == [10 * 12 // 8, layer.weight.nbytes]


def test_saves_only_what_a_gradient_needs():
    spikes, weight = random_spikes(10, 12), torch.randn(5, 12)
    bias = torch.randn(5, requires_grad=True)
    assert saved_by(lambda: spike_linear(spikes, weight, bias)) == []
    (saved,) = saved_by(lambda: spike_linear(spikes.clone().requires_grad_(), weight, bias))
    assert saved.data_ptr() == weight.data_ptr()
    (saved,) = saved_by(lambda: spike_linear(spikes, weight.clone().requires_grad_(), bias))
    assert saved.dtype == torch.uint8
    with torch.no_grad():
        assert saved_by(lambda: spike_linear(spikes, weight, bias)) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("with_bias", [True, False])
def test_operator_passes_opcheck(dtype, with_bias):
    spikes = random_spikes(4, 9).to(dtype).requires_grad_()
    weight = torch.randn(3, 9, dtype=dtype, requires_grad=True)
    bias = torch.randn(3, dtype=dtype, requires_grad=True) if with_bias else None
    torch.library.opcheck(spike_linear_op, (spikes, weight, bias, "cpu"))


def test_dense_multiplies_and_saves_bits():
    spikes, weight = random_spikes(4, 9), torch.randn(3, 9, requires_grad=True)
    saved = saved_by(lambda: spike_linear_op(spikes, weight, None, "dense"))
    assert [t.dtype for t in saved] == [torch.uint8]
    assert torch.equal(spike_linear_op(spikes, weight, None, "dense"), F.linear(spikes, weight))


class Block(nn.Module):
    """Two layers with a spike between them; the second sees another order of memory."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(6, 10), nn.Linear(4, 3, bias=False)
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        hidden = spike_linear(x, self.first.weight, self.first.bias) * self.scale
        spikes = (hidden > 0).to(hidden.dtype).transpose(1, 2)
        return spike_linear(spikes, self.second.weight, self.second.bias) + hidden.mean()


def gradients(module, x):
    out = module(x)
    return out, torch.autograd.grad(out.float().square().sum(), list(module.parameters()))


# The whole network is compiled with inductor in the tests of `SpikingNetwork`.
@pytest.mark.parametrize("autocast", [False, True])
def test_compiles_without_graph_breaks(autocast):
    block, x = Block(), random_spikes(2, 4, 6)
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        expected, got = gradients(block, x), gradients(compiled, x)
    torch.testing.assert_close(got, expected, rtol=1e-2 if autocast else 1e-5, atol=1e-4)


def test_compiles_once_for_many_batch_sizes():
    block, graphs = Block(), []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(block, fullgraph=True, backend=count, dynamic=True)
    for batch in (2, 3, 7):
        x = random_spikes(batch, 4, 6)
        torch.testing.assert_close(compiled(x), block(x))
    assert len(graphs) == 1


def test_exports_with_a_dynamic_batch():
    block, x = Block().eval(), random_spikes(2, 4, 6)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(block, (x,), dynamic_shapes={"x": {0: batch}})
    assert "spikeformer.spike_linear.default" in str(program.graph)
    x = random_spikes(5, 4, 6)
    torch.testing.assert_close(program.module()(x), block(x))


@pytest.mark.parametrize("backend", ["cpu", "triton", "reference"])
def test_autocast_casts_as_linear_does(backend):
    x, layer = random_spikes(5, 6).requires_grad_(), nn.Linear(6, 8)
    leaves = [x, *layer.parameters()]
    with torch.autocast("cpu", torch.bfloat16):
        got = spike_linear(x, layer.weight, layer.bias, backend=backend)
        expected = F.linear(x, layer.weight, layer.bias)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got, expected)
    factor = torch.randn(5, 8)
    grads = torch.autograd.grad((got * factor).sum(), leaves)
    assert {grad.dtype for grad in grads} == {torch.float32}
    wanted = torch.autograd.grad((expected * factor).sum(), leaves)
    torch.testing.assert_close(grads, wanted, rtol=1.6e-2, atol=1e-2)
