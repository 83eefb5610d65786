from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.ops.spike_pack import SpikeLayout, spike_pack, spike_unpack
from spikeformer.ops.spike_pack.op import DTYPES, spike_pack_op, spike_unpack_op
from tests.ops.devices import device_of

BACKENDS = ["reference", "cpu", "triton"]
backends = pytest.mark.parametrize("backend", BACKENDS)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def random_spikes(*shape, dtype=torch.float32, rate=0.4):
    return (torch.rand(shape) < rate).to(dtype)


def expected_bits(spikes_in_memory_order):
    fired = spikes_in_memory_order.flatten().bool().cpu().numpy()
    return torch.from_numpy(np.packbits(fired, bitorder="little"))


@backends
@dtypes
@pytest.mark.parametrize("shape", [(), (1,), (0, 4), (7,), (500,), (2, 63, 7), (3, 1, 5, 16)])
def test_bits_are_numpys_and_unpack_to_the_spikes(backend, dtype, shape):
    spikes = random_spikes(*shape, dtype=dtype).to(device_of(backend))
    bits = spike_pack(spikes, backend=backend)
    assert torch.equal(bits.cpu(), expected_bits(spikes))
    unpacked = spike_unpack(bits, SpikeLayout.of(spikes), backend=backend)
    assert torch.equal(unpacked, spikes)
    assert unpacked.dtype == dtype


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [8 << 13, (8 << 16) - 1, (8 << 16) + 9])
def test_blocks_and_threads(size, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    spikes = random_spikes(size)
    bits = spike_pack(spikes, backend="cpu")
    unpacked = spike_unpack(bits, SpikeLayout.of(spikes), backend="cpu")
    torch.set_num_threads(before)
    assert torch.equal(bits, expected_bits(spikes))
    assert torch.equal(unpacked, spikes)


@backends
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_any_number_but_zero_is_a_spike(backend, dtype):
    smallest = torch.finfo(dtype).smallest_normal
    numbers = [0.0, -0.0, 1.0, -1.0, float("nan"), float("-inf"), smallest, -smallest, 0.0, 3.0]
    spikes = torch.tensor(numbers, dtype=dtype, device=device_of(backend))
    bits = spike_pack(spikes, backend=backend)
    assert bits.tolist() == [0b11111100, 0b10]


@backends
def test_any_byte_but_zero_is_a_spike(backend):
    spikes = torch.tensor([0, 1, 2, 128, 255], dtype=torch.uint8, device=device_of(backend))
    assert spike_pack(spikes, backend=backend).tolist() == [0b11110]


@settings(max_examples=30)
@given(st.permutations(range(4)), st.lists(st.integers(0, 4), min_size=4, max_size=4))
def test_any_order_of_axes_is_packed_in_place_and_restored(order, sizes):
    stored = random_spikes(*sizes)
    spikes = stored.permute(order)
    layout = SpikeLayout.of(spikes)
    assert layout.flatten(spikes).data_ptr() == spikes.data_ptr()
    bits = spike_pack(spikes, backend="cpu")
    assert torch.equal(bits, expected_bits(stored))
    unpacked = spike_unpack(bits, layout, backend="cpu")
    assert torch.equal(unpacked, spikes)
    assert layout.flatten(unpacked).data_ptr() == unpacked.data_ptr()
    if 0 not in sizes:
        moving = [axis for axis in range(4) if spikes.shape[axis] > 1]
        assert [unpacked.stride(i) for i in moving] == [spikes.stride(i) for i in moving]


@backends
def test_tensors_with_gaps_come_back_contiguous(backend):
    for spikes in (
        random_spikes(40)[::2],
        random_spikes(4, 6, 5)[:, ::2].transpose(0, 2),
        random_spikes(3, 1, 4).expand(3, 5, 4),
    ):
        there = spikes.to(device_of(backend))
        bits = spike_pack(there, backend=backend)
        assert torch.equal(bits.cpu(), expected_bits(spikes))
        unpacked = spike_unpack(bits, SpikeLayout.of(spikes), backend=backend)
        assert torch.equal(unpacked, there)
        assert unpacked.is_contiguous()


def test_bits_have_no_gradient():
    for backend in BACKENDS:
        spikes = random_spikes(9).to(device_of(backend)).requires_grad_()
        assert not spike_pack(spikes, backend=backend).requires_grad


@dtypes
def test_operators_pass_opcheck(dtype):
    spikes = random_spikes(21, dtype=dtype)
    torch.library.opcheck(spike_pack_op, (spikes, "cpu"))
    torch.library.opcheck(spike_unpack_op, (spike_pack(spikes), 21, dtype, "cpu"))


@torch.library.custom_op("spikeformer_tests::double", mutates_args=())
def double(spikes: torch.Tensor) -> torch.Tensor:
    return 2 * spikes


@double.register_fake
def _(spikes):
    return torch.empty_like(spikes)


def save_packed(ctx, inputs, output):
    ctx.save_for_backward(spike_pack(*inputs))
    ctx.layout = SpikeLayout.of(*inputs)


def backward_with_packed(ctx, grad):
    return grad * spike_unpack(*ctx.saved_tensors, ctx.layout)


double.register_autograd(backward_with_packed, setup_context=save_packed)


@pytest.mark.parametrize("compiler", [None, "aot_eager"])
def test_an_operator_saves_bits_for_its_backward(compiler):
    def run(x):
        return double((x > 0).to(x) + 0 * x)

    function = run if compiler is None else torch.compile(run, fullgraph=True, backend=compiler)
    x = torch.randn(2, 5, 7).transpose(1, 2).requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        out = function(x)
    assert [t.shape for t in saved if t.dtype == torch.uint8] == [(9,)]
    out.backward(torch.full_like(out, 3.0))
    assert x.grad is not None
    (expected,) = torch.autograd.grad(run(x), x, torch.full_like(out, 3.0))
    torch.testing.assert_close(x.grad, expected)


class RoundTrip(nn.Module):
    def forward(self, spikes):
        return spike_unpack(spike_pack(spikes), SpikeLayout.of(spikes))


def test_compiles_once_for_many_batch_sizes():
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(RoundTrip(), fullgraph=True, backend=count, dynamic=True)
    for batch in (2, 3, 7):
        spikes = random_spikes(batch, 5, 6)
        assert torch.equal(compiled(spikes), spikes)
    assert len(graphs) == 1


def test_exports_with_a_dynamic_batch():
    batch = torch.export.Dim("batch", min=2)
    example = random_spikes(2, 5, 6)
    program = torch.export.export(RoundTrip(), (example,), dynamic_shapes={"spikes": {0: batch}})
    assert "spikeformer.spike_pack.default" in str(program.graph)
    spikes = random_spikes(7, 5, 6)
    assert torch.equal(program.module()(spikes), spikes)


def test_bad_arguments():
    layout = SpikeLayout((9,), (0,), torch.float32)
    with pytest.raises(ArgumentError, match=r"spikes.*float16.*int64"):
        spike_pack(torch.ones(3, dtype=torch.int64))
    with pytest.raises(ArgumentError, match=r"bits.*\(2,\).*\(3,\)"):
        spike_unpack(torch.zeros(3, dtype=torch.uint8), layout)
    with pytest.raises(ArgumentError, match=r"bits.*uint8"):
        spike_unpack(torch.zeros(2), layout)
    with pytest.raises(ArgumentError, match=r"layout\.dtype"):
        spike_unpack(torch.zeros(2, dtype=torch.uint8), layout._replace(dtype=torch.int32))
    with pytest.raises(ArgumentError, match="backend"):
        spike_pack(torch.ones(3), backend="gpu")
