"""How much memory a training step takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from spikeformer.data.batch import Inputs, call, first, num_samples
from spikeformer.instrument import copy_network
from spikeformer.models import recompute_currents

_COPIES_OF_WEIGHTS = 4
"""Weights, their gradients, and the two moments that Adam keeps."""
_TRANSIENT = 2.0
"""Peak over what is saved for backward: gradients of activations live beside the activations."""
_AT_ONCE = 4
"""How often a layer whose currents come back has them at its peak, gradients among them."""


def saved_bytes(net: nn.Module, inputs: Inputs) -> int:
    """Return the bytes that a forward pass keeps for backward, weights aside.

    Everything runs on a copy of the network in training mode, so that nothing of it changes.

    Args:
        net: The network.
        inputs: One batch, as the network takes it.

    Example:
        >>> saved_bytes(nn.Linear(3, 5, bias=False), torch.ones(2, 3))  # the input
        24
    """
    return sum(_saved_sizes(copy_network(net).train(), inputs))


def _saved_sizes(trial: nn.Module, inputs: Inputs) -> list[int]:
    """Bytes of each storage that `saved_bytes` counts."""
    weights = {p.untyped_storage().data_ptr() for p in trial.parameters()}
    storages: dict[int, tuple[Tensor, int]] = {}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            # The tensor itself is kept, or another storage could get its address.
            storages[storage.data_ptr()] = (x, storage.nbytes())
        return x

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            outputs = call(trial, inputs)
        del outputs
    return [size for _, size in storages.values()]


def step_bytes(net: nn.Module, inputs: Inputs, batch_size: int) -> int:
    """Return an estimate of the memory of one training step with so many samples.

    Extrapolates from what two and four samples keep for backward.

    Args:
        net: The network.
        inputs: A batch of at least two samples.
        batch_size: Samples of the step.
    """
    many = min(4, num_samples(inputs))
    few = many // 2
    small, large = saved_bytes(net, _copied(inputs, few)), saved_bytes(net, _copied(inputs, many))
    each = (large - small) / (many - few)
    activations = small + each * (batch_size - few)
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    peak = _TRANSIENT * max(activations, 0)
    if any(getattr(module, "recompute", False) for module in net.modules()):
        trial = copy_network(net).train()
        recompute_currents(trial, "none")
        largest = max(_saved_sizes(trial, _copied(inputs, many)), default=0) / many
        peak = max(peak, activations + _AT_ONCE * largest * batch_size)
    return round(_COPIES_OF_WEIGHTS * weights + peak)


def _copied(inputs: Inputs, count: int) -> Any:
    # A view would count with all of the memory behind it.
    return tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, first(inputs, count))
