"""The linear map and the convolution of binary spikes."""

from spikeformer.ops.spike_linear.conv import spike_conv2d
from spikeformer.ops.spike_linear.op import spike_linear

__all__ = ["spike_conv2d", "spike_linear"]
