"""What `spikeformer.hardware` offers; it imports torch."""

from spikeformer.hardware.deployer import (
    DeployedModel,
    HardwareModel,
    NeuromorphicDeployer,
    Recording,
    traffic,
)
from spikeformer.hardware.energy import modelled_energy, operation_counts
from spikeformer.hardware.ir.graph import Population, Projection, Readout, SpikeGraph
from spikeformer.hardware.ir.integers import IntegerGraph, IntegerNeurons, NumberFormat
from spikeformer.hardware.ir.nir import export_nir
from spikeformer.hardware.ir.placement import ChipLimits, Core, Placement, place
from spikeformer.hardware.ir.quantisation import quantise
from spikeformer.hardware.lowering import (
    GraphBuilder,
    Lowered,
    Rows,
    TracedTensor,
    check_supported,
    lower,
    lowers,
    refuses,
)
from spikeformer.hardware.measurement import ChipLayer, Measurement, arithmetic_label, measure
from spikeformer.hardware.reference import Reference, record_reference
from spikeformer.hardware.rounding import RoundedWeights
from spikeformer.hardware.summary import activity, layer_table, state_ranges
from spikeformer.hardware.target import Target
from spikeformer.hardware.targets.loihi2.target import LOIHI2, Loihi2Deployer
from spikeformer.hardware.targets.simulation.simulate import Extremes, simulate, simulate_integers
from spikeformer.hardware.targets.simulation.target import SimulatedModel, SimulationDeployer
from spikeformer.hardware.targets.spinnaker.target import SpiNNakerDeployer
from spikeformer.hardware.verify import (
    ArithmeticComparison,
    Comparison,
    LayerComparison,
    accuracy,
    agreement,
    compare,
    reference_spikes,
)

__all__ = [
    "LOIHI2",
    "ArithmeticComparison",
    "ChipLayer",
    "ChipLimits",
    "Comparison",
    "Core",
    "DeployedModel",
    "Extremes",
    "GraphBuilder",
    "HardwareModel",
    "IntegerGraph",
    "IntegerNeurons",
    "LayerComparison",
    "Loihi2Deployer",
    "Lowered",
    "Measurement",
    "NeuromorphicDeployer",
    "NumberFormat",
    "Placement",
    "Population",
    "Projection",
    "Readout",
    "Recording",
    "Reference",
    "RoundedWeights",
    "Rows",
    "SimulatedModel",
    "SimulationDeployer",
    "SpiNNakerDeployer",
    "SpikeGraph",
    "Target",
    "TracedTensor",
    "accuracy",
    "activity",
    "agreement",
    "arithmetic_label",
    "check_supported",
    "compare",
    "export_nir",
    "layer_table",
    "lower",
    "lowers",
    "measure",
    "modelled_energy",
    "operation_counts",
    "place",
    "quantise",
    "record_reference",
    "reference_spikes",
    "refuses",
    "simulate",
    "simulate_integers",
    "state_ranges",
    "traffic",
]
