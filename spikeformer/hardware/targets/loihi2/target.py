"""Networks on Loihi 2: in Lava's bit-accurate simulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import nn

from spikeformer.error_handling import HardwareCompatibilityError, check_choice, check_positive
from spikeformer.hardware.deployer import DeployedModel, HardwareModel, NeuromorphicDeployer
from spikeformer.hardware.ir.cores import ChipLimits
from spikeformer.hardware.ir.drawing import draw
from spikeformer.hardware.ir.graph import Arrays
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.integers import NumberFormat
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.ir.placement import place
from spikeformer.hardware.ir.quantisation import quantise
from spikeformer.hardware.ir.relays import with_relays
from spikeformer.hardware.lowering import InputShape, Lowered
from spikeformer.hardware.target import Target
from spikeformer.hardware.targets.loihi2.hosted import hosted_job, split_events
from spikeformer.hardware.targets.loihi2.network import Job, float_job, integer_job, split
from spikeformer.hardware.targets.loihi2.prices import PRICES
from spikeformer.hardware.targets.toolchain import WorkerResult, find_toolchain, run_worker
from spikeformer.i18n import t

HOSTED = (
    "spikeformer.conversion.coding.groups",
    *(f"spikeformer.hardware.ir.{name}" for name in ("differential", "functions", "runtime")),
)
"""What the worker computes a host's part with. Lava imports all of its package, whatever runs."""

RUN, SYSTEM = f"{__package__}.worker.run", f"{__package__}.worker.system"


LOIHI2 = ChipLimits(
    name="Loihi 2",
    cores_per_chip=128,
    neurons_per_core=8192,
    # Of 192 KB in a core that synapses, neurons and tables share; Loihi had 128 KB for synapses.
    synapse_bytes_per_core=128 * 1024,
    # 8 bits. The formats that share kernels or pack indices are not modelled.
    bytes_per_weight=1,
    # Of lava-nc's DelayDense, 63 and one for the connection itself.
    max_delay=64,
    source=(
        "Intel Labs, Taking Neuromorphic Computing to the Next Level with Loihi 2, technology "
        "brief, 2021; synaptic memory as in Davies et al., 2018, doi:10.1109/MM.2018.112130359"
    ),
)

TARGET = Target(
    name="loihi2",
    label="Loihi 2",
    limits=LOIHI2,
    # Hala Point: Intel, 2024, "Intel Builds World's Largest Neuromorphic System".
    largest_system=1152,
    # Of lava-nc's fixed-point processes, whose documentation calls them bit-accurate.
    numbers=NumberFormat(
        max_weight=2**8 - 1,
        weight_shift=6,
        decay_one=2**12,
        max_threshold=2**17 - 1,
        max_state=2**23 - 1,
        max_bias=2**12 - 1,
        max_bias_exp=7,
        threshold_of_values=2**10,
    ),
    toolchain="loihi2",
    # A synapse takes 33 bytes where tokens share weights, 38 in sparse and 63 in dense connections,
    # in the process that makes the job and in Lava's together (scripts/bench/lava_memory.py): at
    # most 9.9 GB.
    max_synapses=150_000_000,
    prices=tuple(PRICES.values()),
    graded=True,
    lasting_currents=True,
)


