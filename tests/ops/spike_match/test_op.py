"""`spike_match`: kernels against the reference, outputs exactly and gradients to rounding."""

from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.ops.spike_match import spike_match
from tests.ops.devices import device_of

kernels = pytest.mark.parametrize("kernel", ["cpu", "triton"])
KINDS = ["pairs", "tokens", "channels", "total"]


@pytest.fixture(autouse=True)
def poisoned_memory():
    """Fresh memory holds NaN, so a value left unwritten shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def fractions(*shape, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(-1, 5, shape, generator=generator).clamp(0) / 4).to(dtype)


def operands(kind, shape, **options):
    other = list(shape)
    if kind in ("tokens", "channels"):
        other[2 if kind == "tokens" else -1] = 1
    return fractions(*shape, seed=0, **options), fractions(*other, seed=1, **options)


def results(one, other, kind, backend):
    one, other = (x.to(device_of(backend)).detach().requires_grad_() for x in (one, other))
    out = spike_match(one, other, total=kind == "total", backend=backend)
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    grads = torch.autograd.grad(out, (one, other), upstream.to(out))
    return [x.detach().cpu() for x in (out, *grads)]


def assert_matches_reference(one, other, kind, kernel):
    expected = results(one, other, kind, "reference")
    got = results(one, other, kind, kernel)
    assert torch.equal(got[0], expected[0])
    tolerance = {torch.bfloat16: 2e-2, torch.float16: 4e-3}.get(one.dtype, 1e-5)
    for grad, wanted in zip(got, expected, strict=True):
        assert grad.dtype == wanted.dtype
        torch.testing.assert_close(grad, wanted, rtol=tolerance, atol=tolerance)


@kernels
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape", [(2, 3, 5, 2, 7), (1, 1, 37, 3, 32), (2, 1, 4, 35), (1, 1, 3, 1, 1), (0, 2, 3, 4)]
)
def test_shapes(kernel, kind, shape):
    assert_matches_reference(*operands(kind, shape), kind, kernel)


@kernels
@pytest.mark.parametrize(("dtype", "kinds"), [(torch.bfloat16, KINDS), (torch.float16, ["pairs"])])
def test_half_precision(kernel, dtype, kinds):  # kernels differ in `FORMATS` alone
    for kind in kinds:
        assert_matches_reference(*operands(kind, (2, 3, 5, 2, 7), dtype=dtype), kind, kernel)


@kernels
def test_memory_layouts(kernel):
    shape = (2, 3, 5, 4, 6)
    layouts = (
        lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
        lambda x: torch.stack([x, x], dim=3)[:, :, :, 1],  # as a projection's chunk
        lambda x: x.repeat_interleave(2, dim=-1)[..., ::2],
        lambda x: x[:, :1].expand(x.shape),
    )
    for kind in KINDS:
        for layout in layouts:
            assert_matches_reference(*map(layout, operands(kind, shape)), kind, kernel)


@kernels
def test_backward_keeps_a_byte_of_each_pair(kernel):
    device, saved = device_of(kernel), []
    one, other = (x.to(device).requires_grad_() for x in operands("pairs", (2, 1, 5, 2, 7)))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        spike_match(one, other, total=True, backend=kernel)
    assert [x.nbytes for x in saved] == [one.numel()]


def test_not_a_number_passes():
    one, other = operands("pairs", (1, 1, 2, 3))
    one[0, 0, 0, 0] = other[0, 0, 1, 1] = torch.nan
    out = spike_match(one.requires_grad_(), other, backend="cpu")
    assert out.isnan().flatten().tolist() == [True, False, False, False, True, False]


def test_other_dtypes_are_promoted():
    one, other = operands("tokens", (1, 1, 3, 4))
    one, other = one.bfloat16().requires_grad_(), other.requires_grad_()
    out = spike_match(one, other)
    assert out.dtype == torch.float32
    grads = torch.autograd.grad(out.sum(), (one, other))
    assert [grad.dtype for grad in grads] == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("kind", KINDS)
def test_compiles_without_graph_breaks(kind):
    def match(one, other):
        return spike_match(one, other, total=kind == "total")

    one, other = (x.requires_grad_() for x in operands(kind, (2, 1, 3, 2, 4)))
    out = torch.compile(match, fullgraph=True, backend="aot_eager")(one, other)
    expected = match(one, other)
    assert torch.equal(out, expected)
    compiled, eager = (torch.autograd.grad(x.sum(), (one, other)) for x in (out, expected))
    torch.testing.assert_close(compiled, eager)


@pytest.mark.parametrize(
    ("one", "other", "total", "named"),
    [
        ((2, 3, 4), (2, 3, 4), False, "one"),
        ((2, 1, 3, 4), (2, 1, 3, 2), False, "other"),
        ((2, 1, 3, 2, 4), (2, 1, 1, 2, 1), False, "other"),
        ((2, 1, 3, 4), (2, 1, 1, 4), True, "other"),
    ],
)
def test_shapes_that_do_not_fit_are_named(one, other, total, named):
    with pytest.raises(ArgumentError, match=f"`{named}`"):
        spike_match(torch.ones(one), torch.ones(other), total=total)
