"""`linear_norm_lif` against the two ops that it stands for, and what it keeps for backward."""

from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import linear_norm_lif, norm_lif, spike_linear
from spikeformer.ops.norm_lif.linear import linear_norm_lif_backward_op, linear_norm_lif_op
from tests.ops.devices import device_of
from tests.ops.norm_lif.cases import NEURON, batch_norm

CHANNELS, INPUTS = 6, 10


def statistics(norm):
    names = "weight", "bias", "running_mean", "running_var"
    return {name: getattr(norm, name) for name in names}


def leaves(rate, dtype=torch.float32, shape=(3, 4, 5), device="cpu"):
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(*shape, INPUTS, generator=generator) < rate).to(device, dtype)
    matrix = torch.randn(CHANNELS, INPUTS, generator=generator).to(device, dtype)
    return spikes.requires_grad_(), matrix.requires_grad_()


def two_ops(spikes, matrix, **options):
    return norm_lif(spike_linear(spikes, matrix), training=True, **options)[0]


def outcome(op, rate=0.4, dtype=torch.float32, backend="cpu", **neuron):
    """Spikes, running statistics and all gradients."""
    device = device_of(backend)
    given, norm = leaves(rate, dtype, device=device), batch_norm(CHANNELS).to(device)
    decay = torch.tensor(0.7, device=device, requires_grad=True)
    options = {**statistics(norm), "threshold": 0.9, "decay": decay, "backend": backend, **neuron}
    spikes = op(*given, **options)
    weights = torch.linspace(-1, 1, spikes.numel(), device=device).view_as(spikes)
    learned = [*given, norm.weight, norm.bias, decay]
    grads = torch.autograd.grad((spikes.float() * weights).sum(), learned)
    return [spikes, norm.running_mean, norm.running_var, *grads]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rate": 0.0},
        {"dtype": torch.bfloat16},
        {"reset": "zero", "detach_reset": True, "surrogate": "sigmoid"},
        {"adaptation_decay": 0.8, "adaptation_strength": 0.3},
        {"max_spikes": 4},
        {"backend": "reference"},
        {"backend": "triton"},
    ],
    ids=str,
)
def test_is_the_two_ops_bit_for_bit(options):
    got, expected = outcome(linear_norm_lif, **options), outcome(two_ops, **options)
    for ours, theirs in zip(got, expected, strict=True):
        assert torch.equal(ours, theirs)
    if options.get("rate") != 0:
        assert 0.05 < got[0].float().mean() < 0.95
        assert all(grad.any() for grad in got[3:])


def test_keeps_bits_and_no_currents():
    kept = []
    spikes, matrix = leaves(0.4, shape=(2, 4, 16))
    norm = batch_norm(CHANNELS)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        linear_norm_lif(spikes, matrix, **statistics(norm), **NEURON)
    parameters = (matrix, norm.weight, norm.bias)
    others = [x for x in kept if all(x is not parameter for parameter in parameters)]
    assert sum(x.nbytes for x in others) == spikes.numel() // 8 + 2 * 4 * CHANNELS  # and moments


def test_casts_as_autocast_does():
    spikes, matrix = leaves(0.4)
    with torch.autocast("cpu", torch.bfloat16):
        results = [
            op(spikes, matrix, **statistics(batch_norm(CHANNELS)), **NEURON)
            for op in (linear_norm_lif, two_ops)
        ]
    assert results[0].dtype == torch.bfloat16
    grads = [torch.autograd.grad(fired.float().square().sum(), matrix)[0] for fired in results]
    assert torch.equal(*results)
    assert torch.equal(*grads)
    assert grads[0].dtype == torch.float32


def test_operators_pass_opcheck():
    spikes, matrix = leaves(0.4, shape=(2, 3, 2))
    norm, bits = batch_norm(CHANNELS), torch.zeros(15, dtype=torch.uint8)
    tensors, state = (matrix, norm.weight, norm.bias), (torch.rand(2, 12), None, torch.rand(4))
    options = ([], "subtract", False, "fast_sigmoid", 4.0, 0, "cpu", 1, 1e-5)
    flat = spikes.detach().flatten(2).requires_grad_()
    arguments = (flat, *tensors, None, None, *state, *options)
    torch.library.opcheck(linear_norm_lif_op, arguments)
    constant = [x.detach() for x in tensors]
    moments, grads = (torch.zeros(6), torch.ones(6)), (torch.rand(2, 3, 12), None, None)
    arguments = (bits, *constant, *moments, *state, *options, True, *grads)
    torch.library.opcheck(linear_norm_lif_backward_op, arguments)


def test_compiles_to_the_same():
    def run(spikes, matrix):
        return linear_norm_lif(spikes, matrix, **statistics(norm), **NEURON).square().sum()

    outcomes = []
    for function in (run, torch.compile(run, fullgraph=True, backend="aot_eager")):
        norm, given = batch_norm(CHANNELS), leaves(0.4)
        grads = torch.autograd.grad(function(*given), [*given, norm.weight])
        outcomes.append([norm.running_mean.clone(), *grads])
    for eager, fast in zip(*outcomes, strict=True):
        torch.testing.assert_close(fast, eager)


def test_refuses_what_does_not_fit():
    spikes, matrix = leaves(0.4)
    options = {**statistics(batch_norm(CHANNELS)), **NEURON}
    with pytest.raises(ArgumentError, match="inputs"):
        linear_norm_lif(spikes[..., 1:], matrix, **options)
    with pytest.raises(ArgumentError, match="weight"):
        linear_norm_lif(spikes, matrix, **{**options, "weight": torch.ones(2)})
    with pytest.raises(ArgumentError, match="more than one value"):
        linear_norm_lif(spikes[:1, :1, :1], matrix, **options)
