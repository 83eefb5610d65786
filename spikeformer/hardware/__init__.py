"""From a trained network to neuromorphic chips: lower, quantise, place, run, verify.

The modules are imported when one of their names is first used: the options of the targets, below
this package, have to be known where no torch is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeformer.hardware.deployer import (
        DeployedModel,
        HardwareModel,
        NeuromorphicDeployer,
        Recording,
    )
    from spikeformer.hardware.energy import modelled_energy, operation_counts, traffic
    from spikeformer.hardware.ir.graph import Population, Projection, Readout, SpikeGraph
    from spikeformer.hardware.ir.host import Lookup, Spectrogram
    from spikeformer.hardware.ir.hosted import Differential, HostedGraph
    from spikeformer.hardware.ir.integers import IntegerGraph, IntegerNeurons, NumberFormat
    from spikeformer.hardware.ir.placement import ChipLimits, Core, Placement, place
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
    from spikeformer.hardware.measurement import ChipLayer, Measurement, arithmetic_label, measure
    from spikeformer.hardware.nir.export import export_nir
    from spikeformer.hardware.nir.network import NirNetwork, import_nir
    from spikeformer.hardware.planning import (
        PlacementPlan,
        PlannedChip,
        PlannedLayer,
        packet_rates,
        plan,
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

_MODULES = (
    "deployer",
    "energy",
    "ir.graph",
    "ir.hosted",
    "ir.integers",
    "ir.host",
    "nir.export",
    "nir.network",
    "ir.placement",
    "ir.quantisation",
    "lowering",
    "measurement",
    "planning",
    "reference",
    "rounding",
    "summary",
    "target",
    "targets.loihi2.target",
    "targets.sanafe.target",
    "targets.simulation.simulate",
    "targets.simulation.target",
    "targets.spinnaker.target",
    "verify",
)
"""Where the names stand."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            found = vars(import_module(f"{__name__}.{module}"))
            if name in found:
                return globals().setdefault(name, found[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
