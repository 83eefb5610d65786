"""Every op in every dtype, also where torch's default dtype is another, as in "bf16-true" training.

Forward equals the reference exactly; gradients to the rounding of their dtype.
"""

from __future__ import annotations

import pytest
import torch

from spikeformer.ops import (
    LifState,
    lif,
    norm_lif,
    spike_attention,
    spike_conv2d,
    spike_encode,
    spike_linear,
)

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
ROUNDING = {torch.float16: 4e-3, torch.bfloat16: 3e-2}


@pytest.fixture(params=[torch.float32, torch.bfloat16, torch.float64], ids=str)
def default_dtype(request):
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run_lif(leaf, backend):
    current, state = leaf(rand(2, 9, 7) * 2 - 0.6), leaf(rand(2, 7, seed=1))
    return lif(
        current,
        LifState(state, leaf(rand(2, 7, seed=3))),
        decay=leaf(rand() * 0 + 0.875),
        threshold=0.75,
        adaptation_decay=0.5,
        adaptation_strength=0.125,
        backend=backend,
    )


def run_counts(leaf, backend):
    current, state = leaf(rand(2, 9, 7) * 4 - 1), leaf(rand(2, 7, seed=1))
    return lif(
        current,
        LifState(state),
        decay=leaf(rand() * 0 + 0.875),
        threshold=0.75,
        max_spikes=3,
        backend=backend,
    )


def run_norm_lif(leaf, backend):
    weight, bias = (leaf(rand(5, seed=seed) + 0.5) for seed in (1, 2))
    mean, var = (leaf(rand(5, seed=seed) + 0.5).detach() for seed in (3, 4))
    spikes, state = norm_lif(
        leaf(rand(3, 4, 6, 5) * 3 - 1),
        weight=weight,
        bias=bias,
        running_mean=mean,
        running_var=var,
        training=True,
        decay=leaf(rand() * 0 + 0.75),
        backend=backend,
    )
    return spikes, state, mean, var


def run_attention(leaf, backend, mechanism):
    spikes = [leaf((rand(2, 4, 6, 2, 5, seed=seed) < 0.4).double()) for seed in range(3)]
    operands = spikes[:2] if mechanism == "qk_token" else spikes
    return spike_attention(
        *operands,
        mechanism=mechanism,
        decay=leaf(rand() * 0 + 0.75),
        threshold=1.25,
        scale=0.5,
        backend=backend,
    )


def run_linear(leaf, backend):
    weights = (leaf(rand(6, 9, seed=1) - 0.5), leaf(rand(6, seed=2)))
    return (spike_linear(leaf((rand(5, 9) < 0.3).double()), *weights, backend=backend),)


def run_conv(leaf, backend):
    del backend  # one for all
    return (spike_conv2d(leaf((rand(2, 3, 5, 5) < 0.3).double()), leaf(rand(4, 3, 3, 3) - 0.5)),)


OPS = {
    "lif": run_lif,
    "lif with counts": run_counts,
    "norm_lif": run_norm_lif,
    "ssa": lambda *arguments: run_attention(*arguments, "ssa"),
    "sdsa": lambda *arguments: run_attention(*arguments, "sdsa"),
    "qk_token": lambda *arguments: run_attention(*arguments, "qk_token"),
    "spike_linear": run_linear,
    "spike_conv2d": run_conv,
}
# Kernels differ in how they load and store 16 bits, which tests/ops/test_formats.py has for every
# pattern: of two that do so by the same functions, one is compiled for both formats.
AS_OTHERS = ["lif with counts", "ssa", "qk_token"]
CASES = [
    (op, dtype) for op in OPS for dtype in DTYPES if dtype != torch.float16 or op not in AS_OTHERS
]


def results(op, dtype, backend):
    """Outputs, and the gradients of their weighted sum."""
    leaves = []

    def leaf(values):
        leaves.append(values.to(dtype).requires_grad_())
        return leaves[-1]

    outputs = []
    for output in OPS[op](leaf, backend):
        outputs += (
            [part for part in output if part is not None] if type(output) is LifState else [output]
        )
    scalar = sum(
        (output.double() * (rand(*output.shape, seed=9) - 0.25)).sum() for output in outputs
    )
    return [output.detach() for output in outputs], torch.autograd.grad(
        scalar, leaves, allow_unused=True
    )


@pytest.mark.parametrize(("op", "dtype"), CASES, ids=str)
def test_every_op_in_every_dtype(op, dtype, default_dtype):
    outputs, grads = results(op, dtype, "auto")
    torch.set_default_dtype(torch.float32)
    expected, expected_grads = results(op, dtype, "reference")
    for output, wanted in zip(outputs, expected, strict=True):
        assert output.dtype == wanted.dtype
        tolerance = ROUNDING.get(dtype, 1e-5) if op in ("spike_linear", "norm_lif") else 0.0
        torch.testing.assert_close(output, wanted, rtol=tolerance, atol=tolerance)
    for grad, wanted in zip(grads, expected_grads, strict=True):
        tolerance = ROUNDING.get(dtype, 1e-4)
        torch.testing.assert_close(grad, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("code", ["rate", "poisson", "latency", "delta"])
def test_every_code_in_every_dtype(code, dtype, default_dtype):
    x = rand(3, 7).to(dtype)
    spikes = spike_encode(x, 5, code=code, seed=1)
    torch.set_default_dtype(torch.float32)
    assert torch.equal(spikes, spike_encode(x, 5, code=code, seed=1, backend="reference"))
