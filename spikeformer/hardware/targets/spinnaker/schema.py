"""Options of the target in configurations: the arguments of its deployer."""

from __future__ import annotations

from dataclasses import dataclass

from spikeformer.config.schema import schema
from spikeformer.config.schema.hardware import TargetConfig


@schema("hardware", "spinnaker")
@dataclass
class SpiNNakerConfig(TargetConfig):
    """`spikeformer.hardware.SpiNNakerDeployer`."""

    _target_: str = "spikeformer.hardware.SpiNNakerDeployer"
    board_config: str = "spin2-48chip"
    machine_name: str | None = None
    python: str | None = None
    timeout: float = 600.0
