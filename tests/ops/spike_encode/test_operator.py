"""`spike_encode` inside torch: operator checks, torch.compile, torch.export."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.ops.spike_encode import spike_encode
from spikeformer.ops.spike_encode.op import spike_encode_op
from tests.ops.devices import device_of


@pytest.mark.parametrize("backend", ["cpu", "triton"])
@pytest.mark.parametrize(("code", "dtype"), [("delta", torch.float32), ("poisson", torch.bfloat16)])
def test_operator_passes_opcheck(backend, code, dtype):
    device = device_of(backend)
    key = torch.tensor([1, 2], device=device) if code == "poisson" else None
    x = torch.rand(2, 1, 7).to(device, dtype)
    torch.library.opcheck(spike_encode_op, (x, 5, code, 0.5, key, backend))


class Encoders(nn.Module):
    """All codes, and a seed that is a tensor."""

    def forward(self, x, seed):
        noise = spike_encode(x, 5, code="poisson", seed=seed, stream=seed + 1)
        rest = [spike_encode(x.mT, 5, code=code).mT for code in ("rate", "latency", "delta")]
        signal = torch.stack(rest).mean(0)
        return torch.stack([noise, *rest, spike_encode(signal, None, code="delta")])


SEED = torch.tensor(2**40 + 1)


# The whole network is compiled with inductor in the tests of `SpikingNetwork`.
def test_compiles_without_graph_breaks():
    module, x = Encoders(), torch.rand(2, 3, 4)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, SEED), module(x, SEED))


def test_compiles_once_for_many_batch_sizes():
    module, graphs = Encoders(), []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(module, fullgraph=True, backend=count, dynamic=True)
    for batch in (2, 3, 7):
        x = torch.rand(batch, 3, 4)
        assert torch.equal(compiled(x, SEED), module(x, SEED))
    assert len(graphs) == 1


def test_exports_with_a_dynamic_batch(tmp_path):
    module, x = Encoders().eval(), torch.rand(2, 3, 4)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(module, (x, SEED), dynamic_shapes=({0: batch}, None))
    assert "spikeformer.spike_encode.default" in str(program.graph)
    torch.export.save(program, tmp_path / "encoders.pt2")
    loaded = torch.export.load(tmp_path / "encoders.pt2").module()
    for size in (2, 5):
        x = torch.rand(size, 3, 4)
        assert torch.equal(loaded(x, SEED), module(x, SEED))
