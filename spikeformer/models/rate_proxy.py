"""The rate proxy of a spiking network: an ANN on the same weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.error_handling import ArgumentError
from spikeformer.instrument import copy_network
from spikeformer.models.layers import SpikeConv2d, SpikeLinear
from spikeformer.neurons import RateNeuron, SpikingNeuron


def rate_proxy(net: nn.Module, timesteps: int | None = None) -> nn.Module:
    """Return `net` with every neuron replaced by its rate function, on the same weights.

    Parameters and buffers of the proxy *are* those of `net`: what trains one trains the other. It
    computes one timestep instead of T, so a training step costs about a T-th.

    Args:
        net: A network with `SpikingNeuron`s inside.
        timesteps: T, over which rates are taken; None reads it from the layers' `timesteps`, or
            from the currents where no layer has it.

    Raises:
        ArgumentError: The network has no spiking neurons, or its layers have different timesteps.

    Example:
        >>> import torch
        >>> from spikeformer.models import SpikingViT
        >>> net = SpikingViT(1, 8, d_model=16, nhead=2, num_layers=1, stem_strides=[1, 2])
        >>> rate_proxy(net)(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 1, 16, 16])
    """
    if not any(isinstance(module, SpikingNeuron) for module in net.modules()):
        raise ArgumentError("net", type(net).__name__, "a network with spiking neurons")
    if timesteps is None:
        timesteps = declared_timesteps(net)
    shared: dict[int, Any] = {id(x): x for x in (*net.parameters(), *net.buffers())}
    return _replaced(without_hooks(copy_network(net, shared)), timesteps)


def without_hooks(copied: nn.Module) -> nn.Module:
    """Remove hooks from a copied network: those on the network are not meant for the copy."""
    for module in copied.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return copied


def declared_timesteps(net: nn.Module) -> int | None:
    """Return the `timesteps` of a network's layers, None where none has any.

    Raises:
        ArgumentError: They differ.
    """
    values = {getattr(module, "timesteps", None) for module in net.modules()}
    found = {value for value in values if isinstance(value, int)}
    if len(found) > 1:
        raise ArgumentError("timesteps", sorted(found), "the same in all layers")
    return found.pop() if found else None


def _replaced(module: nn.Module, timesteps: int | None) -> nn.Module:
    """Return what stands for `module` in the proxy, its children replaced in place."""
    if isinstance(module, SpikingNeuron):
        return RateNeuron(module, timesteps)
    if isinstance(module, SpikeConv2d):
        return _any_input(module)
    if isinstance(module, SpikeLinear):
        module.binary = False
    if isinstance(module, SpikeEncoder):
        module.register_forward_hook(_mean_over_time)
    elif timesteps is not None and hasattr(module, "timesteps"):
        vars(module)["timesteps"] = 1
    for name, child in module.named_children():
        setattr(module, name, _replaced(child, timesteps))
    return module


def _any_input(conv: SpikeConv2d) -> nn.Conv2d:
    """Return the convolution that takes any numbers, with the same weight."""
    plain = nn.Conv2d.__new__(nn.Conv2d)
    plain.__dict__ = conv.__dict__
    return plain


def _mean_over_time(module: nn.Module, args: Any, spikes: Tensor) -> Tensor:
    return spikes.mean(dim=1, keepdim=True)
