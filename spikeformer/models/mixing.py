"""Layers of a block that look at neighbours on the token grid: spikes in, currents out."""

from __future__ import annotations

from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError, check_positive
from spikeformer.models.layers import may_keep_bits
from spikeformer.models.stem import SpikingConv, to_frames, to_tokens
from spikeformer.neurons import LifNeuron, NeuronFactory, SpikingNeuron


def _frames(x: Tensor, grid: tuple[int, int], mask: Tensor | None) -> Tensor:
    """Map tokens (batch, timesteps, tokens, channels) to frames of the grid.

    Raises:
        SpikingDynamicsError: There is a mask, or not one token for each place of the grid.
    """
    height, width = grid
    if mask is not None or x.shape[2] != height * width:
        raise SpikingDynamicsError(
            f"Expected {height} x {width} tokens without padding, but got {x.shape[2]}"
            f"{'' if mask is None else ' and a mask'}."
        )
    return to_frames(x, height, width)


def _check(norm: str, causal: bool = False) -> None:
    if norm != "batch":
        raise ArgumentError("norm", norm, '"batch"')
    if causal:
        raise ArgumentError("causal", causal, "False: pixels have no order")


class DepthwiseMixing(nn.Module):
    """Mixes tokens by a depth-wise convolution, in the place of attention.

    Spikes in, currents out.

    Args:
        dim: Channels of a token.
        num_heads: Not looked at; as for attention.
        timesteps: Number of timesteps.
        kernel_size: Pixels that a token sees in both directions; odd.
        neuron: Factory of the spiking neurons; none is needed here.
        threshold: Their threshold.
        norm: "batch".
        causal: False: pixels have no order.
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.

    Attributes:
        grid_size: Height and width of the token grid; the model that makes the layer sets it.

    Source: Fang et al., *Spiking Neural Networks Need High-Frequency Information*, NeurIPS 2025,
    arXiv:2505.18608.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        timesteps: int,
        kernel_size: int = 3,
        *,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        norm: str = "batch",
        causal: bool = False,
        binary_input: bool = False,
    ) -> None:
        super().__init__()
        _check(norm, causal)
        self.grid_size = (1, 1)
        self.conv = SpikingConv(
            dim, dim, groups=dim, kernel_size=kernel_size, binary_input=binary_input
        )

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *, neuron: SpikingNeuron | None = None
    ) -> Tensor:
        """Map spikes (batch, timesteps, tokens, dim) to currents, or to what `neuron` fires.

        Raises:
            SpikingDynamicsError: There is a mask, or not one token for each place of the grid.
        """
        current = to_tokens(self.conv(_frames(x, self.grid_size, mask)))
        return current if neuron is None else neuron(current)


class SeparableMixing(nn.Module):
    """Mixes tokens by an inverted separable convolution: 1x1, depth-wise, 1x1.

    `W_2 n(D n(W_1 s))`, n the neurons, with a batch norm behind each of the three. Spikes in,
    currents out.

    Args:
        dim: Channels of a token.
        num_heads: Not looked at; as for attention.
        timesteps: Number of timesteps.
        kernel_size: Pixels that the depth-wise convolution sees in both directions; odd.
        expansion: Channels between over `dim`.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.
        norm: "batch".
        causal: False: pixels have no order.
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.

    Attributes:
        grid_size: Height and width of the token grid; the model that makes the layer sets it.

    Source: Yao et al., *Scaling Spike-Driven Transformer With Efficient Spike Firing Approximation
    Training*, TPAMI 2025, arXiv:2411.16061.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        timesteps: int,
        kernel_size: int = 7,
        expansion: float = 2.0,
        *,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        norm: str = "batch",
        causal: bool = False,
        binary_input: bool = False,
    ) -> None:
        super().__init__()
        _check(norm, causal)
        check_positive("expansion", expansion)
        hidden = round(dim * expansion)
        self.grid_size = (1, 1)
        self.neurons = nn.ModuleList(neuron(threshold=threshold) for _ in range(2))
        bits = may_keep_bits(neuron(threshold=threshold))
        self.expand = SpikingConv(dim, hidden, kernel_size=1, binary_input=binary_input and bits)
        self.conv = SpikingConv(
            hidden, hidden, groups=hidden, kernel_size=kernel_size, binary_input=bits
        )
        self.contract = SpikingConv(hidden, dim, kernel_size=1, binary_input=bits)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *, neuron: SpikingNeuron | None = None
    ) -> Tensor:
        """Map spikes (batch, timesteps, tokens, dim) to currents, or to what `neuron` fires.

        Raises:
            SpikingDynamicsError: There is a mask, or not one token for each place of the grid.
        """
        hidden = self.expand(_frames(x, self.grid_size, mask), neuron=self.neurons[0])
        current = to_tokens(self.contract(self.conv(hidden, neuron=self.neurons[1])))
        return current if neuron is None else neuron(current)


class ConvMLP(nn.Module):
    """Two convolutions with a spiking neuron between, in the place of an MLP.

    Args:
        dim: Channels of a token.
        hidden_dim: Channels between the two layers.
        dropout: 0: convolutions have none.
        kernel_size: Pixels that each convolution sees in both directions; odd.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.
        norm: "batch".
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.

    Attributes:
        grid_size: Height and width of the token grid; the model that makes the layer sets it.

    Source: as of `SeparableMixing`.
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        dropout: float = 0.0,
        kernel_size: int = 3,
        *,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        norm: str = "batch",
        binary_input: bool = False,
    ) -> None:
        super().__init__()
        _check(norm)
        if dropout:
            raise ArgumentError("dropout", dropout, "0 in blocks of convolutions")
        self.grid_size = (1, 1)
        self.neuron = neuron(threshold=threshold)
        bits = may_keep_bits(self.neuron)
        self.expand = SpikingConv(
            dim, hidden_dim, kernel_size=kernel_size, binary_input=binary_input and bits
        )
        self.contract = SpikingConv(hidden_dim, dim, kernel_size=kernel_size, binary_input=bits)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *, neuron: SpikingNeuron | None = None
    ) -> Tensor:
        """Map spikes (batch, timesteps, tokens, dim) to currents, or to what `neuron` fires.

        Raises:
            SpikingDynamicsError: There is a mask, or not one token for each place of the grid.
        """
        hidden = self.expand(_frames(x, self.grid_size, mask), neuron=self.neuron)
        current = to_tokens(self.contract(hidden))
        return current if neuron is None else neuron(current)
