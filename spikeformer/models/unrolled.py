"""The binary network that an integer network stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.error_handling import ArgumentError
from spikeformer.instrument import copy_network
from spikeformer.models.attention import SpikingAttention
from spikeformer.models.block import BlockStack, SpikingBlock, SpikingMLP
from spikeformer.models.embedding import ConvEmbedding, EventEmbedding, PatchEmbedding
from spikeformer.models.heads import (
    CausalLMHead,
    ClassificationHead,
    MultiLabelHead,
    RegressionHead,
)
from spikeformer.models.hierarchical import HierarchicalViT
from spikeformer.models.mechanisms import (
    ChannelGate,
    PooledSpikeDrivenAttention,
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikingSelfAttention,
)
from spikeformer.models.membrane_stem import MembraneStem
from spikeformer.models.memory import TokenMemory
from spikeformer.models.merging import ConvMerging, PatchMerging
from spikeformer.models.mixing import ConvMLP, DepthwiseMixing, SeparableMixing
from spikeformer.models.network import SpikingNetwork
from spikeformer.models.norm import FrameBatchNorm, TokenBatchNorm, TokenLayerNorm
from spikeformer.models.rate_proxy import declared_timesteps, without_hooks
from spikeformer.models.rep_linear import PointwiseMixing, RepLinear
from spikeformer.models.spikformer_stem import SpikformerStem
from spikeformer.models.spiking_transformer import SpikingTransformer
from spikeformer.models.spiking_vit import SpikingViT
from spikeformer.models.stem import ConvStem, SpikePool, SpikingConv
from spikeformer.neurons import IntegerLifNeuron, SpikingNeuron, unit_spikes
from spikeformer.neurons.integer_lif import is_integer
from spikeformer.neurons.unrolled import UnrolledNeuron, gathered

_LINEAR = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.AvgPool2d,
    nn.Dropout,
    nn.Identity,
    nn.Flatten,
    nn.Embedding,
    FrameBatchNorm,
    TokenBatchNorm,
)
_COMPOSED = (
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
    SpikingNetwork,
    SpikingViT,
    SpikingTransformer,
    HierarchicalViT,
    ConvStem,
    SpikformerStem,
    MembraneStem,
    PatchEmbedding,
    PatchMerging,
    EventEmbedding,
    ConvMerging,
    ConvEmbedding,
    DepthwiseMixing,
    SeparableMixing,
    ConvMLP,
    PointwiseMixing,
    RepLinear,
    SpikingConv,
    SpikePool,
    BlockStack,
    SpikingBlock,
    SpikingMLP,
    SpikingAttention,
    QKTokenAttention,
    SpikeDrivenAttention,
    PooledSpikeDrivenAttention,
    ChannelGate,
    ClassificationHead,
    MultiLabelHead,
    RegressionHead,
    CausalLMHead,
)


def unrolled(net: nn.Module, timesteps: int | None = None) -> nn.Module:
    """Return the network of T * D binary timesteps that a network of integer neurons stands for.

    Each timestep becomes D = `max_spikes` steps: a neuron gathers the currents of D steps, then
    fires its n spikes one by one (`UnrolledNeuron`). The mean over the D steps of a timestep is, in
    every current and in the output, what the integer network has there, since what lies between
    neurons is linear, and coincidences of unit spikes are the minima of the integers
    (`ops.spike_attention`). Products of "ssa" and layer norms, which are not linear, see the mean
    over the D steps. Layers of other packages say that they are linear by an attribute
    `linear_between_neurons`.

    Parameters and buffers *are* those of `net`. The network is for inference and in evaluation
    mode: batch statistics of single steps would be others. Spike encoders hold every spike for D
    steps; inputs that bring a time axis of their own have to do the same
    (`x.repeat_interleave(D, dim=1)`).

    Args:
        net: A network whose spiking neurons all are `IntegerLifNeuron`, with one D.
        timesteps: T; None reads it from the layers' `timesteps`.

    Raises:
        ArgumentError: The network has other neurons, or several D; a layer is not known to be
            linear between neurons (the message names it), or nothing tells T.

    Example:
        >>> from spikeformer.models import SpikingViT
        >>> net = SpikingViT(1, 8, d_model=16, nhead=2, num_layers=1, stem_strides=[1, 2],
        ...                  timesteps=2, neuron=IntegerLifNeuron)
        >>> unrolled(net)(torch.rand(3, 1, 8, 8)).shape
        torch.Size([3, 8, 16, 16])
    """
    steps = _unit_steps(net)
    timesteps = declared_timesteps(net) if timesteps is None else timesteps
    if timesteps is None:
        expected = "given, since no layer of the network has them"
        raise ArgumentError("timesteps", None, expected)
    for path, module in net.named_modules():
        _check_layer(path, module)
    shared: dict[int, Any] = {id(x): x for x in (*net.parameters(), *net.buffers())}
    return _replaced(without_hooks(copy_network(net, shared)), steps, timesteps).eval()


def _unit_steps(net: nn.Module) -> int:
    """Return D of the network's neurons."""
    found, others = set(), set()
    for module in net.modules():
        if is_integer(module):
            found.add(module.max_spikes)
        elif isinstance(module, SpikingNeuron):
            others.add(type(module).__name__)
    if others or not found:
        expected = "a network whose spiking neurons all are IntegerLifNeuron"
        raise ArgumentError("net", ", ".join(sorted(others)) or type(net).__name__, expected)
    if len(found) > 1:
        raise ArgumentError("max_spikes", sorted(found), "the same in all neurons")
    return found.pop()


