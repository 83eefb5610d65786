"""LAMB: Adam whose step for each matrix is as long as the matrix is large."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from spikeformer.config import registered
from spikeformer.error_handling import ArgumentError, check_interval


@registered
class Lamb(Optimizer):
    r"""Layer-wise adaptive moments, with which published spiking transformers train on ImageNet.

    With Adam's moments m and v, corrected for their start at 0, and the weight decay lambda::

        u = m / (sqrt(v) + eps) + lambda * w
        w <- w - lr * r * u,    r = |w| / |u|

    Vectors (biases, batch norms, neurons' parameters) have r = 1, and so has a weight or an update
    that is all 0: as in the implementation that the recipes were made with (timm's). That one
    limits the gradients' norm to 1 by itself; here `trainer.gradient_clip_val` does.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, 0 and above: about a matrix's relative change in a step.
        betas: Decay of the two moments in a step, in [0, 1].
        eps: Added to the root of the second moment; 0 and above.
        weight_decay: lambda, 0 and above.
        max_ratio: Largest r; 1 is the `trust_clip` of Spike-driven Transformer V3.

    Source: You et al., ICLR 2020, arXiv:1904.00962.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        max_ratio: float = math.inf,
    ) -> None:
        for name, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
            check_interval(name, value, 0.0, math.inf)
        if not max_ratio > 0:
            raise ArgumentError("max_ratio", max_ratio, "a number above 0")
        for beta in betas:
            check_interval("betas", beta, 0.0, 1.0)
        settings = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "max_ratio": max_ratio})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Change every parameter that has a gradient; return the loss of `closure`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        mean = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (square / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        update = (mean / (1 - beta1 ** state["step"])).div_(root)
        update.add_(weight, alpha=group["weight_decay"])
        if weight.ndim >= 2:
            ratio = torch.linalg.vector_norm(weight) / torch.linalg.vector_norm(update)
            # 0 / x and x / 0 mean that there is no length to go by.
            ratio = torch.where((ratio > 0) & torch.isfinite(ratio), ratio, 1.0)
            update.mul_(ratio.clamp(max=group["max_ratio"]))
        weight.sub_(update, alpha=group["lr"])
