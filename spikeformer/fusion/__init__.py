"""Several modalities in one network: ways to fuse their spikes, and the transformer behind."""

from spikeformer.config import FusionConfig
from spikeformer.fusion.base import ModalityFusion
from spikeformer.fusion.concat import ConcatFusion
from spikeformer.fusion.cross_attention import CrossModalAttentionFusion
from spikeformer.fusion.gated import GatedFusion
from spikeformer.fusion.late import ConfidenceAverage, confidence_weights
from spikeformer.fusion.modalities import drop_modalities
from spikeformer.fusion.transformer import FUSIONS, MultiModalSpikeTransformer

__all__ = [
    "FUSIONS",
    "ConcatFusion",
    "ConfidenceAverage",
    "CrossModalAttentionFusion",
    "FusionConfig",
    "GatedFusion",
    "ModalityFusion",
    "MultiModalSpikeTransformer",
    "confidence_weights",
    "drop_modalities",
]
