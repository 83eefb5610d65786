"""Trains a converted network to give the outputs of its original."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from tqdm import tqdm  # type: ignore[import-untyped]

from spikeformer.conversion.model import SpikingModel
from spikeformer.data.batch import arguments, device_of, to_device
from spikeformer.i18n import t


def fine_tune(
    spiking: SpikingModel,
    original: nn.Module,
    batches: Sequence[Any],
    *,
    epochs: int,
    learning_rate: float,
    progress: bool = True,
) -> list[float]:
    """Distil the original into the spiking network on unlabelled inputs.

    The loss is the Kullback-Leibler divergence of the logits, or for networks without a classifier
    the relative squared error of what they return. Neurons pass gradients straight through. The
    weights of the best epoch are kept, those before the first included; it ends early after an
    epoch that was no better.

    Args:
        spiking: The network; its weights are changed.
        original: What it was converted from.
        batches: Inputs as the network takes them.
        epochs: Most epochs.
        learning_rate: Step size of AdamW.
        progress: Show a progress bar.

    Returns:
        The mean loss before training and after each epoch.
    """
    optimizer = torch.optim.AdamW(spiking.original.parameters(), lr=learning_rate, weight_decay=0.0)
    losses = [_mean_loss(spiking, original, batches)]
    best = copy.deepcopy(spiking.original.state_dict())
    for epoch in range(epochs):
        doing = t("conversion.fine_tuning", epoch=epoch + 1, epochs=epochs)
        shown = tqdm(batches, desc=doing, disable=not progress)
        for inputs in shown:
            loss = _loss(spiking, original, inputs)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            shown.set_postfix(loss=f"{loss.item():.2e}", refresh=False)
        losses.append(_mean_loss(spiking, original, batches))
        if losses[-1] >= min(losses[:-1]):
            break
        best = copy.deepcopy(spiking.original.state_dict())
    optimizer.zero_grad()
    spiking.original.load_state_dict(best)
    return losses


@torch.no_grad()
def _mean_loss(spiking: SpikingModel, original: nn.Module, batches: Sequence[Any]) -> float:
    losses = [_loss(spiking, original, inputs) for inputs in batches]
    return float(torch.stack(losses).mean())


def _loss(spiking: SpikingModel, original: nn.Module, inputs: Any) -> Tensor:
    args, kwargs = arguments(to_device(inputs, device_of(original)))
    with torch.no_grad():
        wanted = original(*args, **kwargs)
    given = spiking(*args, **kwargs)
    theirs, ours = getattr(wanted, "logits", None), getattr(given, "logits", None)
    if isinstance(theirs, Tensor) and isinstance(ours, Tensor):
        return F.kl_div(
            ours.log_softmax(-1), theirs.log_softmax(-1), log_target=True, reduction="batchmean"
        )
    pairs = [
        (a, b)
        for a, b in zip(tree_leaves(given), tree_leaves(wanted), strict=True)
        if isinstance(b, Tensor) and b.is_floating_point()
    ]
    return torch.stack([(a - b).square().mean() / b.square().mean() for a, b in pairs]).mean()
