"""What was published about the energy of SpiNNaker's operations."""

from __future__ import annotations

from spikeformer.profiling import Chip, Cost, IdlePower, Range

_SHARP = "Sharp et al., J. Neurosci. Methods 2012, doi:10.1016/j.jneumeth.2012.03.001"
_STROMATIAS = (
    "Stromatias et al., IJCNN 2013, doi:10.1109/IJCNN.2013.6706927, "
    "as quoted by Tang et al., 2023, doi:10.3389/fnins.2023.1187252"
)
_HOPPNER_2019 = "Höppner et al., 2019, arXiv:1903.08941"
_HOPPNER_2021 = "Höppner et al., 2021, arXiv:2103.08392"
_TOOLCHAIN = "sPyNNaker's machine model (SpiNNMachine, version 5 boards)"

PRICES = {
    "spinnaker": Chip(
        "spinnaker",
        synaptic_operation=Cost(
            Range(45.0, 13_300.0, 43_000.0),
            f"45 pJ: {_STROMATIAS}; 13.3 nJ: {_HOPPNER_2019}; 43 nJ: {_SHARP}",
        ),
        neuron_update=Cost(
            Range(26_000.0, 26_000.0, 100_000.0), f"26 nJ: {_HOPPNER_2019}; 100 nJ: {_SHARP}"
        ),
        packet=Cost(Range.exactly(1_000.0), _TOOLCHAIN),
        idle=IdlePower(board=26.84, chip=0.35, core=0.034, source=_TOOLCHAIN),
    ),
    "spinnaker2": Chip(
        "spinnaker2",
        synaptic_operation=Cost(
            Range(10.0, 10.0, 450.0), f"10 pJ: {_HOPPNER_2021}; 450 pJ, test chip: {_HOPPNER_2019}"
        ),
        neuron_update=Cost(Range.exactly(2_190.0), f"test chip: {_HOPPNER_2019}"),
    ),
}
"""The two generations by name."""
