"""Schemas of the `hardware` group: one dataclass per target, with its deployer's arguments."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from spikeformer.config.schema.register import schema


@dataclass
class TargetConfig:
    """What all targets share: how many test samples run on it, and fine-tuning for its numbers."""

    _target_: str = MISSING
    samples: int = 128
    qat_epochs: int = 0


@schema("hardware", "simulation")
@dataclass
class SimulationConfig(TargetConfig):
    """`spikeformer.hardware.SimulationDeployer`."""

    _target_: str = "spikeformer.hardware.SimulationDeployer"


@schema("hardware", "loihi2")
@dataclass
class Loihi2Config(TargetConfig):
    """`spikeformer.hardware.Loihi2Deployer`."""

    _target_: str = "spikeformer.hardware.Loihi2Deployer"
    backend: str = "simulator"
    python: str | None = None
    timeout: float = 600.0


@schema("hardware", "spinnaker")
@dataclass
class SpiNNakerConfig(TargetConfig):
    """`spikeformer.hardware.SpiNNakerDeployer`."""

    _target_: str = "spikeformer.hardware.SpiNNakerDeployer"
    board_config: str = "spin2-48chip"
    machine_name: str | None = None
    python: str | None = None
    timeout: float = 600.0
