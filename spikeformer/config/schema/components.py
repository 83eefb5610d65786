"""Schemas of what a network is made of: neuron, encoding, attention, model, task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from spikeformer.config.public import FusionConfig
from spikeformer.config.schema.register import schema


@schema("neuron", "lif")
@dataclass
class LifConfig:
    """`spikeformer.neurons.LifNeuron`."""

    _target_: str = "spikeformer.neurons.LifNeuron"
    _partial_: bool = True
    threshold: float = 1.0
    tau_mem: float = 20.0
    reset: str = "subtract"
    surrogate_type: str = "fast_sigmoid"
    surrogate_slope: float | None = None
    detach_reset: bool = False
    check_finite: bool = False
    backend: str = "auto"


@schema("neuron", "plif")
@dataclass
class ParametricLifConfig(LifConfig):
    """`spikeformer.neurons.ParametricLifNeuron`."""

    _target_: str = "spikeformer.neurons.ParametricLifNeuron"


@schema("neuron", "adlif")
@dataclass
class AdLifConfig(LifConfig):
    """`spikeformer.neurons.AdLifNeuron`."""

    _target_: str = "spikeformer.neurons.AdLifNeuron"
    tau_adp: float = 200.0
    beta: float = 0.1


@schema("neuron", "cuba")
@dataclass
class CubaLifConfig(LifConfig):
    """`spikeformer.neurons.CubaLifNeuron`."""

    _target_: str = "spikeformer.neurons.CubaLifNeuron"
    tau_syn: float = 5.0


@schema("neuron", "ilif")
@dataclass
class IntegerLifConfig:
    """`spikeformer.neurons.IntegerLifNeuron`."""

    _target_: str = "spikeformer.neurons.IntegerLifNeuron"
    _partial_: bool = True
    threshold: float = 1.0
    tau_mem: float = 20.0
    max_spikes: int = 4
    check_finite: bool = False
    backend: str = "auto"


@schema("neuron", "relu")
@dataclass
class ReluConfig:
    """`spikeformer.neurons.ReluNeuron`."""

    _target_: str = "spikeformer.neurons.ReluNeuron"
    _partial_: bool = True
    threshold: float = 1.0
    check_finite: bool = False


@schema("encoding", "coding")
@dataclass
class CodingConfig:
    """`RateCoding` and `LatencyCoding` of `spikeformer.encoding`."""

    _target_: str = MISSING
    timesteps: int = MISSING
    clamp: bool = False
    backend: str = "auto"


@schema("encoding", "direct")
@dataclass
class DirectConfig(CodingConfig):
    """`spikeformer.encoding.DirectCoding`."""

    _target_: str = "spikeformer.encoding.DirectCoding"
    mean: list[float] | None = None
    std: list[float] | None = None


@schema("encoding", "poisson")
@dataclass
class PoissonConfig(CodingConfig):
    """`spikeformer.encoding.PoissonCoding`."""

    max_rate: float = 100.0
    seed: int | None = None


@schema("encoding", "delta")
@dataclass
class DeltaConfig(CodingConfig):
    """`spikeformer.encoding.DeltaCoding`."""

    threshold: float = 0.1


@schema("attention", "attention")
@dataclass
class AttentionConfig:
    """`spikeformer.models.SpikingAttention`, made for each block by the model."""

    _target_: str = "spikeformer.models.SpikingAttention"
    _partial_: bool = True
    mechanism: Any = MISSING
    dropout: float = 0.1
    sparsity_target: float = 0.1
    value_ratio: int = 1
    projection_ratio: float | None = None


@dataclass
class BackboneConfig:
    """What `SpikingViT` and `SpikingTransformer` share."""

    _target_: str = MISSING
    d_model: int = MISSING
    nhead: int = MISSING
    num_layers: int = MISSING
    timesteps: int = MISSING
    threshold: float = MISSING
    mlp_ratio: float = 4.0
    dropout: float = 0.0
    residual: str = "membrane"
    norm: str = "batch"
    neuron: Any = MISSING
    attention: Any = MISSING


@schema("model", "spiking_vit")
@dataclass
class SpikingViTConfig(BackboneConfig):
    """`spikeformer.models.SpikingViT`."""

    _target_: str = "spikeformer.models.SpikingViT"
    in_channels: int = MISSING
    image_size: Any = MISSING
    stem_strides: list[int] = field(default_factory=lambda: [1, 2, 2])
    stem: Any = None
    encoding: Any = MISSING
    output: str = "spikes"


@schema("model", "hierarchical_vit")
@dataclass
class HierarchicalViTConfig:
    """`spikeformer.models.HierarchicalViT`."""

    _target_: str = "spikeformer.models.HierarchicalViT"
    in_channels: int = MISSING
    image_size: Any = MISSING
    d_model: int = MISSING
    nheads: list[int] = MISSING
    depths: list[int] = MISSING
    timesteps: int = MISSING
    threshold: float = MISSING
    mlp_ratio: float = 4.0
    mlp_shortcut: bool = False
    dropout: float = 0.0
    embedding: dict[str, Any] = MISSING
    merging: Any = MISSING
    mixers: list[Any] = MISSING
    local_mixers: list[Any] | None = None
    mlps: list[Any] | None = None
    widths: list[int] | None = None
    encoding: Any = MISSING
    neuron: Any = MISSING
    residual: str = "sew"
    norm: str = "batch"
    output: str = "spikes"


@schema("model", "spiking_delays")
@dataclass
class SpikingDelaysConfig:
    """`spikeformer.models.SpikingDelayNetwork`."""

    _target_: str = "spikeformer.models.SpikingDelayNetwork"
    in_channels: int = MISSING
    image_size: Any = MISSING
    d_model: int = 128
    num_layers: int = 2
    timesteps: int = MISSING
    threshold: float = MISSING
    max_delay: int = 15
    width: float = 1.0
    dropout: float = 0.0
    encoding: Any = MISSING
    neuron: Any = MISSING


@schema("model", "spiking_transformer")
@dataclass
class SpikingTransformerConfig(BackboneConfig):
    """`spikeformer.models.SpikingTransformer`."""

    _target_: str = "spikeformer.models.SpikingTransformer"
    vocab_size: int = MISSING
    max_length: int = 512
    dropout: float = 0.1
    causal: bool = False


@dataclass
class FusionGroupConfig(FusionConfig):
    """`spikeformer.config.FusionConfig`."""

    _target_: str = "spikeformer.config.FusionConfig"


@schema("model", "multimodal")
@dataclass
class MultiModalConfig:
    """`spikeformer.multimodal.MultiModalNetwork`."""

    _target_: str = "spikeformer.multimodal.MultiModalNetwork"
    encoders: dict[str, Any] = MISSING
    fusion: FusionGroupConfig = field(default_factory=FusionGroupConfig)
    num_classes: int = MISSING
    modalities: Any = None
    num_layers: int = 6
    mlp_ratio: float = 4.0
    modality_dropout: float = 0.0
    neuron: Any = MISSING
    threshold: float = 1.0
    attention: Any = None
    residual: str = "membrane"
    norm: str = "batch"


@schema("model", "pretrained")
@dataclass
class PretrainedConfig:
    """`spikeformer.conversion.PretrainedTransformer`."""

    _target_: str = "spikeformer.conversion.PretrainedTransformer"
    pretrained: str = MISSING
    num_classes: int | None = None


@schema("model", "nir")
@dataclass
class NirConfig:
    """`spikeformer.hardware.NirNetwork`."""

    _target_: str = "spikeformer.hardware.NirNetwork"
    path: str = MISSING
    encoder: Any = None
    dt: float | None = None
    method: str = "euler"
    reset: str = "zero"


@schema("task", "task")
@dataclass
class TaskConfig:
    """A head for the network and the LightningModule that trains it."""

    head: dict[str, Any] = MISSING
    module: dict[str, Any] = MISSING
