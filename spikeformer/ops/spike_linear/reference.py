"""The linear map of spikes in plain torch: the definition that every kernel is tested against."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def linear_reference(spikes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The linear map of any input, of which `spike_linear` is the case of zeros and ones.

    Args:
        spikes: Input, (..., inputs).
        weight: Weight, (outputs, inputs).
        bias: Bias, (outputs,).
    """
    return F.linear(spikes, weight, bias)
