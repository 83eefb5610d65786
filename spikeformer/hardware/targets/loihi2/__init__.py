"""Intel's Loihi 2, through Lava."""

from spikeformer.hardware.targets.loihi2.target import Loihi2Deployer, Loihi2Model

__all__ = ["Loihi2Deployer", "Loihi2Model"]
