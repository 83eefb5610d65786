"""Spiking transformers, their parts and their heads."""

from spikeformer.models.attention import AttentionFactory, SpikingAttention, sparsity_loss
from spikeformer.models.block import BlockStack, SpikingBlock, SpikingMLP
from spikeformer.models.heads import (
    CausalLMHead,
    ClassificationHead,
    MultiLabelHead,
    RegressionHead,
)
from spikeformer.models.mechanisms import (
    AttentionMechanism,
    MechanismFactory,
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikingSelfAttention,
)
from spikeformer.models.network import SpikingNetwork
from spikeformer.models.norm import TokenBatchNorm, TokenLayerNorm
from spikeformer.models.spiking_transformer import SpikingTransformer
from spikeformer.models.spiking_vit import SpikingViT
from spikeformer.models.stem import ConvStem, SpikingConv

__all__ = [
    "AttentionFactory",
    "AttentionMechanism",
    "BlockStack",
    "CausalLMHead",
    "ClassificationHead",
    "ConvStem",
    "MechanismFactory",
    "MultiLabelHead",
    "QKTokenAttention",
    "RegressionHead",
    "SpikeDrivenAttention",
    "SpikingAttention",
    "SpikingBlock",
    "SpikingConv",
    "SpikingMLP",
    "SpikingNetwork",
    "SpikingSelfAttention",
    "SpikingTransformer",
    "SpikingViT",
    "TokenBatchNorm",
    "TokenLayerNorm",
    "sparsity_loss",
]
