"""SpiNNaker, through sPyNNaker and NEST."""

from spikeformer.hardware.targets.spinnaker.target import SpiNNakerDeployer, SpiNNakerModel

__all__ = ["SpiNNakerDeployer", "SpiNNakerModel"]
