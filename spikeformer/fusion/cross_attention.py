"""Binary query-key attention between modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from spikeformer.config import FusionConfig
from spikeformer.fusion.base import ModalityFusion
from spikeformer.fusion.modalities import Masks, any_mask, over_tokens, silence
from spikeformer.models.layers import SpikeLinear
from spikeformer.models.mechanisms import QKTokenAttention
from spikeformer.models.norm import masked, token_norm
from spikeformer.neurons import LifNeuron, NeuronFactory
from spikeformer.ops.spike_attention import coincidence


class CrossModalAttentionFusion(ModalityFusion):
    r"""Each modality's tokens pass where they match what the other modalities ask for.

    With `s_m = LIF(x_m)` the spikes of modality m, n its tokens, h heads and d their channels::

        k_m[n]  = LIF(norm(K_m s_m[n]))                       keys, one for each token
        q_m     = LIF(norm(sum_{a != m} mean_n Q_a s_a[n]))   one query, by the other modalities
        g_m[n,h] = LIF(temperature * sum_d k_m[n,h,d] q_m[h,d])
        y_m[n]  = x_m[n] + norm(W_m (g_m[n] k_m[n]))

    It is query-key token attention whose query comes from elsewhere: keys, queries and gates are 0
    or 1, the score counts coincidences, and its neuron opens the token or does not. Work and memory
    are linear in tokens. All of it is dense layers, LIF neurons and coincidences of spikes, which
    is what chips have.

    A gate opens as soon as its neuron has gathered `threshold / temperature` coincidences: a high
    temperature lets almost any match pass, a low one only what many channels agree on. A sample
    with one modality asks nothing and is asked nothing: `y_m = x_m`.

    Arguments: see `ModalityFusion`; `config.dropout` drops what attention adds, while training.

    Source: query-key token attention, Zhou et al., *QKFormer*, NeurIPS 2024, arXiv:2403.16552.

    Example:
        >>> import torch
        >>> from spikeformer.config import FusionConfig
        >>> config = FusionConfig(shared_dim=16, num_heads=2, timesteps=4)
        >>> fusion = CrossModalAttentionFusion(config, {"vision": 8, "audio": 5})
        >>> spikes = {"vision": torch.rand(2, 4, 9, 8).round(), "audio": torch.rand(2, 4, 5)}
        >>> fusion(spikes).shape
        torch.Size([2, 4, 10, 16])
    """

    linear_between_neurons: ClassVar[bool] = True

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
        shared: dict[str, Any] = {"neuron": neuron, "threshold": threshold, "norm": norm}
        super().__init__(config, modality_dims, binary_input=binary_input, **shared)
        self.attentions = nn.ModuleDict(
            {
                name: _AskedTokens(
                    config.shared_dim,
                    config.num_heads,
                    config.temperature,
                    config.dropout,
                    **shared,
                )
                for name in self.modality_dims
            }
            if len(self.modality_dims) > 1
            else {}
        )

    def mix(self, currents: dict[str, Tensor], masks: Masks) -> dict[str, Tensor]:
        """Add to each modality's currents what the others find in it."""
        if len(currents) == 1:
            return currents
        keys, asked = {}, {}
        for name, x in currents.items():
            attention = cast(_AskedTokens, self.attentions[name])
            keys[name], asked[name] = attention.keys_and_question(x, masks[name])
        mixed = {}
        for name, x in currents.items():
            others = [other for other in currents if other != name]
            question = torch.stack([asked[other] for other in others]).sum(dim=0)
            mask = any_mask([masks[other] for other in others])
            mixed[name] = self.attentions[name](x, keys[name], question, masks[name], mask)
        return mixed


class _AskedTokens(nn.Module):
    """The part of `CrossModalAttentionFusion` that belongs to one modality."""

    linear_between_neurons: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        num_heads: int,
        temperature: float,
        dropout: float,
        *,
        neuron: NeuronFactory,
        threshold: float,
        norm: str,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.neuron = neuron(threshold=threshold)
        layer: dict[str, Any] = {"binary": self.neuron.binary, "backend": self.neuron.backend}
        # One matrix for its own keys and for what it asks of the others.
        self.key_query = SpikeLinear(dim, 2 * dim, bias=False, **layer)
        self.key_norm, self.query_norm = token_norm(norm, dim), token_norm(norm, dim)
        self.key_neuron, self.query_neuron = (
            neuron(threshold=threshold),
            neuron(threshold=threshold),
        )
        # Scaling a current is scaling the threshold; chips have the second.
        self.mechanism = QKTokenAttention(neuron, threshold / temperature)
        self.out = SpikeLinear(dim, dim, bias=norm != "batch", **layer)
        self.out_norm = token_norm(norm, dim)
        self.dropout = nn.Dropout(dropout)

    def keys_and_question(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return key spikes (b, t, n, dim), and the current (b, t, 1, dim) for others' queries."""
        spikes = silence(self.neuron(x), mask)
        key, question = self.key_query(spikes).chunk(2, dim=-1)
        norm = masked(self.key_norm, over_tokens(mask, x.shape[2]))
        return self.key_neuron(key, norm=norm), question.mean(dim=2, keepdim=True)

    def forward(
        self, x: Tensor, key: Tensor, question: Tensor, mask: Tensor | None, asked: Tensor | None
    ) -> Tensor:
        """Return the currents `x` with what passes added; `asked` is True where others ask."""
        query = self.query_neuron(question, norm=masked(self.query_norm, over_tokens(asked, 1)))
        heads = (*key.shape[:3], self.num_heads, -1)
        matches = coincidence(key, query, counts=self.query_neuron.fires_integers)
        passed = self.mechanism((matches.view(heads), key.view(heads))).flatten(-2)
        both = _both(mask, asked)
        current = self.out_norm(self.out(passed), over_tokens(both, x.shape[2]))
        return x + silence(self.dropout(current), asked)


def _both(mask: Tensor | None, other: Tensor | None) -> Tensor | None:
    if mask is None or other is None:
        return mask if other is None else other
    return mask & other
