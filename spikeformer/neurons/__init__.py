"""Spiking neurons: currents in, spikes of the same shape out."""

from spikeformer.neurons.adlif import AdLifNeuron
from spikeformer.neurons.base import LifNorm, NeuronFactory, Norm, SpikingNeuron
from spikeformer.neurons.cuba import CubaLifNeuron
from spikeformer.neurons.integer_lif import IntegerLifNeuron, unit_spikes
from spikeformer.neurons.lif import LifNeuron
from spikeformer.neurons.plif import ParametricLifNeuron
from spikeformer.neurons.rate import RateNeuron
from spikeformer.neurons.relu import ReluNeuron
from spikeformer.neurons.unrolled import UnrolledNeuron
from spikeformer.ops import LifState

NEURONS: dict[str, type[SpikingNeuron]] = {
    "LIF": LifNeuron,
    "AdLIF": AdLifNeuron,
    "PLIF": ParametricLifNeuron,
    "ILIF": IntegerLifNeuron,
}
"""Neurons by the names that `SpikingConfig.neuron_model` accepts."""

__all__ = [
    "NEURONS",
    "AdLifNeuron",
    "CubaLifNeuron",
    "IntegerLifNeuron",
    "LifNeuron",
    "LifNorm",
    "LifState",
    "NeuronFactory",
    "Norm",
    "ParametricLifNeuron",
    "RateNeuron",
    "ReluNeuron",
    "SpikingNeuron",
    "UnrolledNeuron",
    "unit_spikes",
]
