"""Kernels of `spike_attention` against the reference: forward exactly, gradients to rounding."""

from __future__ import annotations

import pytest
import torch

from spikeformer.ops.spike_attention import spike_attention
from tests.ops.spike_attention.cases import (
    CASES,
    assert_matches_reference,
    interleaved,
    random_spikes,
    results,
)

KERNELS = ["cpu", "triton"]
pytestmark = pytest.mark.parametrize("kernel", KERNELS)
cases = pytest.mark.parametrize(("mechanism", "causal"), CASES)


@pytest.fixture(autouse=True)
def poisoned_memory():
    """Fresh memory holds NaN, so a value left unwritten shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@cases
@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_neurons(kernel, mechanism, causal, adaptive, reset):
    detach = reset == "zero" and not adaptive  # as all else of neurons, the kernels of `lif` do it
    options = {"adaptive": adaptive, "reset": reset, "detach_reset": detach, "scale": 0.3}
    assert_matches_reference(interleaved(mechanism), kernel, mechanism, causal, **options)


def test_surrogate_and_slope(kernel):  # those of `lif`, which has all of them tested
    options = {"surrogate": "erf", "slope": 1.5}
    assert_matches_reference(interleaved("sdsa"), kernel, "sdsa", **options)


@cases
def test_half_precision(kernel, mechanism, causal):  # every type is in tests/ops/test_precision.py
    spikes = interleaved(mechanism, dtype=torch.bfloat16)
    assert_matches_reference(spikes, kernel, mechanism, causal)


@cases
@pytest.mark.parametrize(
    "shape",
    [(2, 1, 5, 1, 7), (1, 17, 3, 2, 4), (1, 2, 70, 1, 5), (2, 2, 3, 1, 500), (0, 2, 3, 2, 4)],
)
def test_shapes(kernel, mechanism, causal, shape):
    options = {"learnable": False, "scale": 0.02 if shape[-1] == 500 else 0.25}
    if mechanism == "qk_token" and shape[-1] == 500:
        return  # 200 spikes of 500 channels: its gates are always open
    assert_matches_reference(interleaved(mechanism, shape), kernel, mechanism, causal, **options)


@pytest.mark.parametrize("mechanism", ["ssa", "sdsa"])
@pytest.mark.parametrize("keys", [3, 9])
def test_more_or_fewer_keys_than_queries(kernel, mechanism, keys):
    query = random_spikes(2, 4, 5, 2, 6)
    key, value = (random_spikes(2, 4, keys, 2, 6, seed=seed) for seed in (1, 2))
    assert_matches_reference((query, key, value), kernel, mechanism)


@cases
def test_memory_layouts(kernel, mechanism, causal):
    count = 2 if mechanism == "qk_token" else 3
    heads_first = [random_spikes(2, 4, 3, 5, 6, seed=i).transpose(2, 3) for i in range(count)]
    time_major = [random_spikes(4, 2, 5, 3, 6, seed=i).transpose(0, 1) for i in range(count)]
    gaps = [random_spikes(2, 4, 5, 3, 12, seed=i)[..., ::2] for i in range(count)]
    expanded = [random_spikes(2, 1, 5, 3, 6, seed=i).expand(2, 4, 5, 3, 6) for i in range(count)]
    for spikes in (heads_first, time_major, gaps, expanded):
        assert_matches_reference(spikes, kernel, mechanism, causal, learnable=False)


@cases
def test_backward_keeps_one_bit_of_a_spike(kernel, mechanism, causal):
    shape = (2, 4, 6, 2, 8)
    spikes = [x.requires_grad_() for x in interleaved(mechanism, shape)]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        options = {"mechanism": mechanism, "causal": causal, "decay": 0.9, "backend": kernel}
        out, _ = spike_attention(*spikes, **options)
        assert sum(t.nbytes for t in saved) == sum(x.numel() for x in spikes) // 8
        saved.clear()
        spike_attention(*(x.detach() for x in spikes), **options)
        with torch.no_grad():
            spike_attention(*spikes, **options)
        assert saved == []
    assert out.is_contiguous()


def test_gradient_of_the_state_alone(kernel):
    for mechanism, causal in CASES:
        grads = []
        for backend in (kernel, "reference"):
            spikes = [x.requires_grad_() for x in interleaved(mechanism)]
            options = {"mechanism": mechanism, "causal": causal, "decay": 0.9, "backend": backend}
            _, state = spike_attention(*spikes, **options)
            grads.append(torch.autograd.grad(state.membrane.sum(), spikes, materialize_grads=True))
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


@cases
def test_results_do_not_depend_on_threads_or_repetition(kernel, mechanism, causal, threads):
    shape = (5, 4, 40, 4, 16) if kernel == "cpu" else (2, 2, 5, 1, 4)
    spikes = interleaved(mechanism, shape)
    runs = []
    for count in (1, 2, 2):
        threads(count)
        runs.append(results(spikes, kernel, mechanism, causal))
    for run in runs[1:]:
        assert all(torch.equal(run[name], runs[0][name]) for name in run)
