"""The minimum of two neurons' fractions in plain torch: the definition of the kernels."""

from __future__ import annotations

import torch
from torch import Tensor


def match_reference(one: Tensor, other: Tensor, *, total: bool) -> Tensor:
    """Minimum of `one` (b, t, n, *features) and `other`, and with `total` its sum over n.

    The gradient goes to the smaller of the two, and by halves to equal ones.
    """
    match = torch.minimum(one, other)
    if not total:
        return match
    wide = torch.promote_types(match.dtype, torch.float32)
    return match.sum(dim=2, keepdim=True, dtype=wide)
