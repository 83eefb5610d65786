"""What every fusion shares: projection into one space, and tokens in a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from spikeformer.config import FusionConfig
from spikeformer.fusion.modalities import (
    Masks,
    check_dims,
    check_inputs,
    over_tokens,
    select_present,
)
from spikeformer.models.layers import SpikeLinear
from spikeformer.models.norm import token_norm
from spikeformer.neurons import LifNeuron, NeuronFactory


class ModalityFusion(nn.Module, ABC):
    """Projects the spikes of each modality into one space and mixes them there.

    `x_m = norm(W_m s_m)` for every modality m, then what the subclass does, then all tokens in a
    row. The norm's own shift for each modality tells the tokens of one from those of another.

    Args:
        config: What the fusion is made of.
        modality_dims: Channels of each modality's spikes, by its name.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.
        norm: "batch" or "layer".
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.

    Raises:
        ArgumentError: A value is outside its range.
    """

    def __init__(
        self,
        config: FusionConfig,
        modality_dims: Mapping[str, int],
        *,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        norm: str = "batch",
        binary_input: bool = False,
    ) -> None:
        super().__init__()
        self.modality_dims = check_dims(modality_dims)
        self.shared_dim, self.num_heads = config.shared_dim, config.num_heads
        self.timesteps, self.temperature = config.timesteps, config.temperature
        backend, bias = neuron(threshold=threshold).backend, norm != "batch"
        self.projections = nn.ModuleDict(
            {
                name: SpikeLinear(
                    dim, config.shared_dim, bias, binary=binary_input, backend=backend
                )
                for name, dim in self.modality_dims.items()
            }
        )
        self.norms = nn.ModuleDict(
            {name: token_norm(norm, config.shared_dim) for name in self.modality_dims}
        )

    def forward(
        self,
        modality_inputs: Mapping[str, Tensor | None],
        modality_mask: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Join the modalities.

        Args:
            modality_inputs: Spikes by modality, (batch, timesteps, tokens, dim) or (batch,
                timesteps, dim); a missing modality is None or left out.
            modality_mask: True at the samples that have a modality, bool (batch,); a modality
                without a mask is there in every sample.

        Returns:
            Currents of all tokens, modality after modality in the order of `modality_dims`,
            (batch, timesteps, tokens, shared_dim). The tokens of a modality that is nowhere are
            left out; those that single samples lack have no meaning.

        Raises:
            ArgumentError: A modality is unknown, or there is none.
            SpikingDynamicsError: Shapes do not fit, or a sample has no modality.
        """
        inputs = check_inputs(modality_inputs, self.modality_dims, self.timesteps)
        return self.join(*select_present(inputs, modality_mask, self.modality_dims))

    def join(self, inputs: dict[str, Tensor], masks: Masks) -> Tensor:
        """Do the same with inputs and masks that are checked already."""
        currents = {
            name: self.norms[name](self.projections[name](x), over_tokens(masks[name], x.shape[2]))
            for name, x in inputs.items()
        }
        return torch.cat(list(self.mix(currents, masks).values()), dim=2)

    @abstractmethod
    def mix(self, currents: dict[str, Tensor], masks: Masks) -> dict[str, Tensor]:
        """Let currents (batch, timesteps, tokens, shared_dim) of the modalities meet."""
