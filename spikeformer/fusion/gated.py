"""Fusion by gates that open and close heads of a whole modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.config import FusionConfig
from spikeformer.fusion.base import ModalityFusion
from spikeformer.fusion.modalities import Masks, over_tokens, silence
from spikeformer.models.layers import SpikeLinear
from spikeformer.models.norm import token_norm
from spikeformer.neurons import LifNeuron, NeuronFactory
from spikeformer.ops.spike_attention import coincidence


class GatedFusion(ModalityFusion):
    r"""Spiking gates, fed by all modalities, open and close each head of each modality.

    With `s_m = LIF(x_m)` the spikes of modality m, n its tokens and h heads::

        g_m[h]  = LIF(temperature * norm(sum_a mean_n G_a s_a[n])[m, h])
        y_m[n]  = norm(W_m (g_m s_m[n]))

    The gates of all modalities are asked of all modalities, so one that is noise can be shut out by
    itself and by the others. The temperature scales what the gates' neurons integrate: a gate opens
    at `threshold / temperature`.

    Arguments: see `ModalityFusion`; `config.dropout` drops currents while training.

    Source: the gated unit of Arevalo et al., *Gated Multimodal Units for Information Fusion*, 2017,
    arXiv:1702.01992, with spikes for its sigmoids.

    Example:
        >>> import torch
        >>> from spikeformer.config import FusionConfig
        >>> config = FusionConfig("gated", shared_dim=16, num_heads=2, timesteps=4)
        >>> fusion = GatedFusion(config, {"vision": 8, "audio": 5})
        >>> fusion({"vision": torch.rand(2, 4, 9, 8), "audio": torch.rand(2, 4, 5)}).shape
        torch.Size([2, 4, 10, 16])
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
        super().__init__(
            config,
            modality_dims,
            neuron=neuron,
            threshold=threshold,
            norm=norm,
            binary_input=binary_input,
        )
        names, dim = list(self.modality_dims), config.shared_dim
        num_gates = len(names) * config.num_heads
        self.neurons = nn.ModuleDict({name: neuron(threshold=threshold) for name in names})
        first = neuron(threshold=threshold)
        layer: dict[str, Any] = {"binary": first.binary, "backend": first.backend}
        self.gates = nn.ModuleDict(
            {name: SpikeLinear(dim, num_gates, bias=False, **layer) for name in names}
        )
        self.gate_norm = token_norm(norm, num_gates)
        self.gate_neuron = neuron(threshold=threshold / config.temperature)
        self.outs = nn.ModuleDict(
            {name: SpikeLinear(dim, dim, bias=norm != "batch", **layer) for name in names}
        )
        self.out_norms = nn.ModuleDict({name: token_norm(norm, dim) for name in names})
        self.dropout = nn.Dropout(config.dropout)

    def mix(self, currents: dict[str, Tensor], masks: Masks) -> dict[str, Tensor]:
        """Return what each modality sends through its open gates."""
        spikes = {name: silence(self.neurons[name](x), masks[name]) for name, x in currents.items()}
        asked = [self.gates[name](s).mean(dim=2, keepdim=True) for name, s in spikes.items()]
        gates = self.gate_neuron(torch.stack(asked).sum(dim=0), norm=self.gate_norm)
        of_each = dict(
            zip(self.modality_dims, gates.chunk(len(self.modality_dims), -1), strict=True)
        )
        mixed = {}
        for name, s in spikes.items():
            heads = s.view(*s.shape[:3], self.num_heads, -1)
            gate = of_each[name].unsqueeze(-1).expand(*heads.shape[:-1], 1)
            counts = self.gate_neuron.fires_integers
            passed = coincidence(heads, gate, counts=counts).flatten(-2)
            norm_mask = over_tokens(masks[name], s.shape[2])
            mixed[name] = self.dropout(self.out_norms[name](self.outs[name](passed), norm_mask))
        return mixed
