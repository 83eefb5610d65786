from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from spikeformer.ops import dense

# Products on both sides of the smallest one that becomes a convolution.
SHAPES = [(700, 33, 401), (512, 128, 384), (3, 5, 2), (0, 64, 64), (4096, 64, 31)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
def test_is_the_product_of_torch(rows, inputs, outputs, bias):
    x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs)
    b = torch.randn(outputs) if bias else None
    torch.testing.assert_close(
        dense.linear(x, weight, b), F.linear(x, weight, b), rtol=1e-4, atol=1e-4
    )
    grad = torch.randn(rows, outputs)
    # The gradient of x is `linear` with the transposed weight, which is not contiguous.
    torch.testing.assert_close(dense.linear(grad, weight.t()), grad @ weight, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(dense.weight_gradient(grad, x), grad.t() @ x, rtol=1e-4, atol=1e-3)


def test_large_products_are_convolutions(monkeypatch):
    seen = []
    monkeypatch.setattr(F, "conv2d", lambda *a: seen.append(a) or torch.zeros(1, 384, 512, 1))
    dense.linear(torch.zeros(512, 128), torch.zeros(384, 128))
    assert len(seen) == torch.backends.mkldnn.is_available()
    dense.linear(torch.zeros(512, 128).bfloat16(), torch.zeros(384, 128).bfloat16())
    dense.linear(torch.zeros(8, 128), torch.zeros(384, 128))
    assert len(seen) == torch.backends.mkldnn.is_available()


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN")
def test_large_products_are_onednns_on_one_thread_too():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.profiler.profile() as profile:
            dense.linear(torch.zeros(512, 128), torch.zeros(384, 128))
            dense.weight_gradient(torch.zeros(512, 384), torch.zeros(512, 128))
    finally:
        torch.set_num_threads(threads)
    names = {event.key for event in profile.key_averages()}
    assert "aten::mkldnn_convolution" in names
    assert not any("slow_conv2d" in name for name in names)
