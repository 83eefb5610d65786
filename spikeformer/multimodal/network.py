"""Encoders and fusion, as one network that is trained end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from spikeformer.config import FusionConfig
from spikeformer.error_handling import ArgumentError
from spikeformer.fusion import MultiModalSpikeTransformer
from spikeformer.models.network import SavedNetwork
from spikeformer.multimodal.encoder import ModalityEncoder


class MultiModalNetwork(SavedNetwork):
    """One encoder for each modality, and a `MultiModalSpikeTransformer` behind them.

    Args:
        encoders: The encoders by modality; their timesteps are those of `fusion`.
        fusion: Fusion, channels, heads, dropout, temperature and timesteps.
        num_classes: Number of classes.
        modalities: The modalities to use, among those of `encoders`; None uses all.
        **transformer: The further arguments of `MultiModalSpikeTransformer`.

    Raises:
        ArgumentError: A modality has no encoder, or an encoder has other timesteps.

    Example:
        >>> import torch
        >>> from spikeformer.multimodal import AudioSpikeEncoder, VisionSpikeEncoder
        >>> encoders = {"vision": VisionSpikeEncoder(16, 4), "audio": AudioSpikeEncoder(16, 4)}
        >>> fusion = FusionConfig(shared_dim=16, num_heads=2, timesteps=4)
        >>> network = MultiModalNetwork(encoders, fusion, num_classes=10, num_layers=1)
        >>> network(vision=torch.rand(2, 3, 8, 8), audio=torch.randn(2, 2000)).shape
        torch.Size([2, 4, 10])
    """

    has_head: ClassVar[bool] = True
    """Its outputs are a task's, not features for a head."""
    linear_between_neurons: ClassVar[bool] = True

    def __init__(
        self,
        encoders: Mapping[str, ModalityEncoder],
        fusion: FusionConfig,
        num_classes: int,
        *,
        modalities: Sequence[str] | None = None,
        **transformer: Any,
    ) -> None:
        super().__init__()
        names = list(encoders if modalities is None else modalities)
        unknown = [name for name in names if name not in encoders]
        if unknown or not names or len(set(names)) < len(names):
            expected = f"a list of different ones of {', '.join(map(repr, encoders))}"
            raise ArgumentError("modalities", names, expected)
        for name in names:
            if encoders[name].timesteps != fusion.timesteps:
                raise ArgumentError(
                    "encoders",
                    f"{name!r}: timesteps={encoders[name].timesteps}",
                    f"encoders with the fusion's timesteps={fusion.timesteps}",
                )
        self.timesteps, self.num_classes = fusion.timesteps, num_classes
        self.encoders = nn.ModuleDict({name: encoders[name] for name in names})
        self.transformer = MultiModalSpikeTransformer(
            fusion,
            {name: encoders[name].embed_dim for name in names},
            num_classes,
            binary_input=all(encoders[name].binary for name in names),
            **transformer,
        )

    def forward(
        self, *, modality_mask: Mapping[str, Tensor] | None = None, **modalities: Tensor | None
    ) -> Tensor:
        """Classify samples.

        Args:
            modality_mask: True at the samples that have a modality, bool (batch,); a modality
                without a mask is there in every sample.
            **modalities: The samples of each modality, as its encoder takes them; a missing one is
                None or left out.

        Returns:
            Logits of every timestep, (batch, timesteps, num_classes).

        Raises:
            ArgumentError: A modality is unknown, or there is none.
            SpikingDynamicsError: An input has a wrong shape, or a sample has no modality.
        """
        # Anything but masks by modality is refused below, with a message.
        masks = modality_mask if isinstance(modality_mask, Mapping) else {}
        spikes = {name: self._encode(name, x, masks.get(name)) for name, x in modalities.items()}
        return self.transformer.evidence(spikes, modality_mask)

    def _encode(self, name: str, x: Tensor | None, mask: Tensor | None) -> Tensor | None:
        """Encode the samples that have a modality; the others must not reach its statistics."""
        if x is None or name not in self.encoders:
            return x  # refused below, with a message
        if not isinstance(mask, Tensor) or mask.shape != x.shape[:1] or bool(mask.all()):
            encoded: Tensor = self.encoders[name](x)
            return encoded
        if not bool(mask.any()):
            return None
        spikes = self.encoders[name](x[mask])
        return spikes.new_zeros(len(x), *spikes.shape[1:]).index_put((mask,), spikes)
