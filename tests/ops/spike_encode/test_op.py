"""What `spike_encode` computes: scalar loops, on every backend, and its kernels bit for bit."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeformer.error_handling import ArgumentError, BackendUnavailableError
from spikeformer.ops.spike_encode import cpu, spike_encode
from tests.ops.devices import device_of

KERNELS = ["cpu", "triton"]
CODES = {
    "rate": {},
    "poisson": {"max_probability": 0.7, "seed": -(2**40) + 3, "stream": 5},
    "latency": {},
    "delta": {"threshold": 0.1},
}
backends = pytest.mark.parametrize("backend", ["reference", *KERNELS])
kernels = pytest.mark.parametrize("kernel", KERNELS)
codes = pytest.mark.parametrize("code", CODES)


@pytest.fixture(autouse=True)
def poisoned_memory():
    """Fresh memory holds NaN, so a value left unwritten shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def encode(x, timesteps, code, backend):
    x = x.to(device_of(backend))
    return spike_encode(x, timesteps, code=code, backend=backend, **CODES[code]).cpu()


def assert_matches_reference(x, timesteps, code, kernel):
    expected = encode(x, timesteps, code, "reference")
    got = encode(x, timesteps, code, kernel)
    assert got.dtype == expected.dtype == x.dtype
    assert torch.equal(got, expected)
    assert set(got.unique().tolist()) <= ({-1.0, 0.0, 1.0} if code == "delta" else {0.0, 1.0})
    return got


def scalar_code(x, timesteps, code):
    """Spikes of one value in Python numbers."""
    if code == "rate":
        counts = [math.floor(x * t + 0.5) for t in range(timesteps + 1)]
        return [float(after - now) for now, after in pairwise(counts)]
    if code == "latency":
        return [float(x > 0 and t == round((1 - x) * (timesteps - 1))) for t in range(timesteps)]
    tracker, spikes = 0.0, []
    for _ in range(timesteps):
        lag = x - tracker
        spikes.append(math.copysign(1.0, lag) if abs(lag) >= 0.25 else 0.0)
        tracker += 0.25 * spikes[-1]
    return spikes


@backends
@pytest.mark.parametrize("code", ["rate", "latency", "delta"])
@pytest.mark.parametrize("timesteps", [1, 4, 63])
def test_equals_a_scalar_loop(backend, code, timesteps):
    # Multiples of 1/64 keep every product and sum exact.
    x = torch.arange(-64 if code == "delta" else 0, 65).view(1, -1) / 64
    held = x.to(device_of(backend))
    spikes = spike_encode(held, timesteps, code=code, threshold=0.25, backend=backend)
    assert spikes.shape == (1, timesteps, x.shape[1])
    for f, value in enumerate(x[0].tolist()):
        assert spikes[0, :, f].tolist() == scalar_code(value, timesteps, code)


@kernels
@codes
@pytest.mark.parametrize("shape", [(3,), (2, 7), (1, 500), (0, 5), (2, 0, 3), (2, 2, 3, 350)])
@pytest.mark.parametrize("timesteps", [1, 6])
def test_shapes_within_and_beyond_a_block(kernel, code, shape, timesteps):
    spikes = assert_matches_reference(torch.rand(shape), timesteps, code, kernel)
    assert spikes.shape == (shape[0], timesteps, *shape[1:])
    assert spikes.is_contiguous()


@kernels
@codes
def test_many_timesteps(kernel, code):
    spikes = assert_matches_reference(torch.rand(2, 7), 63, code, kernel)
    assert 0 < spikes.abs().sum() < spikes.numel()


@kernels
@codes
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(kernel, code, dtype):
    x = torch.rand(2, 37).to(dtype)
    spikes = assert_matches_reference(x, 9, code, kernel)
    assert torch.equal(spikes.float(), encode(x.float(), 9, code, kernel))


@codes
def test_float64_runs_the_reference(code):
    x = torch.rand(2, 5, dtype=torch.float64)
    spikes = encode(x, 6, code, "auto")
    assert spikes.dtype == torch.float64
    assert torch.equal(spikes.float(), encode(x.float(), 6, code, "cpu"))
    with pytest.raises(BackendUnavailableError, match="float64"):
        encode(x, 6, code, "cpu")


@settings(max_examples=20)
@given(st.permutations(range(4)), st.booleans(), st.booleans(), st.sampled_from(list(CODES)))
def test_memory_layouts(order, step_batch, step_features, code):
    # Every order of axes in memory, with gaps between samples or features.
    sizes = [4, 3, 4, 6]
    stored = torch.rand(*(sizes[axis] for axis in order))
    x = stored.permute([order.index(axis) for axis in range(4)])
    if step_batch:
        x = x[::2]
    if step_features:
        x = x[..., ::2]
    spikes = assert_matches_reference(x, 5, code, "cpu")
    assert torch.equal(spikes, encode(x.contiguous(), 5, code, "cpu"))


