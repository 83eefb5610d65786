"""Linear layers that are two while training: a batch norm behind each, no neuron between."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, check_positive
from spikeformer.models.layers import SpikeLinear
from spikeformer.models.norm import TokenBatchNorm
from spikeformer.neurons import LifNeuron, NeuronFactory, SpikingNeuron


class RepLinear(nn.Module):
    """One linear map of spikes, trained as two: `norm(W_2 norm(W_1 s))` ("re-parameterised").

    Several outputs from one input, as queries, keys and values, have a pair of matrices each; the
    first ones are computed as one. In evaluation mode the layer is affine.

    Args:
        in_features: Channels of the input.
        out_features: Channels of each output; they are joined in the last axis.
        ratio: Channels between the two matrices over `in_features`.
        binary: As of `SpikeLinear`, for the first matrix.
        backend: As of `SpikeLinear`.

    Source: Yao et al., TPAMI 2025, arXiv:2411.16061, its networks of 83 and 173 million parameters.
    """

    def __init__(
        self,
        in_features: int,
        out_features: Sequence[int],
        ratio: float = 1.5,
        *,
        binary: bool = True,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        check_positive("ratio", ratio)
        self.hidden = int(in_features * ratio)
        joined, total = self.hidden * len(out_features), sum(out_features)
        self.expand = SpikeLinear(in_features, joined, False, binary=binary, backend=backend)
        self.expand_norm = TokenBatchNorm(joined)
        self.contract = nn.ModuleList(nn.Linear(self.hidden, n, False) for n in out_features)
        self.contract_norm = TokenBatchNorm(total)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map spikes (batch, timesteps, tokens, in_features) to currents, all outputs side by side.

        Args:
            x: Spikes.
            mask: True at real tokens, shape (batch, tokens); None if all are.
        """
        hidden = self.expand_norm(self.expand(x), mask).split(self.hidden, dim=-1)
        parts = [layer(part) for layer, part in zip(self.contract, hidden, strict=True)]
        return self.contract_norm(torch.cat(parts, dim=-1), mask)


class PointwiseMixing(nn.Module):
    """A re-parameterised linear layer of each token, as a block's first branch. Mixes no tokens.

    Args:
        dim: Channels of a token.
        num_heads: Not looked at; as for attention.
        timesteps: Number of timesteps.
        ratio: Channels between the two matrices over `dim`.
        neuron: Factory of the spiking neurons; none is needed here.
        threshold: Their threshold.
        norm: "batch".
        causal: Not looked at: tokens do not see each other.
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.

    Source: as of `RepLinear`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        timesteps: int,
        ratio: float = 1.0,
        *,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        norm: str = "batch",
        causal: bool = False,
        binary_input: bool = False,
    ) -> None:
        super().__init__()
        if norm != "batch":
            raise ArgumentError("norm", norm, '"batch"')
        backend = neuron(threshold=threshold).backend
        self.linear = RepLinear(dim, [dim], ratio, binary=binary_input, backend=backend)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *, neuron: SpikingNeuron | None = None
    ) -> Tensor:
        """Map spikes (batch, timesteps, tokens, dim) to currents, or to what `neuron` fires."""
        current: Tensor = self.linear(x, mask)
        return current if neuron is None else neuron(current)
