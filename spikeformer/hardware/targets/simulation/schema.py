"""Options of the target in configurations: the arguments of its deployer."""

from __future__ import annotations

from dataclasses import dataclass

from spikeformer.config.schema import schema
from spikeformer.config.schema.hardware import TargetConfig


@schema("hardware", "simulation")
@dataclass
class SimulationConfig(TargetConfig):
    """`spikeformer.hardware.SimulationDeployer`."""

    _target_: str = "spikeformer.hardware.SimulationDeployer"
