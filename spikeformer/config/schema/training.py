"""Schemas of how a network is trained: loss, optimizer, scheduler, trainer, callbacks, logger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from spikeformer.config.schema.register import schema


@schema("loss", "loss")
@dataclass
class LossConfig:
    """A function of `spikeformer.training.losses`."""

    _target_: str = MISSING
    _partial_: bool = True


@schema("loss", "cross_entropy")
@dataclass
class CrossEntropyConfig(LossConfig):
    """`spikeformer.training.losses.cross_entropy`."""

    label_smoothing: float = 0.0


@schema("loss", "tet")
@dataclass
class TetConfig(LossConfig):
    """`spikeformer.training.losses.tet`."""

    regularization: float = 0.05
    level: float = 1.0


@schema("loss", "mse_rate")
@dataclass
class MseRateConfig(LossConfig):
    """`spikeformer.training.losses.mse_rate`."""

    on_rate: float = 1.0
    off_rate: float = 0.0


@schema("optimizer", "adamw")
@dataclass
class AdamWConfig:
    """`torch.optim.AdamW`."""

    _target_: str = "torch.optim.AdamW"
    _partial_: bool = True
    lr: float = 1e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8
    weight_decay: float = 0.01


@schema("optimizer", "sgd")
@dataclass
class SgdConfig:
    """`torch.optim.SGD`."""

    _target_: str = "torch.optim.SGD"
    _partial_: bool = True
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4


@schema("optimizer", "lamb")
@dataclass
class LambConfig:
    """`spikeformer.training.Lamb`."""

    _target_: str = "spikeformer.training.Lamb"
    _partial_: bool = True
    lr: float = 2e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-6
    weight_decay: float = 0.01
    max_ratio: float = float("inf")


@schema("optimizer", "muon")
@dataclass
class MuonConfig:
    """`spikeformer.training.Muon`."""

    _target_: str = "spikeformer.training.Muon"
    _partial_: bool = True
    lr: float = 2e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8
    weight_decay: float = 0.01
    momentum: float = 0.95
    nesterov: bool = True
    ns_steps: int = 5


@schema("scheduler", "cosine")
@dataclass
class CosineConfig:
    """`spikeformer.training.cosine_with_warmup`."""

    _target_: str = "spikeformer.training.cosine_with_warmup"
    _partial_: bool = True
    warmup: float = 0.1
    final: float = 0.0


@schema("scheduler", "steps")
@dataclass
class StepsConfig:
    """`spikeformer.training.steps_with_warmup`."""

    _target_: str = "spikeformer.training.steps_with_warmup"
    _partial_: bool = True
    warmup: float = 0.0
    milestones: list[float] = field(default_factory=lambda: [0.5, 0.75])
    gamma: float = 0.1


@schema("scheduler", "one_cycle")
@dataclass
class OneCycleConfig:
    """`spikeformer.training.one_cycle`."""

    _target_: str = "spikeformer.training.one_cycle"
    _partial_: bool = True
    warmup: float = 0.3
    start: float = 0.04
    final: float = 4e-6


@schema("trainer", "trainer")
@dataclass
class TrainerConfig:
    """`lightning.Trainer`; callbacks and loggers have groups of their own."""

    _target_: str = "lightning.Trainer"
    accelerator: str = "auto"
    devices: Any = 1
    num_nodes: int = 1
    strategy: Any = "auto"
    precision: Any = "32-true"
    max_epochs: int = 50
    max_steps: int = -1
    min_epochs: int | None = None
    max_time: str | None = None
    limit_train_batches: Any = None
    limit_val_batches: Any = None
    limit_test_batches: Any = None
    overfit_batches: Any = 0.0
    accumulate_grad_batches: Any = 1
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str | None = None
    check_val_every_n_epoch: int = 1
    log_every_n_steps: int = 10
    num_sanity_val_steps: int = 0
    deterministic: Any = None
    benchmark: bool | None = None
    sync_batchnorm: bool = False
    detect_anomaly: bool = False
    profiler: str | None = None
    enable_progress_bar: bool = True
    enable_model_summary: bool = False
    fast_dev_run: Any = False


@schema("callbacks", "checkpoint")
@dataclass
class CheckpointConfig:
    """`spikeformer.training.callbacks.BestAndLast`."""

    _target_: str = "spikeformer.training.callbacks.BestAndLast"
    dirpath: str | None = None
    filename: str = "best"
    monitor: str | None = None
    mode: str = "min"
    save_last: bool = True
    save_top_k: int = 1
    every_n_epochs: int = 1
    save_on_train_epoch_end: bool | None = None
    auto_insert_metric_name: bool = False
    enable_version_counter: bool = False


@schema("callbacks", "ema")
@dataclass
class EmaConfig:
    """`lightning.pytorch.callbacks.EMAWeightAveraging`."""

    _target_: str = "lightning.pytorch.callbacks.EMAWeightAveraging"
    decay: float = 0.999
    use_buffers: bool = True


@schema("callbacks", "hybrid")
@dataclass
class HybridConfig:
    """`spikeformer.training.callbacks.HybridPhases`."""

    _target_: str = "spikeformer.training.callbacks.HybridPhases"
    ann_epochs: Any = 50
    teacher: Any = None
    distillation_weight: float = 0.5
    temperature: float = 2.0
    feature_weight: float = 0.0
    student_layer: str = "backbone"
    teacher_layer: str | None = None


@schema("callbacks", "pruning")
@dataclass
class PruningConfig:
    """`spikeformer.cli.pruning.PruneTrial`."""

    _target_: str = "spikeformer.cli.pruning.PruneTrial"
    objective: Any = MISSING


@schema("callbacks", "early_stopping")
@dataclass
class EarlyStoppingConfig:
    """`lightning.pytorch.callbacks.EarlyStopping`."""

    _target_: str = "lightning.pytorch.callbacks.EarlyStopping"
    monitor: str = MISSING
    mode: str = "min"
    patience: int = 10
    min_delta: float = 0.0


@schema("callbacks", "firing_rate")
@dataclass
class FiringRateConfig:
    """`spikeformer.training.callbacks.FiringRateMonitor`."""

    _target_: str = "spikeformer.training.callbacks.FiringRateMonitor"
    every_n_steps: int = 10


@schema("callbacks", "speed")
@dataclass
class SpeedConfig:
    """`spikeformer.training.callbacks.SpeedMonitor`."""

    _target_: str = "spikeformer.training.callbacks.SpeedMonitor"


@schema("callbacks", "gradient_norms")
@dataclass
class GradientMonitorConfig:
    """`spikeformer.training.callbacks.GradientMonitor`."""

    _target_: str = "spikeformer.training.callbacks.GradientMonitor"
    every_n_steps: int = 10


@schema("callbacks", "spike_monitor")
@dataclass
class SpikeMonitorConfig:
    """`spikeformer.training.callbacks.SpikeMonitor`."""

    _target_: str = "spikeformer.training.callbacks.SpikeMonitor"
    every_n_epochs: int = 1
    dead_below: float = 0.0
    saturated_above: float = 0.95


@schema("callbacks", "spike_regularization")
@dataclass
class SpikeRegularizationConfig:
    """`spikeformer.training.callbacks.SpikeRegularization`."""

    _target_: str = "spikeformer.training.callbacks.SpikeRegularization"
    weight: float = 1.0
    target: float = 0.1


@schema("callbacks", "unimodal_loss")
@dataclass
class UnimodalLossConfig:
    """`spikeformer.training.callbacks.UnimodalLoss`."""

    _target_: str = "spikeformer.training.callbacks.UnimodalLoss"
    weight: float = 0.5


@schema("callbacks", "energy_monitor")
@dataclass
class EnergyMonitorConfig:
    """`spikeformer.training.callbacks.EnergyMonitor`."""

    _target_: str = "spikeformer.training.callbacks.EnergyMonitor"
    backend: str = "simulation"
    every_n_epochs: int = 1


@schema("callbacks", "energy_early_stopping")
@dataclass
class EnergyEarlyStoppingConfig:
    """`spikeformer.training.callbacks.EnergyEarlyStopping`."""

    _target_: str = "spikeformer.training.callbacks.EnergyEarlyStopping"
    monitor: str = "val/loss"
    mode: str = "min"
    patience: int = 5
    min_delta: float = 0.0
    min_saving: float = 0.01


@schema("callbacks", "lr_monitor")
@dataclass
class LrMonitorConfig:
    """`lightning.pytorch.callbacks.LearningRateMonitor`."""

    _target_: str = "lightning.pytorch.callbacks.LearningRateMonitor"
    logging_interval: str = "epoch"


@schema("callbacks", "progress_bar")
@dataclass
class ProgressBarConfig:
    """`spikeformer.training.callbacks.SpikingProgressBar`."""

    _target_: str = "spikeformer.training.callbacks.SpikingProgressBar"
    refresh_rate: int = 10


@schema("logger", "wandb")
@dataclass
class WandbConfig:
    """`spikeformer.pipeline.wandb_logger`."""

    _target_: str = "spikeformer.pipeline.wandb_logger"
    project: str = "spikeformer"
    name: str | None = None
    save_dir: str = MISSING
    mode: str | None = None
    entity: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@schema("logger", "mlflow")
@dataclass
class MlflowConfig:
    """`spikeformer.pipeline.mlflow_logger`."""

    _target_: str = "spikeformer.pipeline.mlflow_logger"
    save_dir: str = MISSING
    experiment: str = "spikeformer"
    name: str | None = None
    tags: dict[str, str] | None = None


@schema("logger", "csv")
@dataclass
class CsvConfig:
    """`lightning.pytorch.loggers.CSVLogger`."""

    _target_: str = "lightning.pytorch.loggers.CSVLogger"
    save_dir: str = MISSING
    name: str = "csv"
    version: str = ""


@schema("logger", "tensorboard")
@dataclass
class TensorBoardConfig:
    """`lightning.pytorch.loggers.TensorBoardLogger`."""

    _target_: str = "lightning.pytorch.loggers.TensorBoardLogger"
    save_dir: str = MISSING
    name: str = "tensorboard"
    version: str = ""
