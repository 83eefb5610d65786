"""Bring models into a state in which they fire, so that a test has something to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def calibrate(model: nn.Module, *inputs: Tensor) -> nn.Module:
    """Fill the running statistics of batch norms from these inputs; return the model in eval."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.uniform_(0.8, 1.5)
            norm.bias.uniform_(-0.2, 0.6)
        model.train()(*inputs)
        for norm in norms:
            norm.momentum = 0.1
    return model.eval()


@contextmanager
def recorded(model: nn.Module, *kinds: type[nn.Module]) -> Iterator[dict[str, tuple]]:
    """Collect `(input, output)` of every module of these kinds, by name."""
    seen: dict[str, tuple] = {}

    def hook_for(name):
        def hook(module, args, output):
            seen[name] = (args[0].detach(), output.detach())

        return hook

    handles = [
        module.register_forward_hook(hook_for(name))
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
