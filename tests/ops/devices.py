"""Where the tests of a backend run: Triton's on a GPU if there is one, all others on the CPU."""

from __future__ import annotations

import torch

CPU = torch.device("cpu")
DEVICE = torch.device("cuda") if torch.cuda.is_available() else CPU


def device_of(backend):
    return DEVICE if backend == "triton" else CPU
