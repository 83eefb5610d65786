"""Layers with weights that take binary spikes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from spikeformer.neurons import SpikingNeuron
from spikeformer.ops import spike_conv2d, spike_linear
from spikeformer.ops.recomputing import (
    Recipe,
    keeping_recipes,
    may_recompute,
    viewed,
    with_recipe,
)
from spikeformer.ops.spike_pack import SpikeLayout, spike_unpack


class SpikeLinear(nn.Linear):
    """`torch.nn.Linear` for spikes.

    Args:
        in_features: Channels of the input.
        out_features: Channels of the output.
        bias: Whether to add a bias.
        binary: Promise that inputs are exactly 0 or 1: training keeps one bit of each, and rows in
            which few are 1 are added up, not multiplied. False takes any numbers.
        backend: The neurons' kernel. "reference" is followed; among the others the product is
            chosen by the firing rate, so they are all "auto".

    Source: `spikeformer.ops.spike_linear`.
    """

    recompute: bool = False
    """Compute currents again in backward, not keep them (`recompute_currents`)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        binary: bool = True,
        backend: str = "auto",
    ) -> None:
        super().__init__(in_features, out_features, bias)
        self.binary = binary
        self.backend = "reference" if backend == "reference" else "auto"

    def forward(self, spikes: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        if not self.recompute:
            return self._product(spikes)
        leading = spikes.shape[:-1]
        rows = _recomputable(self, self._product, spikes.reshape(-1, self.in_features))
        return viewed(rows, lambda x: x.view(*leading, self.out_features))

    def _product(self, spikes: Tensor) -> Tensor:
        return spike_linear(
            spikes, self.weight, self.bias, binary=self.binary, backend=self.backend
        )

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"{super().extra_repr()}, binary={self.binary}"


class SpikeConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` without bias for binary spikes: training keeps one bit of each.

    Source: `spikeformer.ops.spike_conv2d`.
    """

    recompute: bool = False
    """As of `SpikeLinear`."""

    def forward(self, spikes: Tensor) -> Tensor:
        """Convolve spikes, exactly 0 or 1, (batch, in_channels, height, width)."""
        if not self.recompute:
            return self._product(spikes)
        return _recomputable(self, self._product, spikes)

    def _product(self, spikes: Tensor) -> Tensor:
        assert self.bias is None
        assert not isinstance(self.padding, str)
        return spike_conv2d(
            spikes, self.weight, stride=self.stride, padding=self.padding, groups=self.groups
        )


def _recomputable(layer: nn.Module, product: Callable[[Tensor], Tensor], spikes: Tensor) -> Tensor:
    """Return `product(spikes)`, with a recipe if it keeps the bits of the spikes for backward."""
    # A weight that is made for every call, as by `torch.nn.utils.parametrize`, may be another then.
    if "weight" not in layer._parameters or not may_recompute(spikes):
        return product(spikes)
    bits: list[Tensor] = []

    def look(saved: Tensor) -> None:
        if saved.dtype == torch.uint8:
            bits.append(saved)

    with keeping_recipes(look):
        current = product(spikes)
    if not bits:
        return current
    kept, layout = bits[0], SpikeLayout.of(spikes)._replace(dtype=current.dtype)
    return with_recipe(current, Recipe(lambda: product(spike_unpack(kept, layout))))


def may_keep_bits(neuron: SpikingNeuron) -> bool:
    """Whether a convolution behind `neuron` may keep its spikes as bits; "reference" may not."""
    return neuron.binary and neuron.backend != "reference"
