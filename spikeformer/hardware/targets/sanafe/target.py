"""Networks on Loihi 1 in SANA-FE, which tells what they take there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from spikeformer.error_handling import check_positive
from spikeformer.hardware.deployer import DeployedModel, HardwareModel, NeuromorphicDeployer
from spikeformer.hardware.ir.cores import ChipLimits
from spikeformer.hardware.ir.graph import Arrays
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.ir.placement import place
from spikeformer.hardware.lowering import InputShape, Lowered
from spikeformer.hardware.target import Target
from spikeformer.hardware.targets.loihi2.prices import PRICES
from spikeformer.hardware.targets.sanafe.network import network_job, num_cores, relays
from spikeformer.hardware.targets.toolchain import find_toolchain, run_worker
from spikeformer.profiling import EnergyEstimate, Range

LOIHI = ChipLimits(
    name="Loihi",
    cores_per_chip=128,
    neurons_per_core=1024,
    synapse_bytes_per_core=128 * 1024,
    bytes_per_weight=1,
    max_delay=None,
    source="Davies et al., IEEE Micro 2018, doi:10.1109/MM.2018.112130359",
)

TARGET = Target(
    name="sanafe",
    label="Loihi in SANA-FE",
    limits=LOIHI,
    toolchain="sanafe",
    # Each synapse is an object of its own in the simulator.
    max_synapses=3_000_000,
    prices=(PRICES["loihi1"],),
)


@dataclass(frozen=True)
class _Facts:
    sanafe: str
    energy: dict[str, float]
    seconds: float


class SanafeModel(DeployedModel):
    """A network on the Loihi that SANA-FE simulates.

    Args:
        compiled: The compiled network.
        python: Interpreter of the environment with SANA-FE.
        timeout: Seconds that a run may take.
    """

    arithmetic = float_arithmetic = "reals_sanafe"

    def __init__(self, compiled: HardwareModel, python: Path, timeout: float) -> None:
        super().__init__(compiled)
        self._python, self._timeout = python, timeout

    def execute(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples one by one; `estimates` and `traffic` then tell what they took."""
        graph, placement = self.compiled.graph, self.compiled.placement
        assert placement is not None
        arrays, settings = network_job(graph, placement, inputs)
        worker = f"{__package__}.worker.run"
        found = run_worker(
            self._python, worker, arrays, settings, timeout=self._timeout, facts=_Facts
        )
        samples = settings["samples"]
        parts = {
            part: Range.exactly(joules * 1e6 / samples)
            for part, joules in found.facts.energy.items()
            if part != "total"
        }
        self.estimates = [
            EnergyEstimate(
                energy_uj=Range.total(parts.values()),
                breakdown=parts,
                layers={},
                technology=f"SANA-FE {found.facts.sanafe}",
                source=f"simulated with SANA-FE's file of Loihi ({LOIHI.source})",
                uncovered={},
            )
        ]
        self.traffic = {"chip_seconds_per_sample": found.facts.seconds / samples}
        shape = (samples, graph.timesteps)
        return {p.name: found.spikes(f"spikes/{p.name}", (*shape, p.size)) for p in graph.neurons}


class SanafeDeployer(NeuromorphicDeployer):
    """Brings networks to SANA-FE, a simulator of neuromorphic chips (Boyle et al., 2025).

    Compiling lowers the network to a spike graph and places it on Loihi's cores. A deployed network
    runs in SANA-FE in real numbers, on its file of Loihi, and has to give PyTorch's spikes; energy
    and time are a second witness beside our own estimate. A spike that takes several steps passes
    through relay neurons, whose energy counts, since SANA-FE 2.2.9 loses spikes in its delays.

    Source: Boyle et al., SANA-FE, IEEE TCAD 2025, doi:10.1109/TCAD.2025.3537971.

    Args:
        python: Interpreter of an environment with SANA-FE; None finds what `make toolchains` made.
        timeout: Seconds that a run of the simulator may take before it is ended.
    """

    target: ClassVar[Target] = TARGET

    def __init__(self, python: str | None = None, timeout: float = 600.0) -> None:
        self.python, self.timeout = python, check_positive("timeout", timeout)

    def check(self) -> None:
        """Raise `HardwareCompatibilityError` if SANA-FE is not installed."""
        find_toolchain(TARGET.name, self.python)

    def compile(
        self, model: nn.Module | Lowered, *, input_shape: InputShape | None = None
    ) -> HardwareModel:
        """Lower a network and place it on the cores of one chip."""
        lowered = self.lowered(model, input_shape)
        graph = lowered.graph
        placement = place(graph, LOIHI)
        passed = sum(relay.size for relay in relays(graph))
        details = {"cores": num_cores(graph, placement, LOIHI), "relay_neurons": passed}
        return HardwareModel(
            TARGET.name,
            graph,
            lowered.encoder,
            placement=placement,
            details=details,
            host=lowered.host,
        )

    def deploy(self, compiled_model: HardwareModel | nn.Module) -> SanafeModel:
        """Make a compiled network, or a network, ready to run in SANA-FE."""
        self.check()
        python = find_toolchain(TARGET.name, self.python)
        return SanafeModel(self.compiled(compiled_model), python, self.timeout)


DEPLOYER = SanafeDeployer
