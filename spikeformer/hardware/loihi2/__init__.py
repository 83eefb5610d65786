"""Intel's Loihi 2, through Lava."""

from spikeformer.hardware.loihi2.deployer import Loihi2Deployer, Loihi2Model

__all__ = ["Loihi2Deployer", "Loihi2Model"]
