"""Networks on SpiNNaker: mapped by sPyNNaker, executed by NEST or by a board."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import nn

from spikeformer.error_handling import HardwareCompatibilityError, check_choice, check_positive
from spikeformer.hardware.deployer import DeployedModel, HardwareModel, NeuromorphicDeployer
from spikeformer.hardware.ir.cores import ChipLimits
from spikeformer.hardware.ir.graph import Arrays, SpikeGraph
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.ir.placement import place
from spikeformer.hardware.ir.relays import with_relays
from spikeformer.hardware.lowering import InputShape, Lowered
from spikeformer.hardware.target import Target
from spikeformer.hardware.targets.spinnaker.boards import (
    BOARDS,
    DEFAULT_BOARD,
    Mapped,
    placement_of,
)
from spikeformer.hardware.targets.spinnaker.fixed_point import simulate_fixed_point
from spikeformer.hardware.targets.spinnaker.network import is_switched, network_job
from spikeformer.hardware.targets.spinnaker.prices import PRICES
from spikeformer.hardware.targets.toolchain import WorkerResult, find_toolchain, run_worker
from spikeformer.i18n import t

MAX_MAPPED_SYNAPSES = 20_000_000
"""Networks with more are placed by count alone: as lists of synapses they would fill the memory."""


TARGET = Target(
    name="spinnaker",
    label="SpiNNaker",
    limits=BOARDS[DEFAULT_BOARD].limits,
    chips_per_board=BOARDS[DEFAULT_BOARD].num_chips,
    toolchain="spinnaker",
    toolchain_places=True,
    max_synapses=MAX_MAPPED_SYNAPSES,
    leakless=False,
    lasting_currents=True,
    prices=tuple(PRICES.values()),
    boards={name: {"board_config": name} for name in BOARDS},
)


class SpiNNakerModel(DeployedModel):
    """A network in PyNN.

    Args:
        compiled: The compiled network.
        python: Interpreter of the environment with sPyNNaker and NEST.
        timeout: Seconds that a run may take.
        board: Settings of the board to run on; None models its arithmetic instead.
    """

    float_arithmetic = "reals_nest"

    def __init__(
        self,
        compiled: HardwareModel,
        python: Path,
        timeout: float,
        board: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(compiled)
        self._python, self._timeout, self._board = python, timeout, board
        self.arithmetic = "s1615_modelled" if board is None else "s1615_board"
        self.simulated = board is None

    def execute(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples on the board, or in a model of its fixed-point arithmetic without one."""
        if self._board is None:
            return simulate_fixed_point(self.compiled.graph, inputs)
        return self._run(f"{__package__}.worker.board", inputs, self._board)

    def execute_float(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples in NEST, from the PyNN description that sPyNNaker maps."""
        return self._run(f"{__package__}.worker.nest", inputs, {}, late_currents=True)

    def _run(
        self,
        worker: str,
        inputs: Arrays,
        board: Mapping[str, Any],
        *,
        late_currents: bool = False,
    ) -> dict[str, Array]:
        graph = self.compiled.graph
        arrays, settings = network_job(graph, inputs, late_currents=late_currents)
        settings |= dict(board)
        found = run_worker(
            self._python, worker, arrays, settings, timeout=self._timeout, facts=dict[str, Any]
        )
        shape = (settings["samples"], graph.timesteps)
        return {p.name: found.spikes(f"spikes/{p.name}", (*shape, p.size)) for p in graph.neurons}


class SpiNNakerDeployer(NeuromorphicDeployer):
    """Brings networks to SpiNNaker through sPyNNaker (Rhodes et al., 2018).

    Compiling lowers the network to a spike graph, describes it in PyNN and lets sPyNNaker
    partition, place and route it (doi:10.3389/fnins.2018.00816). Without a board the same
    description runs in NEST, and a model of the chip's S16.15 arithmetic tells which spikes that
    arithmetic would change.

    Args:
        board_config: One of `BOARDS`: "spin1-4chip", "spin1-48chip", "spin2-1chip" or
            "spin2-48chip".
        machine_name: Address of a board to run on; None maps on a virtual one. sPyNNaker 7.4 runs
            on SpiNNaker 1 and only maps on SpiNNaker 2.
        python: Interpreter of an environment with sPyNNaker, PyNN and NEST; None finds what
            `make toolchains` made.
        timeout: Seconds that a run of the toolchain may take before it is ended.

    Example:
        ```python
        deployer = SpiNNakerDeployer(board_config="spin1-48chip")
        with deployer.deploy(model) as board:
            print(board.compiled.placement.num_cores, board.predict(images))
        ```
    """

    target: ClassVar[Target] = TARGET

    def __init__(
        self,
        board_config: str = DEFAULT_BOARD,
        machine_name: str | None = None,
        python: str | None = None,
        timeout: float = 600.0,
    ) -> None:
        self.board_config = check_choice("board_config", board_config, BOARDS)
        self.machine_name = machine_name
        self.python, self.timeout = python, check_positive("timeout", timeout)

    @property
    def limits(self) -> ChipLimits:
        """What the chips of its board hold."""
        return BOARDS[self.board_config].limits

    @property
    def chips_per_board(self) -> int:
        """Chips of its board."""
        return BOARDS[self.board_config].num_chips

    def check(self) -> None:
        """Raise `HardwareCompatibilityError` if sPyNNaker is not installed or cannot run there."""
        board = BOARDS[self.board_config]
        if self.machine_name and not board.runs:
            runs = ", ".join(name for name, board in BOARDS.items() if board.runs)
            raise HardwareCompatibilityError(
                t(
                    "hardware.board_does_not_run",
                    chip=board.chip,
                    board=self.machine_name,
                    runs=runs,
                )
            )
        find_toolchain(TARGET.name, self.python)

    def lowered(self, model: nn.Module | Lowered, input_shape: InputShape | None = None) -> Lowered:
        """Return a network as a spike graph.

        Raises:
            HardwareCompatibilityError: As for every target; or values come in where currents last,
                and PyNN's cells have such currents at the membrane.
        """
        lowered = super().lowered(model, input_shape)
        for p in lowered.graph.neurons:
            if p.current_decay and is_switched(lowered.graph, p):
                raise HardwareCompatibilityError(
                    t("hardware.values_do_not_last", layer=p.name, target=TARGET.label)
                )
        return lowered

    def compile(
        self, model: nn.Module | Lowered, *, input_shape: InputShape | None = None
    ) -> HardwareModel:
        """Lower a network and let sPyNNaker place it on a virtual board of the chosen kind."""
        lowered = self.lowered(model, input_shape)
        board = BOARDS[self.board_config]
        graph = with_relays(lowered.graph, board.limits.max_delay)
        placement = place(graph, board.limits)
        details: dict[str, Any] = {
            "board_config": self.board_config,
            "relay_neurons": graph.num_neurons - lowered.graph.num_neurons,
        }
        reports: dict[str, str] = {}
        if graph.num_synapses > MAX_MAPPED_SYNAPSES:
            details["placed_by"] = "count of neurons and synapses; too large to map here"
        else:
            result = self._map(graph)
            facts = result.facts
            try:
                placement = placement_of(facts.cores, graph, board.limits)
            except ValueError as error:
                raise result.refusal(error) from error
            reports = facts.reports
            details["placed_by"] = f"sPyNNaker {facts.spynnaker}"
            details |= {
                "machine": facts.machine,
                "routers": facts.routers,
                "weight_shifts": facts.weight_shifts,
                "seconds": facts.seconds,
            }
        details["boards"] = ceil(placement.num_chips / board.num_chips)
        return HardwareModel(
            TARGET.name,
            graph,
            lowered.encoder,
            host=lowered.host,
            placement=placement,
            details=details,
            reports=reports,
        )

    def deploy(self, compiled_model: HardwareModel | nn.Module) -> SpiNNakerModel:
        """Make a compiled network, or a network, ready to run in NEST or on the board."""
        self.check()
        python = find_toolchain(TARGET.name, self.python)
        board = self._board() if self.machine_name else None
        return SpiNNakerModel(self.compiled(compiled_model), python, self.timeout, board)

    def _map(self, graph: SpikeGraph) -> WorkerResult[Mapped]:
        arrays, settings = network_job(graph, _nothing(graph))
        settings |= self._board() | {"machine_name": None}
        python = find_toolchain(TARGET.name, self.python)
        worker = f"{__package__}.worker.map"
        return run_worker(python, worker, arrays, settings, timeout=self.timeout, facts=Mapped)

    def _board(self) -> dict[str, Any]:
        version = BOARDS[self.board_config].version
        return {"board_version": version, "machine_name": self.machine_name}


def _nothing(graph: SpikeGraph) -> dict[str, Array]:
    """Return a sample without any input but one spike a source: sPyNNaker 7.4 needs one to map."""
    shapes = {"spikes": (1, graph.timesteps), "values": (1,)}
    arrays = {p.name: np.zeros((*shapes[p.kind], p.size)) for p in graph.sources}
    for population in graph.sources:
        if population.kind == "spikes":
            arrays[population.name][0, 0, 0] = 1
    return arrays


DEPLOYER = SpiNNakerDeployer
