"""Schemas of a run: the root of the configuration, its pipeline and its paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from spikeformer.config.public import ConcurrencyConfig
from spikeformer.config.schema.register import schema


@schema("pipeline", "pipeline")
@dataclass
class PipelineConfig:
    """Which stages run, in which order."""

    stages: list[Any] = MISSING
    resume: str | None = None


@schema("profiler", "profiler")
@dataclass
class ProfilerConfig:
    """`spikeformer.profiling.EnergyProfiler`."""

    _target_: str = "spikeformer.profiling.EnergyProfiler"
    backend: str = "simulation"


@schema("validation", "validation")
@dataclass
class ValidationConfig:
    """`spikeformer.validation.ComprehensiveValidator`."""

    _target_: str = "spikeformer.validation.ComprehensiveValidator"
    validation_level: str = "standard"


@schema("concurrency", "concurrency")
@dataclass
class WorkersConfig(ConcurrencyConfig):
    """`spikeformer.config.ConcurrencyConfig`."""

    _target_: str = "spikeformer.config.ConcurrencyConfig"


@schema("cache", "cache")
@dataclass
class CacheConfig:
    """`spikeformer.caching.configure_caches`."""

    _target_: str = "spikeformer.caching.configure_caches"
    memory_mib: float = 256.0
    folder: str | None = None
    disk_gib: float = 4.0


@schema("compliance", "gdpr")
@dataclass
class ConsentConfig:
    """`spikeformer.compliance.ConsentGate`."""

    _target_: str = "spikeformer.compliance.ConsentGate"
    folder: str | None = None
    subject_key: str | None = None
    purpose: str = "model_training"
    on_withdrawal: str = "stop"


@schema("paths", "paths")
@dataclass
class PathsConfig:
    """Where things lie."""

    output_dir: str = "outputs"
    run_dir: str = MISSING
    cache_dir: str = MISSING


@dataclass
class ReportConfig:
    """What the report shows besides the run itself, and what it sends."""

    baseline: str | None = None
    artifact: bool = False


@schema("root", "train")
@dataclass
class TrainConfig:
    """The root of the configuration."""

    name: str = MISSING
    seed: int = 0
    locale: str = "en"
    timesteps: int = 4
    ops: str = "auto"
    sparsity_weight: float = 0.0
    layer_decay: float = 1.0
    compile: bool = False
    recompute: str = "none"
    checkpoint: str | None = None
    objective: list[str] = field(default_factory=list)
    trusted_packages: list[str] = field(default_factory=list)
    data: Any = MISSING
    encoding: Any = MISSING
    neuron: Any = MISSING
    attention: Any = MISSING
    model: Any = MISSING
    task: Any = MISSING
    loss: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = None
    trainer: Any = MISSING
    callbacks: Any = None
    regularizer: Any = None
    logger: Any = None
    conversion: Any = None
    hardware: Any = None
    profiler: Any = None
    validation: Any = None
    concurrency: Any = None
    cache: Any = None
    compliance: Any = None
    report: ReportConfig = field(default_factory=ReportConfig)
    pipeline: Any = MISSING
    paths: Any = MISSING
