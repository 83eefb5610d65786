from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spikeformer.error_handling import ArgumentError
from spikeformer.ops.spike_linear import cpu, spike_linear
from tests.ops.devices import device_of

BACKENDS = ["reference", "cpu", "triton"]
KERNELS = ["cpu", "triton"]
backends = pytest.mark.parametrize("backend", BACKENDS)
kernels = pytest.mark.parametrize("kernel", KERNELS)
TOLERANCE = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.bfloat16: {"rtol": 1.6e-2, "atol": 1e-2},
    torch.float16: {"rtol": 2e-3, "atol": 2e-3},
}


@pytest.fixture
def always_sparse(monkeypatch):
    """Small shapes, too, take the sparse kernel."""
    monkeypatch.setattr(cpu, "sparse_wins", lambda *_: True)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def case(*shape, outputs, rate=0.2, bias=True, dtype=torch.float32, backend="cpu"):
    device = device_of(backend)
    spikes = (torch.rand(shape) < rate).to(device, dtype)
    weight = torch.randn(outputs, shape[-1]).to(device, dtype)
    return spikes, weight, torch.randn(outputs).to(device, dtype) if bias else None


def results(function, spikes, weight, bias, **options):
    """Output and gradients of a random scalar of it."""
    leaves = [x.detach().requires_grad_() for x in (spikes, weight, bias) if x is not None]
    out = function(*leaves, **options)
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(out.shape, generator=generator).to(out.device, out.dtype)
    return out.detach(), *torch.autograd.grad((out * factor).sum(), leaves)


@backends
def test_is_the_sum_of_the_weights_of_active_inputs(backend, always_sparse):
    spikes, weight, bias = case(5, 9, outputs=4, backend=backend)
    expected = np.zeros((5, 4))
    for r in range(5):
        for o in range(4):
            active = weight[o][spikes[r] > 0].double()
            expected[r, o] = active.sum().item() + bias[o].item()
    got = spike_linear(spikes, weight, bias, backend=backend)
    torch.testing.assert_close(got.cpu(), torch.from_numpy(expected).float())


@kernels
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("shape", "outputs"), [((7,), 3), ((5, 500), 7), ((2, 63, 7), 70), ((2, 1, 3, 33), 65)]
)
def test_outputs_and_gradients(kernel, dtype, bias, shape, outputs, always_sparse):
    arguments = case(*shape, outputs=outputs, bias=bias, dtype=dtype, backend=kernel)
    got = results(spike_linear, *arguments, backend=kernel)
    expected = results(F.linear, *arguments)
    for value, wanted in zip(got, expected, strict=True):
        assert value.dtype == dtype
        torch.testing.assert_close(value, wanted, **TOLERANCE[dtype])


@kernels
@pytest.mark.parametrize("rate", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(0, 6), (3, 0), (3, 70)])
def test_extremes(kernel, rate, shape, always_sparse):
    spikes, weight, bias = case(*shape, outputs=5, rate=rate, backend=kernel)
    got = spike_linear(spikes, weight, bias, backend=kernel)
    torch.testing.assert_close(got, F.linear(spikes, weight, bias))


@kernels
def test_memory_layouts(kernel, always_sparse):
    spikes, weight, bias = case(6, 4, 10, outputs=7, backend=kernel)
    expected = F.linear(spikes, weight, bias)
    for x in (
        spikes.transpose(0, 1).contiguous().transpose(0, 1),
        spikes.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        spikes.repeat_interleave(2, 2)[..., ::2],
    ):
        for w in (weight, weight.t().contiguous().t()):
            torch.testing.assert_close(spike_linear(x, w, bias, backend=kernel), expected)


@pytest.mark.parametrize("shape", [(700, 300), (3, 200, 300)])
def test_results_do_not_depend_on_threads(shape, threads, always_sparse):
    arguments = case(*shape, outputs=400)
    runs = []
    for count in (1, 2, 3):
        threads(count)
        runs.append(spike_linear(*arguments, backend="cpu"))
    assert all(torch.equal(a, b) for a, b in pairwise(runs))
    torch.testing.assert_close(runs[0], F.linear(*arguments), rtol=1e-5, atol=1e-4)


def taken(monkeypatch, *arguments):
    calls = []
    monkeypatch.setattr(cpu, "add_weights", lambda *_: calls.append("sparse"))
    monkeypatch.setattr(cpu, "linear", lambda *_: calls.append("dense"))
    cpu.forward(*arguments)
    return calls


@pytest.mark.parametrize(
    ("rows", "rate", "dtype", "expected"),
    [
        (2048, 0.02, torch.float32, "sparse"),
        (2048, 0.05, torch.float32, "sparse"),
        (2048, 0.6, torch.float32, "dense"),
        (2048, 0.6, torch.float16, "sparse"),
        (2048, 0.005, torch.bfloat16, "sparse"),
        (2048, 0.2, torch.bfloat16, "dense"),
        (8, 0.0, torch.float32, "dense"),
    ],
)
def test_the_firing_rate_and_the_shape_decide(monkeypatch, rows, rate, dtype, expected):
    arguments = case(rows, 384, outputs=384, rate=rate, dtype=dtype)
    assert taken(monkeypatch, *arguments) == [expected]


def test_counts_no_spikes_where_dense_wins_without_any(monkeypatch):
    monkeypatch.setattr(cpu, "_count", None)
    assert taken(monkeypatch, *case(8, 384, outputs=384)) == ["dense"]


def test_auto_multiplies_on_cpus_with_the_kernel(always_sparse):
    arguments = case(20, 30, outputs=40)
    expected = spike_linear(*arguments, backend="cpu")
    assert torch.equal(spike_linear(*arguments), expected)


def test_float64_takes_the_reference_and_passes_gradcheck():
    arguments = [x.double().requires_grad_() for x in case(3, 6, outputs=4)]
    assert torch.autograd.gradcheck(spike_linear, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spikes": torch.ones(3, 4, dtype=torch.int64)}, "spikes.*floating-point"),
        ({"spikes": torch.ones(())}, "spikes"),
        ({"weight": torch.ones(2, 5)}, r"weight.*\(outputs, 4\)"),
        ({"weight": torch.ones(4)}, "weight"),
        ({"weight": torch.ones(2, 4, dtype=torch.bfloat16)}, r"weight.*float32"),
        ({"bias": torch.ones(3)}, r"bias.*\(2,\)"),
        ({"bias": torch.ones(2, dtype=torch.float16)}, r"bias.*float32"),
        ({"backend": "gpu"}, "'auto'"),
    ],
)
def test_bad_arguments(arguments, message):
    valid = {"spikes": torch.ones(3, 4), "weight": torch.ones(2, 4), "bias": None}
    with pytest.raises(ArgumentError, match=message):
        spike_linear(**(valid | arguments))


def test_numbers_that_are_no_spikes_are_multiplied():
    spikes, weight, bias = case(600, 64, outputs=300)
    graded = spikes * 3 + 0.5
    got = results(lambda *a: spike_linear(*a, binary=False), graded, weight, bias)
    expected = results(F.linear, graded, weight, bias)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-3)
