"""Kernels against the reference: spikes and states bit for bit, gradients to rounding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeformer.ops import SURROGATES, lif
from tests.ops.devices import device_of
from tests.ops.lif.cases import assert_equal_results, random_current, results, run_lif

pytestmark = pytest.mark.parametrize("kernel", ["cpu", "triton"])


@pytest.fixture(autouse=True)
def poisoned_memory():
    """Fresh memory holds NaN, so a value left unwritten shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def assert_matches_reference(current, kernel, **options):
    expected = results(current, "reference", **options)
    assert 0 < expected["spikes"].sum() < expected["spikes"].numel()
    assert_equal_results(results(current, kernel, **options), expected, current.dtype)


# The resets do not see which surrogate it is; each combination is another kernel to compile.
@pytest.mark.parametrize(
    ("surrogate", "reset", "detach_reset"),
    [
        *((surrogate, "subtract", False) for surrogate in SURROGATES),
        ("triangle", "subtract", True),
        ("triangle", "zero", False),
        ("triangle", "zero", True),
    ],
)
def test_surrogates_and_resets(kernel, surrogate, reset, detach_reset):
    options = {"surrogate": surrogate, "reset": reset, "detach_reset": detach_reset}
    assert_matches_reference(random_current(3, 9, 37), kernel, **options)


# 35 timesteps are three chunks to Triton, which hand the membrane and the adaptation on.
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("shape", [(3, 9, 37), (2, 35, 9)])
def test_adaptation(kernel, reset, shape):
    assert_matches_reference(random_current(*shape), kernel, adaptive=True, reset=reset)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(kernel, dtype):
    current = random_current(3, 9, 37, dtype=dtype)
    assert_matches_reference(current, kernel, adaptive=True)


@pytest.mark.parametrize(
    ("shape", "with_state"),
    [
        ((2, 1, 7), False),
        ((2, 1, 7), True),
        ((1, 17, 300), True),
        ((2, 16, 1024), False),
        ((2, 3, 2500), True),
        ((5, 4), False),
        ((5, 4), True),
    ],
)
def test_shapes_within_and_beyond_a_block(kernel, shape, with_state):
    options = {"learnable": False, "with_state": with_state}
    assert_matches_reference(random_current(*shape), kernel, **options)


# Timesteps that the CPU's kernel has written out, and features beyond what it takes at a time.
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 4, 1100), {"reset": "zero", "surrogate": "sigmoid"}),
        ((2, 2, 75), {"detach_reset": True, "surrogate": "erf"}),
    ],
)
def test_few_timesteps(kernel, shape, options):
    for with_state in (False, True):
        current = random_current(*shape)
        options = {"learnable": False, "with_state": with_state, **options}
        assert_matches_reference(current, kernel, **options)


def test_slope(kernel):
    assert_matches_reference(random_current(2, 8, 40), kernel, slope=3.0)


@settings(max_examples=12, deadline=None)
@given(st.permutations(range(5)), st.booleans(), st.booleans())
def test_memory_layouts(kernel, order, step_batch, step_features):
    # Every order of axes in memory, with gaps between samples or features.
    sizes = [4, 3, 3, 4, 5]
    stored = random_current(*(sizes[axis] for axis in order))
    current = stored.permute([order.index(axis) for axis in range(5)])
    if step_batch:
        current = current[::2]
    if step_features:
        current = current[..., ::2]
    assert_matches_reference(current, kernel, learnable=False)


def test_spikes_keep_the_layout(kernel):
    channels_last = random_current(2, 3, 4, 5, 6).permute(0, 1, 4, 2, 3)
    time_major = random_current(3, 2, 7).transpose(0, 1)
    for current in (channels_last, time_major):
        spikes, _ = run_lif(current, decay=0.9, backend=kernel)
        assert spikes.stride() == current.stride()


def test_constant_current_is_not_copied_along_time(kernel):
    once = random_current(2, 1, 4, 6).to(device_of(kernel)).requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        spikes, _ = lif(once.expand(2, 50, 4, 6), decay=0.9, backend=kernel)
    assert spikes.is_contiguous()
    assert [t.untyped_storage().nbytes() for t in saved] == [once.untyped_storage().nbytes()]
    (got,) = torch.autograd.grad(spikes.sum(), once)
    spikes, _ = lif(once.expand(2, 50, 4, 6), decay=0.9, backend="reference")
    (expected,) = torch.autograd.grad(spikes.sum(), once)
    torch.testing.assert_close(got, expected)


def test_backward_saves_the_input_and_nothing_else(kernel):
    current = random_current(2, 5, 30).to(device_of(kernel)).requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        lif(current, decay=0.9, backend=kernel)
        assert [t.data_ptr() for t in saved] == [current.data_ptr()]
        saved.clear()
        lif(current.detach(), decay=0.9, backend=kernel)
        with torch.no_grad():
            lif(current, decay=0.9, backend=kernel)
        assert saved == []


def test_each_gradient_alone(kernel):
    current = random_current(2, 5, 30)
    for name in ("decay", "threshold"):
        grads = []
        for backend in (kernel, "reference"):
            value = torch.tensor(0.7, requires_grad=True)
            spikes, _ = run_lif(current, **({"decay": 0.9} | {name: value}), backend=backend)
            grads.append(torch.autograd.grad(spikes.sum(), value)[0])
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


def test_gradient_of_the_state_alone(kernel):
    grads = []
    for backend in (kernel, "reference"):
        current = random_current(2, 5, 30).requires_grad_()
        _, state = run_lif(current, decay=0.9, backend=backend)
        grads.append(torch.autograd.grad(state.membrane.sum(), current)[0])
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


def test_mixed_inputs_propagate_nan_without_spikes(kernel):
    current = torch.tensor([[[float("nan"), 2.0]], [[float("-inf"), float("inf")]]])
    for backend in (kernel, "reference"):
        spikes, _ = run_lif(current, decay=0.5, backend=backend)
        assert spikes.flatten().tolist() == [0.0, 1.0, 0.0, 1.0]


def test_repetition_changes_nothing(kernel):
    current = random_current(3, 18, 70)
    first, second = results(current, kernel), results(current, kernel)
    assert all(torch.equal(first[name], second[name]) for name in first)