class Loihi2Model(DeployedModel):
    """A network that runs in the fixed-point arithmetic of Loihi 2.

    Args:
        compiled: The compiled network, with its integers.
        python: Interpreter of the environment with Lava.
        timeout: Seconds that a run may take.
        chip: Whether `execute` runs on a chip, not in Lava's model of one.
    """

    float_arithmetic = "reals_lava"

    def __init__(
        self, compiled: HardwareModel, python: Path, timeout: float, *, chip: bool = False
    ) -> None:
        super().__init__(compiled)
        self._python, self._timeout, self._chip = python, timeout, chip
        self.arithmetic = "integers_chip" if chip else "integers_lava"
        if compiled.integers is None:
            self.arithmetic = self.float_arithmetic
        self.simulated = not chip

    def execute(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples in integers: on the chip, or in Lava's model of it, bit for bit.

        A converted network whose functions are the chip's runs in real numbers.
        """
        if self.compiled.integers is None:
            return self.execute_float(inputs)
        if isinstance(hosted := self.compiled.integers.graph, HostedGraph):
            return self._run_hosted(hosted, inputs)
        form = "chip" if self._chip else "block"
        return self._run(integer_job(self.compiled.integers, inputs, form), inputs)

    def execute_float(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples in Lava in floating point, with the network's own weights."""
        if isinstance(self.compiled.graph, HostedGraph):
            return self._run_hosted(self.compiled.graph, inputs)
        return self._run(float_job(self.compiled.graph, inputs), inputs)

    def _run(self, job: Job, inputs: Arrays) -> dict[str, Array]:
        arrays, settings, graph = job.arrays, job.settings, self.compiled.graph
        result = self._work(arrays, settings)
        samples = len(next(iter(inputs.values())))
        shape = (settings["lanes"], settings["steps"], graph.num_neurons)
        most = np.repeat([p.levels for p in graph.neurons], [p.size for p in graph.neurons])
        return split(result.spikes("spikes", shape, most), graph, samples)

    def _run_hosted(self, graph: HostedGraph, inputs: Arrays) -> dict[str, Array]:
        job = hosted_job(graph, inputs)
        result = self._work(job.arrays, job.settings)
        return split_events(result, graph, len(next(iter(inputs.values()))))

    def _work(self, arrays: Arrays, settings: Mapping[str, Any]) -> WorkerResult[dict[str, Any]]:
        return run_worker(
            self._python,
            RUN,
            arrays,
            settings,
            timeout=self._timeout,
            facts=dict[str, Any],
            modules=HOSTED,
        )


class Loihi2Deployer(NeuromorphicDeployer):
    """Brings networks to Loihi 2 through Intel's Lava.

    Compiling lowers the network to a spike graph, scales its weights to 8 bits and places its
    neurons on neurocores (Orchard et al., 2021, doi:10.1109/SiPS52927.2021.00053). A spike that
    takes longer than 64 steps passes through relay neurons, `details["relay_neurons"]`. A deployed
    network runs in Lava's model of the chip, by Intel's account the chip's arithmetic bit for bit.

    Args:
        backend: "simulator", or "chip" where Intel's system software (lava-loihi) is installed in
            the toolchain's environment and reaches a chip. The network for the chip is tested in
            simulation; no chip was at hand to run it.
        python: Interpreter of an environment with lava-nc; None finds what `make toolchains` made.
        timeout: Seconds that a run of the toolchain may take before it is ended.

    Example:
        ```python
        deployer = Loihi2Deployer()
        with deployer.deploy(model) as chip:
            classes = chip.predict(images)
        ```
    """

    target: ClassVar[Target] = TARGET

    def __init__(
        self, backend: str = "simulator", python: str | None = None, timeout: float = 600.0
    ) -> None:
        self.backend = check_choice("backend", backend, ("simulator", "chip"))
        self.python, self.timeout = python, check_positive("timeout", timeout)

    @property
    def graded(self) -> bool:
        """Whether neurons may send graded spikes: in Lava's simulator, by processes of ours."""
        return self.backend == "simulator"

    def check(self) -> None:
        """Raise `HardwareCompatibilityError` if Lava or the chip's software is not installed."""
        python = find_toolchain(TARGET.name, self.python)
        if self.backend == "chip":
            found = run_worker(python, SYSTEM, {}, {}, timeout=self.timeout, facts=dict[str, bool])
            if not found.facts.get("chip"):
                raise HardwareCompatibilityError(t("hardware.needs_chip_software", python=python))

    def compile(
        self, model: nn.Module | Lowered, *, input_shape: InputShape | None = None
    ) -> HardwareModel:
        """Lower a network, scale it to 8-bit weights and place it on neurocores."""
        lowered = self.lowered(model, input_shape)
        graph = with_relays(lowered.graph, LOIHI2.max_delay)
        reports = {"graph.mmd": draw(graph)} if isinstance(graph, HostedGraph) else {}
        real = isinstance(graph, HostedGraph) and graph.num_functions > 0
        return HardwareModel(
            TARGET.name,
            graph,
            lowered.encoder,
            host=lowered.host,
            integers=None if real else quantise(graph, TARGET.numbers),
            placement=place(graph, LOIHI2),
            details={"relay_neurons": graph.num_neurons - lowered.graph.num_neurons},
            reports=reports,
        )

    def deploy(self, compiled_model: HardwareModel | nn.Module) -> Loihi2Model:
        """Make a compiled network, or a network, ready to run in Lava."""
        self.check()
        python = find_toolchain(TARGET.name, self.python)
        compiled = self.compiled(compiled_model)
        return Loihi2Model(compiled, python, self.timeout, chip=self.backend == "chip")


DEPLOYER = Loihi2Deployer
