"""SpiNNaker, through sPyNNaker and NEST."""

from spikeformer.hardware.spinnaker.deployer import SpiNNakerDeployer, SpiNNakerModel

__all__ = ["SpiNNakerDeployer", "SpiNNakerModel"]
