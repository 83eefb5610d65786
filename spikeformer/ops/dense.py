"""Dense products of matrices, by the faster of torch's two libraries.

On CPUs `torch.nn.functional.linear` calls the BLAS torch was built with, and convolutions call
oneDNN. With MKL on a processor that is not Intel's, oneDNN takes half the time of products that are
not small (`scripts/bench/ops/spike_linear.py` measures it). So larger ones are written as the
convolution of pictures, whose pixels are the rows, with a kernel of one pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Multiply-adds below which a convolution's set-up costs more than it gains, and channels below
# which it leaves most of a vector register empty.
_MIN_WORK = 1 << 23
_MIN_WIDTH = 32
# Of fewer pictures, torch leaves a kernel of one pixel to BLAS again where it has a single thread.
_MIN_PICTURES = 16


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` of x (rows, inputs) and weight (outputs, inputs)."""
    if not _is_large(x, weight.shape[0]):
        return F.linear(x, weight, bias)
    pixels = F.conv2d(_as_pictures(x), weight.contiguous().view(*weight.shape, 1, 1), bias)
    return pixels.permute(0, 2, 3, 1).reshape(x.shape[0], weight.shape[0])


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Gradient of `linear`'s weight, (outputs, inputs), from that of its output."""
    if not _is_large(x, grad.shape[1]):
        return grad.t() @ x
    kernel = grad.new_empty(grad.shape[1], x.shape[1], 1, 1)
    _, grad_kernel, _ = torch.ops.aten.convolution_backward(
        _as_pictures(grad),
        _as_pictures(x),
        kernel,
        bias_sizes=None,
        stride=[1, 1],
        padding=[0, 0],
        dilation=[1, 1],
        transposed=False,
        output_padding=[0, 0],
        groups=1,
        output_mask=[False, True, False],
    )
    gradient: Tensor = grad_kernel.view(kernel.shape[:2])
    return gradient


def _is_large(x: Tensor, outputs: int) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and _has_onednn()
        and min(x.shape[1], outputs) >= _MIN_WIDTH
        and x.numel() * outputs >= _MIN_WORK
    )


@torch.compiler.assume_constant_result
def _has_onednn() -> bool:
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available


def _as_pictures(x: Tensor) -> Tensor:
    """Rows (n, c) as pixels, channels last: a view of contiguous rows, as 16 pictures or as one."""
    rows, channels = x.shape
    pictures = _MIN_PICTURES if rows % _MIN_PICTURES == 0 else 1
    return x.contiguous().view(pictures, rows // pictures, 1, channels).permute(0, 3, 1, 2)
