"""Schemas of the research parts; see `spikeformer.research`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from spikeformer.config.schema.components import LifConfig
from spikeformer.config.schema.data import DataConfig
from spikeformer.config.schema.register import schema


@schema("neuron", "adaptive_threshold")
@dataclass
class AdaptiveThresholdConfig(LifConfig):
    """`spikeformer.research.AdaptiveThresholdNeuron`."""

    _target_: str = "spikeformer.research.AdaptiveThresholdNeuron"
    target_rate: float = 0.1
    adaptation_rate: float = 0.1
    window_size: int = 100


@dataclass
class TaskSequenceConfig(DataConfig):
    """`spikeformer.research.TaskSequence`."""

    base: Any = MISSING
    num_tasks: int = 5
    replay: int = 0
    joint: bool = False
    task_seed: int = 0
    in_channels: int | None = None
    image_size: Any = None
    num_classes: int | None = None


@schema("data", "split_tasks")
@dataclass
class SplitTasksConfig(TaskSequenceConfig):
    """`spikeformer.research.SplitTasks`."""

    _target_: str = "spikeformer.research.SplitTasks"
    shared_labels: bool = False
    classes_per_task: int = 2


@schema("data", "permuted_tasks")
@dataclass
class PermutedTasksConfig(TaskSequenceConfig):
    """`spikeformer.research.PermutedTasks`."""

    _target_: str = "spikeformer.research.PermutedTasks"


@schema("model", "dense")
@dataclass
class DenseConfig:
    """`spikeformer.research.DenseSpikingNetwork`."""

    _target_: str = "spikeformer.research.DenseSpikingNetwork"
    in_channels: int = MISSING
    image_size: Any = MISSING
    d_model: int = 256
    num_layers: int = 2
    timesteps: int = MISSING
    threshold: float = MISSING
    synapses: Any = MISSING
    neuron: Any = MISSING


@schema("callbacks", "task_protocol")
@dataclass
class TaskProtocolConfig:
    """`spikeformer.research.TaskProtocol`."""

    _target_: str = "spikeformer.research.TaskProtocol"
    reset_optimizer: bool = True
    freeze_norm: bool = True


@schema("regularizer", "ewc")
@dataclass
class EwcConfig:
    """`spikeformer.research.EwcRegularizer`."""

    _target_: str = "spikeformer.research.EwcRegularizer"
    strength: float = 1000.0
    decay: float = 1.0
    max_samples: int | None = None


@schema("regularizer", "metaplastic")
@dataclass
class MetaplasticRegularizerConfig:
    """`spikeformer.research.MetaplasticRegularizer`."""

    _target_: str = "spikeformer.research.MetaplasticRegularizer"
