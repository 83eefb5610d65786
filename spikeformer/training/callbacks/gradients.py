"""How large the gradients of each layer are while a network trains."""

from __future__ import annotations

import lightning as L
import torch
from torch import nn
from torch.optim import Optimizer

from spikeformer.error_handling import check_positive_int
from spikeformer.training.sharding import is_sharded


class GradientMonitor(L.Callback):
    r"""Logs `grad_norm/<layer>`: the norm of each layer's gradient, before clipping.

    A layer is a module with a weight matrix or kernel; its norm is `sqrt(sum_p ||dL/dp||^2)` over
    its parameters `p`, and the epoch's value the mean of the measured batches. A norm that falls by
    orders of magnitude from one layer to the one below it says that surrogate gradients vanish
    there. Networks whose parameters are sharded are left out, as are batches whose gradients are
    not finite (mixed precision skips such steps).

    Args:
        every_n_steps: Steps of the optimizer between two measurements.
    """

    def __init__(self, every_n_steps: int = 10) -> None:
        self.every_n_steps = check_positive_int("every_n_steps", every_n_steps)

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Measure and log, at every n-th step."""
        net = pl_module.net
        assert isinstance(net, nn.Module)
        if trainer.global_step % self.every_n_steps or is_sharded(net):
            return
        norms = gradient_norms(net)
        if norms and bool(torch.isfinite(torch.stack(list(norms.values()))).all()):
            numbers = {f"grad_norm/{name}": norm for name, norm in norms.items()}
            # Processes that train together have the same gradients by now.
            pl_module.log_dict(numbers, on_step=False, on_epoch=True, sync_dist=True)


def gradient_norms(net: nn.Module) -> dict[str, torch.Tensor]:
    """Return the norm of the gradient of each layer that has weights and a gradient, by path.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
        >>> net[0].weight.grad = torch.tensor([[3.0, 4.0]])
        >>> gradient_norms(net)
        {'0': tensor(5.)}
    """
    found = {}
    for path, module in net.named_modules():
        own = list(module.parameters(recurse=False))
        gradients = [p.grad for p in own if p.grad is not None]
        if gradients and any(parameter.ndim > 1 for parameter in own):
            norms = torch._foreach_norm(gradients)
            found[path] = torch.linalg.vector_norm(torch.stack(norms))
    return found
