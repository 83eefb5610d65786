"""What `lif` computes: scalar loops, closed forms and derivatives by hand, on every backend."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import LifState, lif
from tests.ops.lif.cases import random_current, results, run_lif

backends = pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
fast_backends = st.sampled_from(["reference", "cpu"])
resets = pytest.mark.parametrize("reset", ["subtract", "zero"])


def scalar_loop(current, v, a, decay, threshold, reset, adaptation_decay, strength):
    """One neuron in Python numbers."""
    spikes = []
    for i in current:
        v = decay * v + i - a
        fired = v >= threshold
        if fired:
            v = 0.0 if reset == "zero" else v - threshold
        a = adaptation_decay * a + strength * fired
        spikes.append(float(fired))
    return spikes, v, a


@backends
@resets
@pytest.mark.parametrize("adaptive", [False, True])
def test_equals_a_scalar_loop(backend, reset, adaptive):
    # Multiples of 1/8 with decays of 1/2 are exact in float32 for these few steps.
    current = (random_current(3, 6, 5) * 8).round() / 8
    membrane, adaptation = (random_current(3, 5, seed=s).mul(8).round() / 8 for s in (1, 2))
    adaptation_decay, strength = (0.5, 0.25) if adaptive else (None, 0.0)
    spikes, final = run_lif(
        current,
        LifState(membrane, adaptation if adaptive else None),
        decay=0.5,
        threshold=0.75,
        reset=reset,
        adaptation_decay=adaptation_decay,
        adaptation_strength=strength,
        backend=backend,
    )
    assert 0 < spikes.sum() < spikes.numel()
    for b in range(3):
        for f in range(5):
            a = adaptation[b, f].item() if adaptive else 0.0
            expected, v, a = scalar_loop(
                current[b, :, f].tolist(),
                membrane[b, f].item(),
                a,
                0.5,
                0.75,
                reset,
                adaptation_decay or 0.0,
                strength,
            )
            assert spikes[b, :, f].tolist() == expected
            assert final.membrane[b, f].item() == v
            if adaptive:
                assert final.adaptation[b, f].item() == a
    assert (final.adaptation is not None) == adaptive


@given(st.floats(0.05, 3.0), st.floats(0.3, 0.99), fast_backends)
def test_interval_between_spikes_under_constant_current(current, decay, backend):
    # From reset, v[n] = I (1 - decay^n) / (1 - decay) reaches 1 after a fixed number of steps.
    limit = current / (1 - decay)
    if limit <= 1.0:
        assume(limit < 0.999)
        expected = []
    else:
        steps = math.log(1 - 1 / limit) / math.log(decay)
        assume(abs(steps - round(steps)) > 1e-3)
        interval = math.ceil(steps)
        expected = list(range(interval - 1, 63, interval))
    spikes, _ = run_lif(torch.full((1, 63, 2), current), decay=decay, reset="zero", backend=backend)
    assert spikes[0, :, 0].nonzero().flatten().tolist() == expected
    assert torch.equal(spikes[..., 0], spikes[..., 1])


@given(st.integers(0, 64), fast_backends)
def test_without_leak_the_spike_count_is_the_charge(sixteenths, backend):
    current = sixteenths / 64
    spikes, final = run_lif(torch.full((1, 63, 1), current), decay=1.0, backend=backend)
    assert spikes.sum().item() == math.floor(63 * current)
    assert final.membrane.item() == 63 * current - math.floor(63 * current)


@backends
def test_a_membrane_at_threshold_fires(backend):
    below = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    spikes, _ = run_lif(torch.tensor([[[1.0, below]]]), decay=0.5, threshold=1.0, backend=backend)
    assert spikes.flatten().tolist() == [1.0, 0.0]


@backends
@resets
@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("first", [1.25, 1.0])
def test_gradient_through_the_reset_by_hand(backend, reset, detach_reset, first):
    current = torch.tensor([[[first], [0.25]]], requires_grad=True)
    decay = torch.tensor(0.5, requires_grad=True)
    threshold = torch.tensor(1.0, requires_grad=True)
    _, final = run_lif(
        current,
        decay=decay,
        threshold=threshold,
        reset=reset,
        detach_reset=detach_reset,
        surrogate="triangle",
        backend=backend,
    )
    grads = torch.autograd.grad(
        final.membrane.sum(), (current, decay, threshold), materialize_grads=True
    )
    # The first step fires, at or above threshold, and its surrogate is 1 - |first - 1|; the second
    # does not, ending at v' = decay v + 0.25, and its surrogate is 1 - |v' - 1|.
    through = 0.0 if detach_reset else 1.0 - (first - 1.0)
    v = first - 1.0 if reset == "subtract" else 0.0
    second = 0.5 * v + 0.25
    slope = 0.0 if detach_reset else 1.0 - abs(second - 1.0)
    if reset == "subtract":
        d_second, first_step = 1.0 - slope, 1.0 - through
        d_threshold = slope + d_second * 0.5 * (through - 1.0)
    else:
        d_second, first_step = 1.0 - second * slope, -first * through
        d_threshold = second * slope + d_second * 0.5 * first * through
    d_current = [d_second * 0.5 * first_step, d_second]
    assert grads[0].flatten().tolist() == pytest.approx(d_current)
    assert grads[1].item() == pytest.approx(d_second * v)
    assert grads[2].item() == pytest.approx(d_threshold)


@backends
@pytest.mark.parametrize("timesteps", [1, 5])
def test_without_a_state_neurons_fire_alike(backend, timesteps):
    current, upstream = random_current(2, timesteps, 4, 3), random_current(2, timesteps, 4, 3)
    leaves = [current.clone().requires_grad_() for _ in range(2)]
    alone, none = run_lif(leaves[0], decay=0.9, with_state=False, backend=backend)
    together, state = run_lif(leaves[1], decay=0.9, backend=backend)
    assert torch.equal(alone, together)
    assert none.membrane.numel() == (0 if backend == "cpu" else state.membrane.numel())
    for spikes in (alone, together):
        spikes.backward(upstream.to(spikes.device))
    assert torch.equal(leaves[0].grad, leaves[1].grad)


@backends
@resets
def test_two_halves_equal_the_whole(backend, reset):
    adaptation = {"adaptation_decay": 0.8, "adaptation_strength": 0.1}
    decay = torch.tensor(0.9, requires_grad=True)
    run = partial(run_lif, decay=decay, reset=reset, backend=backend, **adaptation)
    current = random_current(2, 9, 4, 3).requires_grad_()
    whole, whole_final = run(current)
    first, state = run(current[:, :4])
    second, final = run(current[:, 4:], state)
    assert torch.equal(torch.cat([first, second], dim=1), whole)
    assert torch.equal(final.membrane, whole_final.membrane)
    assert torch.equal(final.adaptation, whole_final.adaptation)
    weights = random_current(2, 9, 4, 3, seed=3)
    (expected,) = torch.autograd.grad((whole * weights).sum() + whole_final.membrane.sum(), current)
    halves = (torch.cat([first, second], dim=1) * weights).sum() + final.membrane.sum()
    (got,) = torch.autograd.grad(halves, current)
    torch.testing.assert_close(got, expected)


@backends
@pytest.mark.parametrize(
    "shape", [(0, 4, 7), (2, 1, 7), (1, 17, 300), (3, 2), (2, 3, 0), (2, 3, 1, 1), (1, 2, 2, 3, 2)]
)
def test_shapes(backend, shape):
    got = results(random_current(*shape), backend, adaptive=True)
    state_shape = shape[:1] + shape[2:]
    assert got["spikes"].shape == got["d current"].shape == shape
    assert got["final membrane"].shape == got["final adaptation"].shape == state_shape
    assert got["d membrane"].shape == got["d adaptation"].shape == state_shape
    assert got["d decay"].shape == ()
    assert all(value.isfinite().all() for value in got.values())


@pytest.mark.parametrize(
    ("dtype", "state_dtype"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_dtypes(dtype, state_dtype):
    spikes, state = lif(torch.ones(1, 2, 3, dtype=dtype), decay=0.5)
    assert (spikes.dtype, state.membrane.dtype) == (dtype, state_dtype)


@backends
def test_membranes_are_float32_under_half_precision_input(backend):
    # 4096 + 1 is not a float16 or bfloat16; the membrane must hold it.
    current = torch.tensor([4096.0, 1.0]).view(1, 2, 1).to(torch.float16)
    for dtype in (torch.float16, torch.bfloat16):
        _, state = run_lif(current.to(dtype), decay=1.0, threshold=1e6, backend=backend)
        assert state.membrane.item() == 4097.0


@backends
def test_a_state_without_adaptation_starts_it_from_zero(backend):
    current, state = random_current(2, 3, 4), LifState(torch.rand(2, 4))
    run = partial(run_lif, current, decay=0.9, adaptation_decay=0.5, adaptation_strength=1.0)
    zero = LifState(state.membrane, torch.zeros(2, 4))
    assert torch.equal(run(state, backend=backend)[0], run(zero, backend=backend)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"current": torch.ones(3)}, "current"),
        ({"current": torch.ones(1, 0, 3)}, "at least one timestep"),
        ({"current": torch.ones(1, 2, 3, dtype=torch.int64)}, "floating-point"),
        ({"state": LifState(torch.ones(1, 4))}, r"state.membrane.*\(1, 3\)"),
        ({"state": LifState(torch.ones(1, 3), torch.ones(1, 3))}, "adaptation_decay"),
        (
            {"state": LifState(torch.ones(1, 3), torch.ones(3)), "adaptation_decay": 0.5},
            r"state.adaptation",
        ),
        ({"decay": torch.ones(3)}, "decay.*0-dim"),
        ({"reset": "hard"}, "'subtract', 'zero'"),
        ({"surrogate": "step"}, "'fast_sigmoid'"),
        ({"slope": 0.0}, "slope"),
        ({"backend": "gpu"}, "'auto'"),
        ({"max_spikes": 0}, "max_spikes"),
        ({"max_spikes": 2, "reset": "zero"}, "reset.*'subtract' with `max_spikes`"),
        ({"max_spikes": 2, "adaptation_decay": 0.5}, "adaptation_decay.*no adaptation"),
    ],
)
def test_bad_arguments(arguments, message):
    arguments = {"current": torch.ones(1, 2, 3), "decay": 0.5} | arguments
    with pytest.raises(ArgumentError, match=message):
        lif(arguments.pop("current"), arguments.pop("state", None), **arguments)
