"""Muon for the matrices inside a network, AdamW for all else, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from spikeformer.config import registered


@registered
class Muon(Optimizer):
    r"""Orthogonalised momentum for matrices, AdamW for the other parameters.

    Groups with `"matrix": True` are updated by `torch.optim.Muon`, whose step is made as large as
    AdamW's usually is (`0.2 sqrt(max(rows, columns))` times the orthogonal matrix), so that one
    learning rate and one weight decay hold for all; the others by `torch.optim.AdamW`.
    `SpikingModule` marks the weights of linear layers, save for the last one, the readout;
    convolutions, embeddings, norms and biases are AdamW's.

    Args:
        params: Parameters, or groups of them; matrices in groups with `"matrix": True`.
        lr: Learning rate.
        betas: Decay of AdamW's two moments in a step.
        eps: Added to the root of AdamW's second moment.
        weight_decay: Weight decay, decoupled.
        momentum: Decay of Muon's momentum in a step.
        nesterov: Let that momentum look a step ahead.
        ns_steps: Newton-Schulz iterations that make the momentum orthogonal.

    Source: Jordan et al., *Muon*, 2024, https://kellerjordan.github.io/posts/muon; the size of its
    step, Liu et al., 2025, arXiv:2502.16982.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        shared: dict[str, Any] = {"lr": lr, "eps": eps, "weight_decay": weight_decay}
        muon: dict[str, Any] = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
        some = [nn.Parameter(torch.zeros(1, 1))]  # both refuse what they cannot be set to
        defaults = {
            **torch.optim.Muon(some, adjust_lr_fn="match_rms_adamw", **muon, **shared).defaults,
            **AdamW(some, betas=(betas[0], betas[1]), **shared).defaults,
        }
        super().__init__(params, {**defaults, "matrix": False})

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
        kinds: tuple[Any, ...] = (torch.optim.Muon, AdamW)
        for kind, matrix in zip(kinds, (True, False), strict=True):
            if groups := [group for group in self.param_groups if group["matrix"] is matrix]:
                # Made anew in each step, on these groups and this state: what a schedule sets and
                # a checkpoint brings is theirs, and nothing else has to be kept.
                part = kind(groups)
                part.state = self.state
                part.step()
        return loss
