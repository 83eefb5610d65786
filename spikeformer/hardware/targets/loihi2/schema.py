"""Options of the target in configurations: the arguments of its deployer."""

from __future__ import annotations

from dataclasses import dataclass

from spikeformer.config.schema import schema
from spikeformer.config.schema.hardware import TargetConfig


@schema("hardware", "loihi2")
@dataclass
class Loihi2Config(TargetConfig):
    """`spikeformer.hardware.Loihi2Deployer`."""

    _target_: str = "spikeformer.hardware.Loihi2Deployer"
    backend: str = "simulator"
    python: str | None = None
    timeout: float = 600.0
