"""Sets up sPyNNaker for a board, real or virtual, and reads back what it did."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from spikeformer.hardware.targets.exchange import Array

from .network import Network, describe

FIRST_TICK = 0
"""Where a sample begins: SpiNNaker counts from 0, and every sample has a run of its own."""
FIRST_OF_SPINNAKER_2 = 200
"""sPyNNaker's numbers of boards with chips of the second generation begin here."""
REPORTS = ("partitioned_by_vertex", "placement_by_vertex_using_graph", "routing_summary")
_CONFIGURATION = """
[Machine]
version = {version}
{machine}
[Mode]
mode = Info
[Reports]
default_report_file_path = {reports}
write_router_summary_report = {summary}
write_network_graph = False
[Logging]
default = warning
"""


def set_up(arrays: dict[str, Array], settings: dict[str, Any]) -> Network:
    """Configure sPyNNaker, import it and describe the network to it, with its first sample."""
    # sPyNNaker reads settings of the user's, or writes some into the home folder and stops: this
    # worker's home is its own.
    (Path.home() / ".spynnaker.cfg").touch()
    name = settings["machine_name"]
    Path("reports").mkdir()
    text = _CONFIGURATION.format(
        version=settings["board_version"],
        # sPyNNaker's summary knows 18 cores to a chip, those of SpiNNaker 1, and ends at more.
        summary=settings["board_version"] < FIRST_OF_SPINNAKER_2,
        machine="virtual_board = True" if name is None else f"machine_name = {name}",
        reports=Path("reports").absolute(),
    )
    Path("spynnaker.cfg").write_text(text, encoding="utf-8")
    from pyNN import spiNNaker as sim  # noqa: N813
    from spynnaker.pyNN.models.neural_projections import SynapseInformation
    from spynnaker.pyNN.models.neuron.synapse_dynamics import AbstractSDRAMSynapseDynamics

    AbstractSDRAMSynapseDynamics.convert_per_connection_data_to_rows = split_into_rows
    # On a virtual board it keeps a copy of each synapse that it has written, for a user to read.
    SynapseInformation.add_pre_run_connection_holder = _keep_nothing
    sim.setup(timestep=1.0, min_delay=1.0)
    network = MachineNetwork(sim, arrays, settings)
    describe(network, np.array([FIRST_TICK]))
    return network


def _keep_nothing(self: Any, holder: Any) -> None:
    """Stand in for `SynapseInformation.add_pre_run_connection_holder`, with its arguments."""


class MachineNetwork(Network):
    """A network in sPyNNaker."""

    def options(self, neurons: dict[str, Any]) -> dict[str, Any]:
        """Return the argument from which sPyNNaker chooses the shift of a population's weights."""
        return {"additional_parameters": {"max_expected_summed_weight": neurons["summed_weights"]}}


def describe_mapping(network: Network) -> dict[str, Any]:
    """Return where the neurons went, what the routers hold and what the machine offers."""
    from spynnaker.pyNN.data import SpynnakerDataView as View

    machine = View.get_machine()
    chips = [machine.get_chip_at(x, y) for x, y in machine.chip_coordinates]
    cores = []
    for placement in View.iterate_placemements():  # their spelling
        vertex = placement.vertex
        if getattr(vertex, "app_vertex", None) is None:
            continue  # a helper of sPyNNaker's own
        atoms = vertex.vertex_slice
        cores.append(
            {
                "population": vertex.app_vertex.label,
                "first": int(atoms.lo_atom),
                "neurons": int(atoms.n_atoms),
                "chip": [int(placement.x), int(placement.y)],
                "core": int(placement.p),
                "sdram_bytes": int(
                    vertex.sdram_required.get_total_sdram(network.settings["latency"])
                ),
            }
        )
    return {
        "cores": cores,
        "routers": [
            {"chip": [table.x, table.y], "entries": table.number_of_entries}
            for table in View.get_uncompressed().routing_tables
        ],
        "machine": {
            "chips": len(chips),
            "cores_per_chip": max(chip.n_placable_processors for chip in chips),
            "sdram_bytes_per_chip": max(chip.sdram for chip in chips),
        },
        "weight_shifts": {
            neurons["name"]: [int(shift) for shift in population._vertex.get_ring_buffer_shifts()]
            for neurons, population in network.neurons()
        },
        "reports": {
            path.name: path.read_text(encoding="utf-8")
            for path in sorted(Path("reports").rglob("*.rpt"))
            if path.stem in REPORTS
        },
        "spynnaker": version("sPyNNaker"),
    }


def split_into_rows(
    self: Any, connection_row_indices: Array, n_rows: int, data: Array, max_n_synapses: int
) -> list[Array]:
    """Return the data of each row, flattened, in their order and up to a number.

    Stands in for `AbstractSDRAMSynapseDynamics.convert_per_connection_data_to_rows`, with its
    arguments. With 12 million synapses it takes the larger half of a mapping's time.
    """
    order = np.argsort(connection_row_indices, kind="stable")
    counts = np.bincount(connection_row_indices.astype(np.int64), minlength=n_rows)
    rows = np.split(data[order], np.cumsum(counts)[:-1]) if n_rows else []
    return [row[:max_n_synapses].reshape(-1) for row in rows]
