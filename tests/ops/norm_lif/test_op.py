"""`norm_lif` against batch norm followed by `lif`, and its kernels against its reference."""

from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import LifState, lif, norm_lif
from tests.ops.devices import device_of
from tests.ops.norm_lif.cases import (
    NEURON,
    assert_equal_results,
    batch_norm,
    random_input,
    results,
)

KERNELS = ["cpu", "triton"]
SHAPES = [
    ((3, 4, 5, 7), -1),
    ((2, 1, 500), 2),
    ((2, 35, 7), 2),
    ((1, 2, 1), 2),
    ((2, 3, 6, 5, 4), 2),
    ((65, 2, 3), 2),
    ((6, 1, 14, 40), -1),  # on CPUs, rows of 21 tokens
]


@pytest.mark.parametrize("backend", ["reference", *KERNELS])
@pytest.mark.parametrize("training", [True, False])
def test_is_batch_norm_then_lif(backend, training):
    device = device_of(backend)
    norm, other = (batch_norm(6).train(training).to(device) for _ in range(2))
    x = random_input(4, 3, 5, 6).to(device)
    expected = lif(norm(x.flatten(0, 2)).view(x.shape), decay=0.7, threshold=0.9)[0]
    spikes, _ = norm_lif(
        x,
        weight=other.weight,
        bias=other.bias,
        running_mean=other.running_mean,
        running_var=other.running_var,
        training=training,
        decay=0.7,
        threshold=0.9,
        backend=backend,
    )
    assert torch.equal(spikes, expected)
    assert 0.1 < spikes.mean() < 0.9
    torch.testing.assert_close(other.running_mean, norm.running_mean)
    torch.testing.assert_close(other.running_var, norm.running_var)
    weight = torch.rand_like(spikes)
    parameters = [norm.weight, norm.bias], [other.weight, other.bias]
    for theirs, ours in zip(
        torch.autograd.grad((expected * weight).sum(), parameters[0]),
        torch.autograd.grad((spikes * weight).sum(), parameters[1]),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize(
    ("shape", "axis", "training"),
    [*((*case, True) for case in SHAPES), *((*case, False) for case in SHAPES[::2])],
)
def test_kernel_equals_reference(shape, axis, training, backend):
    x = random_input(*shape)
    got = results(x, axis, backend, training=training)
    assert_equal_results(got, results(x, axis, "reference", training=training))


@pytest.mark.parametrize("backend", KERNELS)
def test_kernel_equals_reference_in_half_precision(backend):
    x = random_input(4, 3, 5, 7).to(torch.bfloat16)
    assert_equal_results(results(x, -1, backend), results(x, -1, "reference"))


@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize(
    "neuron",
    [
        {"reset": "zero", "detach_reset": True, "surrogate": "sigmoid"},
        {"adaptation_decay": 0.9, "adaptation_strength": 0.3},
        {"max_spikes": 4},
    ],
)
def test_every_neuron(neuron, backend):
    x = random_input(3, 6, 4, 5)
    got = results(x, -1, backend, **neuron)
    assert_equal_results(got, results(x, -1, "reference", **neuron))


@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize("shape", [(6, 1, 14, 40), (2, 3, 1100)])
def test_without_a_state_neurons_fire_alike(shape, backend):
    x, upstream = random_input(*shape).to(device_of(backend)), random_input(*shape, seed=1)
    got = []
    for kernel, with_state in ((backend, False), ("reference", True)):
        norm, leaf = batch_norm(shape[-1]).to(x.device), x.clone().requires_grad_()
        spikes, state = norm_lif(
            leaf,
            weight=norm.weight,
            bias=norm.bias,
            running_mean=norm.running_mean,
            running_var=norm.running_var,
            training=False,
            with_state=with_state,
            max_spikes=4,
            backend=kernel,
            **NEURON,
        )
        leaves = leaf, norm.weight, norm.bias
        got.append((spikes, torch.autograd.grad(spikes, leaves, upstream.to(x.device))))
        assert state.membrane.numel() in ((0,) if kernel == "cpu" else (x[:, 0].numel(),))
    assert torch.equal(got[0][0], got[1][0])
    assert got[0][0].unique().numel() == 5
    for ours, expected in zip(got[0][1], got[1][1], strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize("layout", ["channels last", "time first", "expanded", "strided"])
def test_any_memory_layout(layout, backend):
    x = random_input(3, 4, 6, 5, 2)
    if layout == "channels last":
        flat = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        other = flat.unflatten(0, x.shape[:2])
    elif layout == "time first":
        other = x.transpose(0, 1).contiguous().transpose(0, 1)
    elif layout == "expanded":
        x = x[:, :1].expand(x.shape)
        other, x = x, x.contiguous()
    else:
        other = torch.stack([x, x], dim=-1)[..., 0]
    assert torch.equal(other, x)
    assert_equal_results(results(other, 2, backend), results(x, 2, "reference"))


@pytest.mark.parametrize("backend", KERNELS)
def test_a_mean_far_from_zero_costs_no_digits(backend):
    x = random_input(8, 4, 16, 5)
    near = results(x, -1, backend)
    # Steps of 2^-8 near 1000 are exact in float32, so both inputs are the same up to the shift.
    x = (x * 64).round() / 64
    near, far = results(x, -1, backend), results(x + 1024.0, -1, backend)
    assert torch.equal(near["spikes"], far["spikes"])
    torch.testing.assert_close(near["running variance"], far["running variance"])
    torch.testing.assert_close(near["d weight"], far["d weight"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("backend", ["reference", *KERNELS])
@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_changes_nothing(backend, training):
    norm = batch_norm(3).to(device_of(backend))
    before = norm.running_mean.clone()
    x = torch.zeros(0, 2, 3, device=device_of(backend), requires_grad=True)
    spikes, state = norm_lif(
        x,
        weight=norm.weight,
        bias=norm.bias,
        running_mean=norm.running_mean,
        running_var=norm.running_var,
        training=training,
        decay=0.5,
        backend=backend,
    )
    spikes.sum().backward()
    assert spikes.shape == (0, 2, 3)
    assert state.membrane.shape == (0, 3)
    assert torch.equal(norm.running_mean, before)
    assert x.grad.shape == x.shape


def test_the_number_of_threads_changes_nothing():
    x = random_input(9, 4, 64, 300)
    threads = torch.get_num_threads()
    got = []
    for count in (1, 2):
        torch.set_num_threads(count)
        got.append(results(x, -1, "cpu"))
    torch.set_num_threads(threads)
    for name, value in got[0].items():
        assert torch.equal(value, got[1][name]), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": torch.ones(2)}, r"weight.*\(3,\).*\(2,\)"),
        ({"channel_axis": 1}, "feature axis"),
        ({"state": LifState(torch.zeros(2, 2))}, "state.membrane"),
        ({"reset": "half"}, "reset"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    vectors = dict.fromkeys(["weight", "bias", "running_mean", "running_var"], torch.ones(3))
    with pytest.raises(ArgumentError, match=message):
        norm_lif(torch.zeros(2, 4, 3), **{**vectors, "training": True, "decay": 0.5, **arguments})


def test_one_value_has_no_variance():
    one = dict.fromkeys(["weight", "bias", "running_mean", "running_var"], torch.ones(3))
    with pytest.raises(ArgumentError, match="more than one value"):
        norm_lif(torch.zeros(1, 1, 3), **one, training=True, decay=0.5)
