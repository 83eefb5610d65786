"""Let DCLS make a few kernels of delays; the test of `DelayLinear` compares with what it finds.

DCLS is the authors' package of learnt delays. It gets an environment of its own:

    python -m venv .bench/dcls
    .bench/dcls/bin/python -m pip install torch dcls==0.1.1
    .bench/dcls/bin/python scripts/dcls_kernels.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from DCLS.construct.modules import ConstructKernel1d
from torch import Tensor

RESULT = Path(__file__).parents[1] / "tests" / "models" / "dcls.json"
LEAST_WIDTH = 0.27
"""What DCLS adds to the width that it learns."""


def kernel(max_delay: int, width: float) -> dict[str, Any]:
    """Return a kernel of 2 inputs and 3 outputs, and the gradient of sum(kernel * upstream).

    DCLS counts positions from the middle of its kernel, here from the first step on.
    """
    options = {"out_channels": 3, "in_channels": 2, "groups": 1, "kernel_count": 1}
    size = max_delay + 1
    construct = ConstructKernel1d(**options, dilated_kernel_size=(size,), version="gauss")
    weight = torch.randn(3, 2, 1, dtype=torch.double)
    position = max_delay * torch.rand(3, 2, dtype=torch.double)
    learnt = (position - size // 2)[None, ..., None].requires_grad_()
    found: Tensor = construct(weight, learnt, torch.full_like(learnt, width - LEAST_WIDTH))
    upstream = torch.randn_like(found)
    (found * upstream).sum().backward()
    tensors = {
        "weight": weight[..., 0],
        "position": position,
        "upstream": upstream,
        "kernel": found,
        "position_gradient": learnt.grad[0, ..., 0],
    }
    values = {name: tensor.tolist() for name, tensor in tensors.items()}
    return {"max_delay": max_delay, "width": width, **values}


def main() -> None:
    torch.manual_seed(0)
    made = [kernel(*case) for case in ((1, 1.0), (4, 0.5), (7, 1.0), (8, 2.5))]
    RESULT.write_text(json.dumps({"dcls": version("dcls"), "kernels": made}) + "\n")


if __name__ == "__main__":
    main()
