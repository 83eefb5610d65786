"""What all files of the group `hardware` share; a target's own options stand in its folder."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from spikeformer.config.schema.register import schema


@schema("hardware", "target")
@dataclass
class TargetConfig:
    """What all targets share: samples that run, fine-tuning for their numbers, a plan's rate."""

    _target_: str = MISSING
    samples: int = 128
    qat_epochs: int = 0
    rate: float = 0.1
