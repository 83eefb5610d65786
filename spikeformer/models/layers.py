"""Layers with weights that take binary spikes."""

from __future__ import annotations

from torch import Tensor, nn

from spikeformer.neurons import SpikingNeuron
from spikeformer.ops import spike_conv2d, spike_linear


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
    """Compute the currents of neurons again in backward, not keep them (`recompute_currents`)."""

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

    def forward(self, spikes: Tensor) -> Tensor:
        """Convolve spikes, exactly 0 or 1, (batch, in_channels, height, width)."""
        assert self.bias is None
        assert not isinstance(self.padding, str)
        return spike_conv2d(
            spikes, self.weight, stride=self.stride, padding=self.padding, groups=self.groups
        )


def recompute_currents(net: nn.Module, recompute: bool = True) -> None:
    """Let `net` compute currents again in backward instead of keeping them, or no longer.

    Takes memory from a training step, and adds one more product for each layer that it concerns:
    those of binary spikes, batch norm and LIF neurons, which are the MLP's first layer and the
    projections of attention. Where hooks look at one of the three, or for padded tokens, currents
    are kept as before. Outputs and gradients do not change.

    Args:
        net: The network, changed in place.
        recompute: False keeps currents again.
    """
    for module in net.modules():
        if isinstance(module, SpikeLinear):
            module.recompute = recompute


def may_keep_bits(neuron: SpikingNeuron) -> bool:
    """Whether a convolution behind `neuron` may keep its spikes as bits; "reference" may not."""
    return neuron.binary and neuron.backend != "reference"
