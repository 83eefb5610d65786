"""Makes optimizers from parameters, and carries their settings over to a resumed run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.i18n import t

OptimizerFactory = Callable[..., torch.optim.Optimizer]


def make_optimizer(
    factory: OptimizerFactory, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """Return an optimizer without weight decay on biases, norms and neurons' parameters.

    Args:
        factory: Makes it from parameter groups.
        parameters: Parameters, of which those with gradients are trained.

    Raises:
        ArgumentError: The optimizer does not take all of them.
        ConfigurationError: Its `eps` is 0 in the parameters' precision.
    """
    params = [p for p in parameters if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in params if p.ndim >= 2]},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ]
    trial = _trial(factory)
    kind, eps = type(trial), trial.defaults.get("eps")
    remedy = "Choose one that takes all of them, such as AdamW."
    if issubclass(kind, torch.optim.SparseAdam):
        raise ArgumentError("optimizer", kind.__name__, "one for dense gradients", remedy)
    half = any(p.dtype == torch.float16 for p in params)
    if half and eps is not None and not torch.tensor(eps, dtype=torch.float16):
        raise ConfigurationError(t("training.eps_is_zero", eps=eps))
    if issubclass(kind, torch.optim.LBFGS):
        return factory(params)  # it has no groups, and no weight decay
    try:
        return factory([group for group in groups if group["params"]])
    except (ValueError, TypeError) as error:
        expected = "one that takes weights, biases and norms"
        raise ArgumentError("optimizer", kind.__name__, expected, f"{error}. {remedy}") from error


def settings_of(factory: OptimizerFactory) -> dict[str, Any]:
    """Return an optimizer's type and what it is set to, as plain data."""
    optimizer = _trial(factory)
    plain = (bool, int, float, str, tuple, type(None))
    settings = {k: v for k, v in optimizer.defaults.items() if isinstance(v, plain)}
    return {"type": type(optimizer).__name__, **settings}


def change_settings(checkpoint: dict[str, Any], now: dict[str, Any]) -> None:
    """Let the optimizer in a checkpoint have the settings of the run that goes on from it.

    A learning rate that a schedule has changed keeps its share of the one set.

    Args:
        checkpoint: A checkpoint with "optimizer_settings"; changed in place.
        now: The settings of the run, as `settings_of` returns them.

    Raises:
        ArgumentError: The checkpoint is of another optimizer.
    """
    before = checkpoint["optimizer_settings"]
    if before["type"] != now["type"]:
        raise ArgumentError(
            "optimizer",
            now["type"],
            f"{before['type']}, which the checkpoint was trained with",
            "Another one starts anew: load the weights alone.",
        )
    changed = {key: now[key] for key in now if key in before and before[key] != now[key]}
    for state in checkpoint.get("optimizer_states", ()):
        for group in state["param_groups"]:
            for key, value in changed.items():
                if group.get(key) == before[key]:
                    group[key] = value
                elif key == "lr":
                    group[key] *= value / before[key]
            if "lr" in changed and "initial_lr" in group:
                group["initial_lr"] = now["lr"]
    if "lr" in changed:
        for schedule in checkpoint.get("lr_schedulers", ()):
            for name in ("base_lrs", "_last_lr"):
                if name in schedule:
                    schedule[name] = [x * now["lr"] / before["lr"] for x in schedule[name]]
    for key, value in changed.items():
        rank_zero_info(t("training.setting_changed", name=key, before=before[key], now=value))


def _trial(factory: OptimizerFactory) -> torch.optim.Optimizer:
    return factory([nn.Parameter(torch.zeros(1, 1))])