def _check_layer(path: str, module: nn.Module) -> None:
    """Refuse a layer of which nobody knows what the mean over steps does to it.

    Raises:
        ArgumentError: The layer is unknown, or takes the maximum of currents.
    """
    kinds = (*_LINEAR, *_COMPOSED, SpikingSelfAttention, TokenLayerNorm, SpikeEncoder)
    if isinstance(module, SpikingNeuron) or type(module) in _LINEAR:
        return
    if getattr(module, "linear_between_neurons", False):
        return
    if not isinstance(module, kinds):
        where = f"{path or 'the network'}: {type(module).__name__}"
        expected = "layers that are linear between neurons, as those of spikeformer.models are"
        raise ArgumentError("net", where, expected)


def _replaced(module: nn.Module, steps: int, timesteps: int) -> nn.Module:
    """Return what stands for `module`, its children replaced in place."""
    if isinstance(module, IntegerLifNeuron):
        return UnrolledNeuron(module, timesteps)
    if isinstance(module, SpikingSelfAttention):
        # Its neuron stays: it sees integers, and the mechanism hands on unit spikes.
        module.__class__ = _AttentionOfMeans
        vars(module)["unit_steps"] = steps
        return module
    if isinstance(module, TokenLayerNorm):
        module.__class__ = _NormOfMeans
        vars(module).update(unit_steps=steps, steps=steps * timesteps)
        return module
    if isinstance(module, SpikeEncoder):
        module.register_forward_hook(_held(steps))
        return module
    if hasattr(module, "timesteps"):
        vars(module)["timesteps"] = timesteps * steps
    for name, child in module.named_children():
        setattr(module, name, _replaced(child, steps, timesteps))
    return module


class _AttentionOfMeans(SpikingSelfAttention):
    """Runs once for the steps of a timestep."""

    unit_steps: int

    def forward(self, projections: tuple[Tensor, ...], memory: TokenMemory | None = None) -> Tensor:
        """Return unit spikes from unit spikes, each (batch, steps, tokens, heads, channels)."""
        means = tuple(gathered(x, self.unit_steps) for x in projections)
        return unit_spikes(super().forward(means, memory), self.unit_steps)


class _NormOfMeans(TokenLayerNorm):
    """Normalises the mean over the steps of a timestep, and repeats it."""

    unit_steps: int
    steps: int

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise (batch, steps, ...); means that a neuron has gathered already as they are."""
        if x.shape[1] != self.steps:
            return super().forward(x, mask)
        normed = super().forward(gathered(x, self.unit_steps), mask)
        return normed.repeat_interleave(self.unit_steps, dim=1)


def _held(steps: int) -> Callable[..., Tensor]:
    """Return a hook that repeats every timestep of an encoder."""

    def hold(module: nn.Module, args: Any, spikes: Tensor) -> Tensor:
        return torch.repeat_interleave(spikes, steps, dim=1)

    return hold
