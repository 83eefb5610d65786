"""The graph of a converted network: differential neurons on the chip, functions on its host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from spikeformer.conversion.coding.groups import GROUPS
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.differential import PRODUCT, Scheme
from spikeformer.hardware.ir.graph import Array, Arrays, Population, SpikeGraph
from spikeformer.hardware.ir.runtime import ENCODE, RATE, STATIC, Host, HostOperation, Values


@dataclass(frozen=True, eq=False)
class Differential(Population):
    """Neurons with graded payloads: rule "differential", "sum" or "change".

    The former encode a rate as signed events (`ir.differential`). The latter have no state: they
    send the host what their synapses brought in a timestep, `a`, and nothing where it is 0. The
    last compute a function of what they got, and send what changed in it.

    Attributes:
        unit: Smallest event of each neuron in units of its state, (size,); of sums 1.
        start: State at the first timestep, the bias of what the neurons encode, (size,).
        scale: Units of the state that stand for 1 in the network, (size,); 1 in real numbers.
        source: Value of the host that the neurons encode; None where synapses lead to them.
        function: What those of the rule "change" compute (`ir.differential.evaluate`).
    """

    unit: Array = field(default_factory=lambda: np.ones(0))
    start: Array = field(default_factory=lambda: np.zeros(0))
    scale: Array = field(default_factory=lambda: np.ones(0))
    source: str | None = None
    function: str = ""

    def counted(self, spikes: Array) -> Array:
        """Return how many events each neuron sent; each crosses a synapse once."""
        return np.count_nonzero(spikes, axis=(0, 1))

    @property
    def worth(self) -> Array:
        """What a payload of 1 stands for in the network, (size,)."""
        return np.asarray(self.unit / self.scale)


@dataclass(frozen=True, eq=False)
class HostedGraph(SpikeGraph):
    """A converted network: populations whose events the host reads, and functions between them.

    At each timestep the host reads events and sums, computes its functions on the rates so far and
    sends populations what changed in what they are to encode, which takes a step of the chip as a
    synapse does. The last value of `output` is the network's.

    Attributes:
        scheme: What all differential neurons share.
        functions: What the host computes, each after those whose values it takes.
        constants: Arrays that functions take, by name.
        output: Name of the value that is the network's output.
    """

    scheme: Scheme = field(default_factory=lambda: Scheme(8))
    functions: tuple[HostOperation, ...] = ()
    constants: Mapping[str, Array] = field(default_factory=dict)
    output: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for population in self.neurons:
            if not isinstance(population, Differential):
                raise _wrong(f"population {population.name!r} is not one of differential neurons")
            sizes = {x.shape for x in (population.unit, population.start, population.scale)}
            if sizes != {(population.size,)} or not (population.worth > 0).all():
                raise _wrong(f"population {population.name!r} has units of shapes {sizes}")
            fed = bool(self.incoming(population.name))
            if fed == (population.source is not None) or (not fed and population.rule == "sum"):
                raise _wrong(f"population {population.name!r} has not one thing that it encodes")
            known = (*GROUPS, PRODUCT) if population.rule == "change" else ("",)
            if population.function not in known:
                raise _wrong(f"population {population.name!r} computes {population.function!r}")
        self._check_functions()

    def _check_functions(self) -> None:
        depths = dict.fromkeys((*self.constants, *(p.name for p in self.sources)), STATIC)
        for function in self.functions:
            if function.function == RATE:
                population = self.populations.get(str(function.arguments[0]))
                depth = None if population is None else population.depth
            elif all(name in depths for name in function.values):
                least = 0 if function.function == ENCODE else STATIC
                depth = max((depths[name] for name in function.values), default=STATIC)
                depth = max(depth, least)
            else:
                depth = None
            if depth != function.depth or function.name in depths:
                raise _wrong(f"host function {function.name!r} comes before what it takes")
            depths[function.name] = function.depth
        for population in self.differential:
            source = population.source
            if source is not None and depths.get(source, population.depth) >= population.depth:
                raise _wrong(f"population {population.name!r} comes before its source")
        if self.output not in depths:
            raise _wrong(f"there is no value {self.output!r} to be its output")

    @property
    def num_functions(self) -> int:
        """Number of the chip's neurons that compute functions, which a host would do otherwise."""
        return sum(p.size for p in self.differential if p.rule == "change")

    @property
    def differential(self) -> list[Differential]:
        """The chip's populations, in topological order."""
        return [p for p in self.neurons if isinstance(p, Differential)]

    @property
    def read(self) -> list[str]:
        """Names of the populations that the host reads."""
        read = {f.arguments[0] for f in self.functions if f.function == RATE}
        return [p.name for p in self.neurons if p.name in read]

    def host(self) -> Host:
        """Return a host that runs the functions on events of this graph's populations."""
        return Host(self.constants, self.scheme, {p.name: p.worth for p in self.differential})

    def values(self, inputs: Arrays, sample: int) -> dict[str, Array]:
        """Return what comes in with a sample, in the shapes that functions take."""
        return {
            s.name: inputs[s.name][sample].reshape(1, *s.shape).astype(np.float64)
            for s in self.sources
        }

    def begin(self, host: Host, inputs: Arrays, sample: int) -> Values:
        """Return the values of a sample that depend on no event.

        Raises:
            HardwareCompatibilityError: As for `compute`.
        """
        values: Values = {**self.constants, **self.values(inputs, sample)}
        self.compute(host, [f for f in self.functions if f.depth == STATIC], values, 1, {})
        return values

    def compute(
        self, host: Host, functions: Iterable[HostOperation], values: Values, t: int, events: Arrays
    ) -> None:
        """Let a host compute functions of a timestep, which become a part of its values.

        Raises:
            HardwareCompatibilityError: One does not fit its arguments.
        """
        for function in functions:
            try:
                host.run(function, values, t, events)
            except (ValueError, TypeError, IndexError, KeyError) as error:
                raise _wrong(f"the host cannot compute {function.name!r}: {error}") from error

    def outputs(self, spikes: Arrays) -> Array:
        """Return the network's outputs after the last timestep, (samples, ...).

        Args:
            spikes: What a target recorded in the numbers of this graph, and what came in.
        """
        wanted, needed = {self.output}, []
        for function in reversed(self.functions):
            if function.name in wanted and function.depth != STATIC:
                needed.append(function)
                wanted.update(function.values)
        host, found = self.host(), []
        for sample in range(len(spikes[self.sources[0].name])):
            static = self.begin(host, spikes, sample)
            values = dict(static)
            for step in range(self.timesteps):
                events = {name: spikes[name][sample, step] for name in self.read}
                values = dict(static)
                self.compute(host, reversed(needed), values, step + 1, events)
            found.append(values[self.output][0])
        return np.stack(found)

    @cached_property
    def multiplications(self) -> dict[str, int]:
        """Multiplications of one call without regard to events: `chip`, `host`, `host_once`.

        The first two are those of one timestep; `host_once` are computed once for a sample.
        """
        host = self.host()
        nothing = {s.name: np.zeros((1, s.size)) for s in self.sources}
        silent = {p.name: np.zeros(p.size) for p in self.differential}
        values = self.begin(host, nothing, 0)
        once = sum(host.multiplications.values())
        for _, functions in self.schedule:
            self.compute(host, functions, values, 1, silent)
        every = sum(host.multiplications.values()) - once
        products = sum(p.size // 2 for p in self.differential if p.function == PRODUCT)
        return {"chip": self.num_synapses + products, "host": every, "host_once": once}

    @property
    def chip_share(self) -> float:
        """Share of a call's multiplications that the chip does, events or not."""
        counts = self.multiplications
        chip = counts["chip"] * self.timesteps
        return chip / (chip + counts["host"] * self.timesteps + counts["host_once"])

    @cached_property
    def schedule(self) -> list[tuple[list[Differential], list[HostOperation]]]:
        """Populations and functions of each depth, which run in this order at a timestep."""
        return [
            (
                [p for p in self.differential if p.depth == depth],
                [f for f in self.functions if f.depth == depth],
            )
            for depth in range(self.depth + 1)
        ]

    @cached_property
    def depth_without_host(self) -> int:
        """Largest depth of a population if what the host does took no step of the chip."""
        depths = {f.name: 0 for f in self.functions if f.depth == STATIC}
        depths |= dict.fromkeys((*self.constants, *(p.name for p in self.sources)), 0)
        reached: dict[str, int] = {}
        for populations, functions in self.schedule:
            for p in populations:
                sent = [reached[i.source] + 1 for i in self.incoming(p.name)]
                reached[p.name] = max(sent) if p.source is None else depths[p.source]
            for f in functions:
                read = [reached[f.arguments[0]]] if f.function == RATE else []
                depths[f.name] = max([*read, *(depths[value] for value in f.values)])
        return max(reached.values())

    @property
    def host_values(self) -> dict[str, int]:
        """Most numbers that cross at one timestep: `to_host` and `from_host`."""
        return {
            "to_host": sum(self.populations[name].size for name in self.read),
            "from_host": sum(p.size for p in self.differential if p.source is not None),
        }


def _wrong(reason: str) -> HardwareCompatibilityError:
    return HardwareCompatibilityError(f"Graph of a converted network: {reason}.")
