"""Spiking transformers, their parts and their heads."""

from spikeformer.models.attention import AttentionFactory, SpikingAttention, sparsity_loss
from spikeformer.models.block import BlockStack, SpikingBlock, SpikingMLP
from spikeformer.models.checkpoints import load_checkpoint_of
from spikeformer.models.delay_network import SpikingDelayNetwork
from spikeformer.models.delays import DelayLinear
from spikeformer.models.embedding import ConvEmbedding, EventEmbedding, PatchEmbedding
from spikeformer.models.generation import generate
from spikeformer.models.heads import (
    CausalLMHead,
    ClassificationHead,
    MultiLabelHead,
    RegressionHead,
)
from spikeformer.models.hierarchical import HierarchicalViT
from spikeformer.models.mechanisms import (
    AttentionMechanism,
    MechanismFactory,
    PooledSpikeDrivenAttention,
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikingSelfAttention,
)
from spikeformer.models.membrane_stem import MembraneStem
from spikeformer.models.memory import TokenMemory
from spikeformer.models.merging import ConvMerging, PatchMerging
from spikeformer.models.mixing import ConvMLP, DepthwiseMixing, SeparableMixing
from spikeformer.models.network import SpikingNetwork
from spikeformer.models.norm import TokenBatchNorm, TokenLayerNorm, recompute_currents
from spikeformer.models.rate_proxy import rate_proxy
from spikeformer.models.rep_linear import PointwiseMixing, RepLinear
from spikeformer.models.shared_norm import share_batch_norms
from spikeformer.models.spikformer_stem import SpikformerStem
from spikeformer.models.spiking_transformer import SpikingTransformer
from spikeformer.models.spiking_vit import SpikingViT
from spikeformer.models.stem import ConvStem, SpikingConv, Stem, StemFactory
from spikeformer.models.streaming import Stream
from spikeformer.models.unrolled import unrolled

__all__ = [
    "AttentionFactory",
    "AttentionMechanism",
    "BlockStack",
    "CausalLMHead",
    "ClassificationHead",
    "ConvEmbedding",
    "ConvMLP",
    "ConvMerging",
    "ConvStem",
    "DelayLinear",
    "DepthwiseMixing",
    "EventEmbedding",
    "HierarchicalViT",
    "MechanismFactory",
    "MembraneStem",
    "MultiLabelHead",
    "PatchEmbedding",
    "PatchMerging",
    "PointwiseMixing",
    "PooledSpikeDrivenAttention",
    "QKTokenAttention",
    "RegressionHead",
    "RepLinear",
    "SeparableMixing",
    "SpikeDrivenAttention",
    "SpikformerStem",
    "SpikingAttention",
    "SpikingBlock",
    "SpikingConv",
    "SpikingDelayNetwork",
    "SpikingMLP",
    "SpikingNetwork",
    "SpikingSelfAttention",
    "SpikingTransformer",
    "SpikingViT",
    "Stem",
    "StemFactory",
    "Stream",
    "TokenBatchNorm",
    "TokenLayerNorm",
    "TokenMemory",
    "generate",
    "load_checkpoint_of",
    "rate_proxy",
    "recompute_currents",
    "share_batch_norms",
    "sparsity_loss",
    "unrolled",
]
