"""From a trained network to neuromorphic chips: lower, quantise, place, run, verify.

The modules are imported when one of their names is first used: the options of the targets, below
this package, have to be known where no torch is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeformer import lazily

if TYPE_CHECKING:
    from spikeformer.hardware.deployer import (
        DeployedModel,
        HardwareModel,
        NeuromorphicDeployer,
        Recording,
    )
    from spikeformer.hardware.energy import modelled_energy, operation_counts, traffic
    from spikeformer.hardware.ir.cores import ChipLimits, Core, Placement
    from spikeformer.hardware.ir.graph import Population, Projection, Readout, SpikeGraph
    from spikeformer.hardware.ir.host import Lookup, Spectrogram
    from spikeformer.hardware.ir.hosted import Differential, HostedGraph
    from spikeformer.hardware.ir.integers import IntegerGraph, IntegerNeurons, NumberFormat
    from spikeformer.hardware.ir.placement import place
    from spikeformer.hardware.ir.quantisation import quantise
    from spikeformer.hardware.lowering import (
        GraphBuilder,
        InputShape,
        Lowered,
        Rows,
        TracedTensor,
        check_supported,
        lower,
        lowers,
        refuses,
    )
    from spikeformer.hardware.measurement import measure
    from spikeformer.hardware.nir.export import export_nir
    from spikeformer.hardware.nir.network import NirNetwork, import_nir
    from spikeformer.hardware.planning import packet_rates, plan
    from spikeformer.hardware.records import (
        ArithmeticComparison,
        ChipLayer,
        Comparison,
        LayerComparison,
        Measurement,
        PlacementPlan,
        PlannedChip,
        PlannedLayer,
        arithmetic_label,
    )
    from spikeformer.hardware.reference import Reference, Samples, record_reference
    from spikeformer.hardware.rounding import RoundedWeights
    from spikeformer.hardware.summary import activity, layer_table, state_ranges
    from spikeformer.hardware.target import Target
    from spikeformer.hardware.targets.loihi2.target import LOIHI2, Loihi2Deployer
    from spikeformer.hardware.targets.sanafe.target import SanafeDeployer
    from spikeformer.hardware.targets.simulation.simulate import (
        Extremes,
        outputs_of,
        simulate,
        simulate_integers,
        spike_bytes,
    )
    from spikeformer.hardware.targets.simulation.target import SimulatedModel, SimulationDeployer
    from spikeformer.hardware.targets.spinnaker.target import SpiNNakerDeployer
    from spikeformer.hardware.verify import accuracy, agreement, compare, reference_spikes
else:
    __getattr__, __dir__ = lazily(__name__)

__all__ = [
    "LOIHI2",
    "ArithmeticComparison",
    "ChipLayer",
    "ChipLimits",
    "Comparison",
    "Core",
    "DeployedModel",
    "Differential",
    "Extremes",
    "GraphBuilder",
    "HardwareModel",
    "HostedGraph",
    "InputShape",
    "IntegerGraph",
    "IntegerNeurons",
    "LayerComparison",
    "Loihi2Deployer",
    "Lookup",
    "Lowered",
    "Measurement",
    "NeuromorphicDeployer",
    "NirNetwork",
    "NumberFormat",
    "Placement",
    "PlacementPlan",
    "PlannedChip",
    "PlannedLayer",
    "Population",
    "Projection",
    "Readout",
    "Recording",
    "Reference",
    "RoundedWeights",
    "Rows",
    "Samples",
    "SanafeDeployer",
    "SimulatedModel",
    "SimulationDeployer",
    "Spectrogram",
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
    "import_nir",
    "layer_table",
    "lower",
    "lowers",
    "measure",
    "modelled_energy",
    "operation_counts",
    "outputs_of",
    "packet_rates",
    "place",
    "plan",
    "quantise",
    "record_reference",
    "reference_spikes",
    "refuses",
    "simulate",
    "simulate_integers",
    "spike_bytes",
    "state_ranges",
    "traffic",
]
