"""`lif` inside torch: operator checks, torch.compile, torch.export, autocast."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.ops import dispatch, lif
from spikeformer.ops.lif.operator import lif_backward_op, lif_op
from tests.ops.devices import device_of
from tests.ops.lif.cases import random_current

NUMBERS = [0.9, 1.0, 0.7, 0.2]


def operator_arguments(dtype, device, *, full):
    current = random_current(2, 5, 7, dtype=dtype).to(device).requires_grad_()
    if not full:
        return current, None, None, None, NUMBERS
    state = [random_current(2, 7, seed=seed).to(device).requires_grad_() for seed in (1, 2)]
    return current, *state, torch.tensor(NUMBERS, device=device, requires_grad=True), []


@pytest.mark.parametrize("kernel", ["cpu", "triton"])
@pytest.mark.parametrize(
    ("dtype", "full", "max_spikes"),
    [(torch.float32, False, 0), (torch.bfloat16, True, 0), (torch.float32, False, 4)],
)
def test_operators_pass_opcheck(dtype, full, max_spikes, kernel):
    arguments = operator_arguments(dtype, device_of(kernel), full=full)
    options = ("subtract", False, "fast_sigmoid", 25.0, max_spikes, kernel)
    torch.library.opcheck(lif_op, (*arguments, *options, True))
    constant = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments]
    grads = (constant[0], constant[1], constant[2])
    torch.library.opcheck(lif_backward_op, (*constant, *options, *grads))


class Block(nn.Module):
    """Learnable decay, a state used as output, and memory in another order."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(6, 6)
        self.decay = nn.Parameter(torch.tensor(0.9))

    def forward(self, x):
        spikes, state = lif(2 * self.linear(x), decay=self.decay)
        spikes, _ = lif(
            spikes.transpose(2, 3),
            state._replace(membrane=state.membrane.transpose(1, 2)),
            decay=0.8,
            reset="zero",
            threshold=0.5,
        )
        return spikes + state.membrane.transpose(1, 2).unsqueeze(1)


def gradients(module, x):
    out = module(x)
    return out, torch.autograd.grad(out.square().sum(), list(module.parameters()))


# The whole network is compiled with inductor in the tests of `SpikingNetwork`.
def test_compiles_without_graph_breaks():
    block, x = Block(), random_current(2, 5, 4, 6)
    expected, expected_grads = gradients(block, x)
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    out, grads = gradients(compiled, x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-4, atol=1e-5)


def test_compiles_once_for_many_batch_sizes():
    block, graphs = Block(), []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(block, fullgraph=True, backend=count, dynamic=True)
    for batch in (2, 3, 7):
        x = random_current(batch, 5, 4, 6)
        torch.testing.assert_close(compiled(x), block(x))
    assert len(graphs) == 1


def test_exports_with_a_dynamic_batch(tmp_path):
    block, x = Block().eval(), random_current(2, 5, 4, 6)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(block, (x,), dynamic_shapes={"x": {0: batch}})
    assert "spikeformer.lif.default" in str(program.graph)
    torch.export.save(program, tmp_path / "block.pt2")
    loaded = torch.export.load(tmp_path / "block.pt2").module()
    for size in (2, 5):
        x = random_current(size, 5, 4, 6)
        torch.testing.assert_close(loaded(x), block(x))


def test_unavailable_backend_is_named_under_compile(monkeypatch):
    monkeypatch.setattr(dispatch, "_TRITON_INTERPRETS", False)
    compiled = torch.compile(
        lambda x: lif(x, decay=0.5, backend="triton")[0], fullgraph=True, backend="eager"
    )
    with pytest.raises(Exception, match="'triton'"):
        compiled(torch.ones(1, 2, 3))


def test_autocast_keeps_membranes_in_float32():
    block, x = nn.Linear(6, 6), random_current(2, 5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        spikes, state = lif(block(x), decay=0.9)
        expected, _ = lif(block(x), decay=0.9, backend="reference")
    assert (spikes.dtype, state.membrane.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(spikes, expected)
    spikes.float().sum().backward()
    assert block.weight.grad.dtype == torch.float32
