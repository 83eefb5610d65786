"""Networks on Loihi 2: in Lava's bit-accurate simulator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from torch import nn

from spikeformer.error_handling import check_positive
from spikeformer.hardware.deployer import DeployedModel, HardwareModel, NeuromorphicDeployer
from spikeformer.hardware.graph import Arrays
from spikeformer.hardware.limits import LOIHI2
from spikeformer.hardware.loihi2.network import Job, float_job, integer_job, split
from spikeformer.hardware.operators import Array
from spikeformer.hardware.placement import place
from spikeformer.hardware.process import run_worker
from spikeformer.hardware.quantisation import quantise
from spikeformer.hardware.toolchains import find_toolchain


class Loihi2Model(DeployedModel):
    """A network that runs in the fixed-point arithmetic of Loihi 2.

    Args:
        compiled: The compiled network, with its integers.
        python: Interpreter of the environment with Lava.
        timeout: Seconds that a run may take.
    """

    arithmetic = "integers in Lava"
    float_arithmetic = "real numbers in Lava"

    def __init__(self, compiled: HardwareModel, python: Path, timeout: float) -> None:
        super().__init__(compiled)
        self._python, self._timeout = python, timeout

    def execute(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples in Lava in integers: what the chip computes, bit for bit."""
        assert self.compiled.integers is not None
        return self._run(integer_job(self.compiled.integers, inputs), inputs)

    def execute_float(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples in Lava in floating point, with the network's own weights."""
        return self._run(float_job(self.compiled.graph, inputs), inputs)

    def _run(self, job: Job, inputs: Arrays) -> dict[str, Array]:
        result = run_worker(
            self._python, "loihi2.run", job.arrays, job.settings, timeout=self._timeout
        )
        samples = len(next(iter(inputs.values())))
        return split(result.arrays["spikes"], self.compiled.graph, samples)


class Loihi2Deployer(NeuromorphicDeployer):
    """Brings networks to Loihi 2 through Intel's Lava.

    Compiling lowers the network to a spike graph, scales its weights to 8 bits and places its
    neurons on neurocores. A deployed network runs in Lava's model of the chip, which computes what
    the chip does bit for bit (Orchard et al., 2021, doi:10.1109/SiPS52927.2021.00053).

    Args:
        python: Interpreter of an environment with lava-nc; None finds what `make toolchains` made.
        timeout: Seconds that a run of the toolchain may take before it is ended.

    Example:
        ```python
        deployer = Loihi2Deployer()
        with deployer.deploy(model) as chip:
            classes = chip.predict(images)
        ```
    """

    target: ClassVar = "loihi2"

    def __init__(self, python: str | None = None, timeout: float = 600.0) -> None:
        self.python, self.timeout = python, check_positive("timeout", timeout)

    def check(self) -> None:
        """Raise `HardwareCompatibilityError` if Lava is not installed."""
        find_toolchain(self.target, self.python)

    def compile(
        self, model: nn.Module, *, input_shape: Sequence[int] | None = None
    ) -> HardwareModel:
        """Lower a network, scale it to 8-bit weights and place it on neurocores."""
        lowered = self.lowered(model, input_shape)
        placement = place(lowered.graph, LOIHI2)
        return HardwareModel(
            self.target,
            lowered.graph,
            lowered.encoder,
            integers=quantise(lowered.graph),
            placement=placement,
        )

    def deploy(self, compiled_model: HardwareModel | nn.Module) -> Loihi2Model:
        """Make a compiled network, or a network, ready to run in Lava."""
        python = find_toolchain(self.target, self.python)
        return Loihi2Model(self.compiled(compiled_model), python, self.timeout)
