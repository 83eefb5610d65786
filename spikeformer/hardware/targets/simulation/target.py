"""The target without a chip: the spike graph itself, in NumPy."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from spikeformer.hardware.deployer import (
    INTEGERS,
    DeployedModel,
    HardwareModel,
    NeuromorphicDeployer,
)
from spikeformer.hardware.ir.graph import Array, Arrays
from spikeformer.hardware.lowering import InputShape, Lowered
from spikeformer.hardware.target import Target
from spikeformer.hardware.targets.simulation.simulate import simulate, simulate_integers

TARGET = Target("simulation", "NumPy", graded=True, lasting_currents=True)


class SimulatedModel(DeployedModel):
    """A spike graph that runs in NumPy: in float64, and in integers if it is compiled to them."""

    def __init__(self, compiled: HardwareModel) -> None:
        super().__init__(compiled)
        if compiled.integers is not None:
            self.arithmetic = INTEGERS

    def execute(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples in integers, or in float64 where there are none."""
        if self.compiled.integers is None:
            return self.execute_float(inputs)
        return simulate_integers(self.compiled.integers, inputs)[0]

    def execute_float(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples in float64."""
        return simulate(self.compiled.graph, inputs)


class SimulationDeployer(NeuromorphicDeployer):
    """Runs the spike graph in NumPy: the middle term of every comparison.

    Example:
        >>> import torch
        >>> from spikeformer.models import ClassificationHead, SpikingNetwork, SpikingViT
        >>> from spikeformer.neurons import LifNeuron
        >>> from functools import partial
        >>> neuron = partial(LifNeuron, reset="zero")
        >>> vit = SpikingViT(1, 8, d_model=16, nhead=2, num_layers=1, neuron=neuron)
        >>> net = SpikingNetwork(vit, ClassificationHead(16, 10))
        >>> with SimulationDeployer().deploy(net) as deployed:
        ...     deployed.predict(torch.rand(3, 1, 8, 8)).shape
        (3,)
    """

    target: ClassVar[Target] = TARGET

    def compile(
        self, model: nn.Module | Lowered, *, input_shape: InputShape | None = None
    ) -> HardwareModel:
        """Lower a network."""
        lowered = self.lowered(model, input_shape)
        return HardwareModel(TARGET.name, lowered.graph, lowered.encoder, host=lowered.host)

    def deploy(self, compiled_model: HardwareModel | nn.Module) -> SimulatedModel:
        """Return the network, ready to run."""
        return SimulatedModel(self.compiled(compiled_model))


DEPLOYER = SimulationDeployer