@kernels
@codes
def test_channels_last(kernel, code):
    x = torch.rand(2, 5, 4, 3).permute(0, 3, 1, 2)
    assert_matches_reference(x, 3, code, kernel)


@backends
@pytest.mark.parametrize("code", ["poisson", "delta"])
@pytest.mark.parametrize("timesteps", [1, 10])
def test_signals(backend, code, timesteps):
    signal = torch.rand(2, timesteps, 3, 6)[..., ::2]
    time_major = signal.transpose(0, 1).contiguous().transpose(0, 1)
    for x in (signal, time_major):
        spikes = encode(x, None, code, backend)
        assert torch.equal(spikes, encode(x.contiguous(), None, code, "reference"))
    held = signal[:, 0]
    expanded = held.unsqueeze(1).expand(-1, timesteps, -1, -1)
    assert torch.equal(
        encode(expanded, None, code, backend), encode(held, timesteps, code, backend)
    )


def test_delta_follows_a_signal():
    signal = (torch.randn(1, 40, 1) * 8).round() / 16
    spikes = spike_encode(signal, None, code="delta", threshold=0.25, backend="cpu")
    tracker = 0.0
    for x, s in zip(signal.flatten().tolist(), spikes.flatten().tolist(), strict=True):
        lag = x - tracker
        assert s == (math.copysign(1.0, lag) if abs(lag) >= 0.25 else 0.0)
        tracker += 0.25 * s


@codes
def test_no_gradient_reaches_the_values(code):
    x = torch.rand(2, 3, requires_grad=True)
    for backend in ("reference", "cpu"):
        assert not encode(x, 4, code, backend).requires_grad


@codes
def test_results_do_not_depend_on_threads_or_repetition(code):
    before = torch.get_num_threads()
    x, runs = torch.rand(5, 7000), []
    for count in (1, 2, 3, 2):
        torch.set_num_threads(count)
        runs.append(encode(x, 16, code, "cpu"))
    torch.set_num_threads(before)
    assert all(torch.equal(run, runs[0]) for run in runs[1:])


def test_auto_takes_the_cpu_kernel(monkeypatch):
    calls = []
    forward = cpu.forward
    monkeypatch.setattr(cpu, "forward", lambda *a: calls.append(a) or forward(*a))
    spike_encode(torch.rand(1, 2), 3)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("code", {"code": "phase"}),
        ("timesteps", {"timesteps": 0}),
        ("timesteps", {"timesteps": None}),
        ("timesteps", {"timesteps": None, "code": "latency"}),
        ("timesteps", {"timesteps": None, "code": "delta", "x": torch.rand(2, 0, 3)}),
        ("x", {"x": torch.tensor(0.5)}),
        ("x", {"x": torch.ones(2, 3, dtype=torch.int64)}),
        ("x", {"timesteps": None, "code": "delta", "x": torch.rand(2)}),
        ("threshold", {"code": "delta", "threshold": 0.0}),
        ("max_probability", {"code": "poisson", "max_probability": 1.5}),
        ("seed", {"code": "poisson", "seed": 2**63}),
        ("seed", {"code": "poisson", "seed": 0.5}),
        ("seed", {"code": "poisson", "seed": torch.zeros(2, dtype=torch.int64)}),
        ("stream", {"code": "poisson", "stream": torch.zeros(())}),
        ("backend", {"backend": "cuda"}),
    ],
)
def test_bad_arguments_are_named(argument, arguments):
    with pytest.raises(ArgumentError, match=f"`{argument}`"):
        spike_encode(**({"x": torch.rand(2, 3), "timesteps": 4} | arguments))


def test_poisson_options_change_what_they_should():
    x = torch.rand(4, 50)
    base = {"code": "poisson", "seed": 1, "stream": 0}
    spikes = spike_encode(x, 8, **base)
    assert torch.equal(spike_encode(x, 8, **base), spikes)
    for change in ({"seed": 2}, {"seed": 1 + 2**32}, {"stream": 1}):
        assert not torch.equal(spike_encode(x, 8, **(base | change)), spikes)
    tensors = {name: torch.tensor([base[name]]) for name in ("seed", "stream")}
    for backend, words in product(("reference", "cpu"), (base, base | tensors)):
        assert torch.equal(spike_encode(x, 8, **words, backend=backend), spikes)
