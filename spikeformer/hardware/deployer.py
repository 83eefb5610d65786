"""What every target offers: compile a network, deploy it, run samples through it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import msgspec
from torch import Tensor, nn

from spikeformer.config import registered
from spikeformer.conversion import SpikingModel
from spikeformer.encoding import SpikeEncoder
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.files import inside, write_text
from spikeformer.hardware.energy import traffic
from spikeformer.hardware.ir.cores import ChipLimits, Placement
from spikeformer.hardware.ir.files import load_graph, save_graph
from spikeformer.hardware.ir.graph import Array, Arrays, SpikeGraph
from spikeformer.hardware.ir.host import HostFunction
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.integers import IntegerGraph
from spikeformer.hardware.lowering import InputShape, Lowered, lower, lower_converted
from spikeformer.hardware.planning import plan
from spikeformer.hardware.records import PlacementPlan
from spikeformer.hardware.reference import Samples, split_signs
from spikeformer.hardware.target import Target
from spikeformer.i18n import t
from spikeformer.profiling import EnergyEstimate, register_technologies

REALS = "reals_numpy"
INTEGERS = "integers_numpy"


@dataclass(frozen=True, eq=False)
class HardwareModel:
    """A network compiled for a target.

    Attributes:
        target: Name of the target.
        graph: The network as a spike graph, in its own units.
        encoder: Makes the spike trains of the graph's sources; None where values come in.
        integers: The graph in the target's integers; None for targets that take real weights.
        placement: Which neurons go to which core; None where there are no cores.
        details: What else the target's toolchain reported, plain values that JSON holds.
        reports: The toolchain's own reports, text by file name; written out, not read back.
        host: What the host makes of inputs, by the source that gets its values.
    """

    target: str
    graph: SpikeGraph
    encoder: SpikeEncoder | None = None
    integers: IntegerGraph | None = None
    placement: Placement | None = None
    details: dict[str, Any] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)
    host: Mapping[str, HostFunction] = field(default_factory=dict)

    @property
    def in_numbers(self) -> SpikeGraph:
        """The graph in the numbers that the target computes with."""
        return self.graph if self.integers is None else self.integers.graph

    def save(self, folder: Path) -> None:
        """Write `graph.json`, `graph.npz` and the toolchain's reports into a folder."""
        for name, text in self.reports.items():
            write_text(inside(folder / "reports", name), text)
        save_graph(
            folder,
            self.graph,
            self.integers,
            self.encoder,
            target=self.target,
            placement=None if self.placement is None else self.placement.to_dict(),
            details=self.details,
            host=self.host,
        )

    @classmethod
    def load(cls, folder: Path) -> HardwareModel:
        """Read what `save` wrote.

        Raises:
            HardwareCompatibilityError: The files are absent, cut short or from elsewhere.
        """
        graph, integers, encoder, host, content = load_graph(folder)
        placed = content.placement
        placement = None if placed is None else Placement.from_dict(msgspec.to_builtins(placed))
        return cls(content.target, graph, encoder, integers, placement, content.details, host=host)

    def encode(self, samples: Samples) -> dict[str, Array]:
        """Return the arrays of the graph's sources for samples as the network takes them.

        Args:
            samples: Shape (samples, ...), or such a tensor of each input by its name.

        Raises:
            HardwareCompatibilityError: An input is absent, of another size or not finite, or an id
                is not in its table.
        """
        sources = self.graph.sources
        only = sources[0].name if isinstance(self.graph, HostedGraph) else "input"
        named = {only: samples} if isinstance(samples, Tensor) else samples
        if self.encoder is not None:
            shape = self.encoder.sample_shape(sources[0].shape)
            checked = self._checked(named, "input", shape)
            return split_signs(self.encoder, self.encoder(checked.double()))
        arrays = {}
        for source in sources:
            function = self.host.get(source.name)
            if function is None:
                values = self._checked(named, source.name, source.shape)
                arrays[source.name] = values.double().flatten(1).numpy()
            else:
                shape = function.input_shape(source.shape)
                samples = self._checked(named, function.argument, shape)
                arrays[source.name] = function(samples.numpy())
        return arrays

    @staticmethod
    def _checked(named: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
        samples = named.get(name)
        if samples is None or samples.ndim < 1 or tuple(samples.shape[1:]) != shape:
            what = name if name == "input" else repr(name)
            expected = ", ".join(["samples", *map(str, shape)])
            found = "none" if samples is None else tuple(samples.shape)
            raise HardwareCompatibilityError(
                f"Expected {what} of shape ({expected}), but got {found}. "
                "The compiled network takes one size of input."
            )
        if not samples.isfinite().all():
            raise HardwareCompatibilityError(
                f"Expected finite numbers in {name!r}, but it holds NaN or infinity."
            )
        return samples.detach().cpu()


@dataclass(frozen=True, eq=False)
class Recording:
    """What a deployed network did.

    Attributes:
        spikes: Spikes of every population, uint8 (samples, timesteps, size).
        outputs: The network's outputs averaged over time, or of a converted network those of the
            last timestep, (samples, ...).
        seconds: Wall-clock time of the run, with reading the spikes out.
    """

    spikes: dict[str, Array]
    outputs: Array
    seconds: float


class DeployedModel(ABC):
    """A network on a target, ready for samples. Close it, or use it as a context manager.

    Args:
        compiled: The compiled network.
    """

    arithmetic: str = REALS
    """What `execute` computes with: a name for which `arithmetic_label` may know a text."""
    float_arithmetic: str = REALS
    """What `execute_float` computes with."""
    simulated: bool = True
    """Whether `execute` runs in a simulator, and not on a chip."""

    def __init__(self, compiled: HardwareModel) -> None:
        self.compiled = compiled
        self.estimates: list[EnergyEstimate] = []
        """What the target's own software says a sample of the last run takes, if it says so."""
        self.traffic: dict[str, float] = {}
        """What else it says of a sample, such as `chip_seconds_per_sample`."""

    @abstractmethod
    def execute(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples in the target's own arithmetic and return all spikes.

        Args:
            inputs: Arrays of the graph's sources.

        Returns:
            Spikes of every population of kind "lif", uint8 (samples, timesteps, size), each in its
            own time.
        """

    def execute_float(self, inputs: Arrays) -> dict[str, Array]:
        """Run samples in the toolchain's real numbers, which has to give PyTorch's spikes."""
        return self.execute(inputs)

    def run(self, inputs: Samples | Arrays) -> Recording:
        """Run samples in the target's own arithmetic.

        Args:
            inputs: Samples (samples, ...) as the network takes them, or such a tensor of each input
                by its name, or the arrays of the graph's sources if they are encoded already.
        """
        arrays = _encoded(self.compiled, inputs)
        start = time.perf_counter()
        spikes = self.execute(arrays)
        seconds = time.perf_counter() - start
        outputs = self.compiled.in_numbers.outputs({**arrays, **spikes})
        return Recording(spikes, outputs, seconds)

    def predict(self, inputs: Samples) -> Array:
        """Return the class with the largest output of each sample, (samples,)."""
        classes: Array = self.run(inputs).outputs.argmax(axis=-1)
        return classes

    def benchmark(self, inputs: Samples | Arrays) -> dict[str, float]:
        """Run samples and count what they cost; latencies are in steps of the chip.

        Returns:
            Numbers by name: samples, wall-clock seconds of this target, steps from a sample's first
            input to its last output, steps between samples, and spikes, packets (a spike counts
            once for each population that receives it) and synaptic events of a sample.
        """
        recording = self.run(inputs)
        return {
            "samples": len(recording.outputs),
            "seconds": recording.seconds,
            **traffic(self.compiled.graph, recording.spikes),
        }

    def close(self) -> None:  # noqa: B027  a target may have nothing to let go of
        """Let go of the target."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@registered
class NeuromorphicDeployer(ABC):
    """Brings networks to one kind of target."""

    target: ClassVar[Target] = Target("custom")
    """What is known of the target."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let profilers price operations by the figures of the target."""
        super().__init_subclass__(**kwargs)
        if "target" in vars(cls):
            register_technologies(*cls.target.prices)

    @property
    def limits(self) -> ChipLimits | None:
        """What cores and chips hold; None where there are no cores."""
        return self.target.limits

    @property
    def chips_per_board(self) -> int | None:
        """Chips of a board; None if any number can be had."""
        return self.target.chips_per_board

    @abstractmethod
    def compile(
        self, model: nn.Module | Lowered, *, input_shape: InputShape | None = None
    ) -> HardwareModel:
        """Lower a network, check it against the target's limits and fit it to its numbers.

        Args:
            model: The network, which is not changed, or what `lowered` made of it.
            input_shape: Shape of one sample; None takes it from the network, if it knows.

        Raises:
            HardwareCompatibilityError: The network does not fit; the message names the layer.
        """

    @abstractmethod
    def deploy(self, compiled_model: HardwareModel | nn.Module) -> DeployedModel:
        """Start a compiled network, or compile and start a network.

        Raises:
            HardwareCompatibilityError: The target cannot be reached or its toolchain failed.
        """

    @property
    def graded(self) -> bool:
        """Whether neurons may send graded spikes."""
        return self.target.graded

    def check(self) -> None:  # noqa: B027  a target may need no toolchain
        """Raise `HardwareCompatibilityError` if the target's toolchain is not installed."""

    def check_converted(self) -> None:
        """Raise `HardwareCompatibilityError` if the target takes no converted networks."""
        if not self.graded:
            target = self.target.label or self.target.name
            raise HardwareCompatibilityError(t("hardware.needs_host", target=target))

    def lowered(self, model: nn.Module | Lowered, input_shape: InputShape | None = None) -> Lowered:
        """Return a network as a spike graph, which `compile` takes too.

        Raises:
            HardwareCompatibilityError: A layer is not supported by spiking chips, or sends graded
                spikes, does without a leak or has currents that last, and this target's neurons do
                not.
        """
        target = self.target.label or self.target.name
        if isinstance(model, SpikingModel):
            self.check_converted()  # before the work
            return Lowered(lower_converted(model, input_shape), None, {})
        if isinstance(model, Lowered) and isinstance(model.graph, HostedGraph):
            self.check_converted()
            return model
        if not isinstance(model, Lowered):
            model = lower(model, input_shape or known_input_shape(model))
        for neurons in model.graph.neurons:
            if neurons.graded and not self.graded:
                key = "hardware.no_graded_spikes"
            elif neurons.decay == 1 and not self.target.leakless:
                key = "hardware.no_leak"
            elif neurons.current_decay and not self.target.lasting_currents:
                key = "hardware.no_lasting_currents"
            else:
                continue
            raise HardwareCompatibilityError(t(key, layer=neurons.name, target=target))
        return model

    def plan(
        self,
        model: nn.Module | Lowered,
        *,
        input_shape: InputShape | None = None,
        rates: Mapping[str, float] | float = 0.1,
    ) -> PlacementPlan:
        """Estimate the chips that a network takes and the spikes between them; nothing is run.

        Args:
            model: The network.
            input_shape: Shape of one sample; None takes it from the network, if it knows.
            rates: As `spikeformer.hardware.plan` takes them: assumed, or measured.

        Raises:
            HardwareCompatibilityError: The network does not fit, or the target has no cores.
        """
        target = self.target
        if self.limits is None:
            raise HardwareCompatibilityError(t("hardware.no_cores_to_plan", target=target.name))
        graph = self.lowered(model, input_shape).graph
        return plan(
            graph,
            self.limits,
            rates,
            target=target.label or target.name,
            largest_system=target.largest_system,
        )

    def compiled(self, model: HardwareModel | nn.Module) -> HardwareModel:
        """Return what is compiled already, or compile it.

        Raises:
            HardwareCompatibilityError: It is compiled for another target, or as for `lowered`.
        """
        if isinstance(model, nn.Module):
            return self.compile(model)
        if model.target != self.target.name:
            raise HardwareCompatibilityError(
                f"This network is compiled for {model.target!r}, but this is a deployer for "
                f"{self.target.name!r}. Compile it again."
            )
        self.lowered(Lowered(model.graph, None, {}))  # another backend may have compiled it
        return model


def _encoded(compiled: HardwareModel, inputs: Samples | Arrays) -> Arrays:
    tensors = {} if isinstance(inputs, Tensor) else inputs
    if all(isinstance(value, Tensor) for value in tensors.values()):
        return compiled.encode(cast(Samples, inputs))
    return cast(Arrays, inputs)


def known_input_shape(model: nn.Module) -> InputShape:
    """Return the shape of one sample that a network or a part of it declares.

    As `image_shape`, or as `expected_shape` where it takes something else than images.
    """
    for module in model.modules():
        shape = getattr(module, "image_shape", None) or getattr(module, "expected_shape", None)
        if shape is not None:
            return shape if isinstance(shape, Mapping) else tuple(shape)
    raise HardwareCompatibilityError(
        f"{type(model).__name__} does not say what its inputs look like. Pass the shape of one "
        "sample: compile(model, input_shape=(channels, height, width))."
    )
