"""Makes optimizers from parameters, and carries their settings over to a resumed run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.i18n import t
from spikeformer.models import HierarchicalViT, SpikingBlock

OptimizerFactory = Callable[..., torch.optim.Optimizer]


def make_optimizer(
    factory: OptimizerFactory,
    parameters: Iterable[nn.Parameter],
    factors: Mapping[nn.Parameter, float] | None = None,
    matrices: Collection[nn.Parameter] = (),
) -> torch.optim.Optimizer:
    """Return an optimizer without weight decay on biases, norms and neurons' parameters.

    Args:
        factory: Makes it from parameter groups.
        parameters: Parameters, of which those with gradients are trained.
        factors: Of the learning rate, for some of the parameters, as `layer_factors` gives them.
        matrices: Which are matrices to an optimizer that treats those in another way (`Muon`), as
            `hidden_matrices` gives them.

    Raises:
        ArgumentError: The optimizer does not take all of them.
        ConfigurationError: Its `eps` is 0 in the parameters' precision.
    """
    params = [p for p in parameters if p.requires_grad]
    trial = _trial(factory)
    apart = set(matrices) if "matrix" in trial.defaults else set()
    groups = _groups(params, trial.defaults.get("lr"), factors or {}, apart)
    kind, eps = type(trial), trial.defaults.get("eps")
    remedy = "Choose one that takes all of them, such as AdamW."
    if issubclass(kind, torch.optim.SparseAdam):
        raise ArgumentError("optimizer", kind.__name__, "one for dense gradients", remedy)
    half = any(p.dtype == torch.float16 for p in params)
    if half and eps is not None and not torch.tensor(eps, dtype=torch.float16):
        raise ConfigurationError(t("training.eps_is_zero", eps=eps))
    if issubclass(kind, torch.optim.LBFGS) and not factors:
        return factory(params)  # it has no groups, and no weight decay
    try:
        return factory([group for group in groups if group["params"]])
    except (ValueError, TypeError) as error:
        expected = "one that takes weights, biases and norms"
        raise ArgumentError("optimizer", kind.__name__, expected, f"{error}. {remedy}") from error


def _groups(
    params: list[nn.Parameter],
    lr: Any,
    factors: Mapping[nn.Parameter, float],
    matrices: Collection[nn.Parameter],
) -> list[dict[str, Any]]:
    """Sort parameters by learning rate, weight decay, and whether they are treated as matrices."""
    groups: list[dict[str, Any]] = []
    for factor in sorted({factors.get(p, 1.0) for p in params}, reverse=True):
        own = {} if factor == 1.0 else {"lr": factor * float(lr)}
        those = [p for p in params if factors.get(p, 1.0) == factor]
        apart = [p for p in those if p in matrices]
        groups.append({"params": apart, "matrix": True, **own})
        groups.append({"params": [p for p in those if p.ndim >= 2 and p not in matrices], **own})
        groups.append({"params": [p for p in those if p.ndim < 2], "weight_decay": 0.0, **own})
    return groups


def layer_factors(net: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    """Return factors of the learning rate that fall from the head down to the input.

    The head and all else behind the blocks has 1, the last block `decay`, the one before
    `decay ** 2`, and so on to what stands before the first block. What stands between the stages
    of a `HierarchicalViT` counts with the block before it.

    Args:
        net: A network with blocks (`SpikingBlock`).
        decay: In (0, 1]; 1 is the same rate everywhere.

    Raises:
        ArgumentError: `decay` is out of range, or there are no blocks to count.

    Source: Clark et al., *ELECTRA*, ICLR 2020, arXiv:2003.10555.
    """
    if not 0 < decay <= 1:
        raise ArgumentError("layer_decay", decay, "a number above 0, at most 1")
    if decay == 1:
        return {}
    blocks = [module for module in net.modules() if isinstance(module, SpikingBlock)]
    if not blocks:
        expected = "1 for a network without SpikingBlock, whose layers nobody has counted"
        raise ArgumentError("layer_decay", decay, expected)
    depth = {p: index + 1 for index, block in enumerate(blocks) for p in block.parameters()}
    first, last = next(iter(blocks[0].parameters())), len(blocks) + 1
    for module in net.modules():
        if isinstance(module, HierarchicalViT):
            for embedding, stage in zip(module.embeddings, module.stages, strict=True):
                before = depth[next(iter(stage.blocks[0].parameters()))] - 1  # type: ignore[index, union-attr]
                depth |= dict.fromkeys(embedding.parameters(), before)
    current = 0
    for parameter in net.parameters():
        current = last if parameter is first else current
        depth.setdefault(parameter, current)
    return {parameter: decay ** (last - number) for parameter, number in depth.items()}


def hidden_matrices(net: nn.Module) -> set[nn.Parameter]:
    """Return the weights of a network's linear layers, save for the last one: the readout."""
    weights = [module.weight for module in net.modules() if isinstance(module, nn.Linear)]
    return {w for w in weights[:-1] if isinstance(w, nn.Parameter)}


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
                group["initial_lr"] *= now["lr"] / before["lr"]
    if "lr" in changed:
        for schedule in checkpoint.get("lr_schedulers", ()):
            for name in ("base_lrs", "_last_lr"):
                if name in schedule:
                    schedule[name] = [x * now["lr"] / before["lr"] for x in schedule[name]]
    for key, value in changed.items():
        rank_zero_info(t("training.setting_changed", name=key, before=before[key], now=value))


def _trial(factory: OptimizerFactory) -> torch.optim.Optimizer:
    return factory([nn.Parameter(torch.zeros(1, 1))])
