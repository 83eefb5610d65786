"""Copies of networks, whoever wrote them."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


def copy_network(network: nn.Module, shared: dict[int, Any] | None = None) -> nn.Module:
    """Return a deep copy of a network, its weights computed from others included.

    `torch.nn.utils.weight_norm`, `prune` and networks that cache what they computed keep results of
    autograd, which torch does not copy.

    Args:
        network: The network; it stays as it is.
        shared: What the copy is to share with it, by identity.
    """
    known = {} if shared is None else dict(shared)
    for module in network.modules():
        for value in tree_leaves(list(vars(module).values())):
            if isinstance(value, Tensor) and not value.is_leaf:
                known.setdefault(id(value), value.detach().clone())
    return copy.deepcopy(network, known)


def uncompiled(network: nn.Module) -> nn.Module:
    """Return a network without the wrappers of `torch.compile`; its modules are changed in place.

    Paths lose the `_orig_mod` that the wrappers add, so that a network has the same with them and
    without.
    """
    while "_orig_mod" in network._modules:
        network = network.get_submodule("_orig_mod")
    for name, child in network.named_children():
        if (plain := uncompiled(child)) is not child:
            network._modules[name] = plain
    return network
