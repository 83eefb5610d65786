"""Options of the target in configurations: the arguments of its deployer."""

from __future__ import annotations

from dataclasses import dataclass

from spikeformer.config.schema import schema
from spikeformer.config.schema.hardware import TargetConfig


@schema("hardware", "sanafe")
@dataclass
class SanafeConfig(TargetConfig):
    """`spikeformer.hardware.SanafeDeployer`."""

    _target_: str = "spikeformer.hardware.SanafeDeployer"
    python: str | None = None
    timeout: float = 600.0
