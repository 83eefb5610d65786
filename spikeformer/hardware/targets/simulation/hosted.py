"""The graph of a converted network run in NumPy, timestep by timestep, with its host."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from spikeformer.hardware.ir.differential import DifferentialNeurons, FunctionNeurons
from spikeformer.hardware.ir.graph import Array, Arrays
from spikeformer.hardware.ir.hosted import Differential, HostedGraph
from spikeformer.hardware.ir.runtime import Host, Values


@dataclass
class HostedRun:
    """Runs samples through a graph, in its own numbers: real, or integers.

    Args:
        graph: The graph.

    Attributes:
        events: What every population sent, (samples, timesteps, size): events as int32; sums and
            changes as float64, or int32 in integers.
        outputs: The network's outputs after the last timestep, (samples, ...).
        neurons: The populations that send events, by name.
        functions: Those that send changes.
        clipped: How often sums left their range, by name.
        sent: Values that the host sent, those that did not change left out.
        host_seconds: Processor time that the host's functions took.
    """

    graph: HostedGraph
    events: dict[str, Array] = field(default_factory=dict)
    outputs: Array = field(default_factory=lambda: np.zeros(0))
    neurons: dict[str, DifferentialNeurons] = field(default_factory=dict)
    functions: dict[str, FunctionNeurons] = field(default_factory=dict)
    clipped: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    host_seconds: float = 0.0

    def run(self, inputs: Arrays) -> HostedRun:
        """Run samples, whose arrays are those of the graph's sources; return this."""
        graph = self.graph
        samples = len(next(iter(inputs.values())))
        for p in graph.differential:
            real = p.rule != "differential" and not graph.scheme.max_state
            shape = (samples, graph.timesteps, p.size)
            self.events[p.name] = np.zeros(shape, np.float64 if real else np.int32)
            if p.rule == "differential":
                self.neurons[p.name] = DifferentialNeurons(graph.scheme, p.unit, p.start)
            elif p.rule == "change":
                self.functions[p.name] = FunctionNeurons(p.function, p.start)
        host, outputs = graph.host(), []
        for sample in range(samples):
            begun = time.process_time()
            static = graph.begin(host, inputs, sample)
            self.host_seconds += time.process_time() - begun
            self._before = {p.name: np.zeros_like(p.start) for p in graph.differential}
            values = static
            for step in range(graph.timesteps):
                values = self._step(host, dict(static), sample, step)
            outputs.append(values[graph.output][0])
        self.outputs = np.stack(outputs)
        return self

    def _step(self, host: Host, values: Values, sample: int, step: int) -> Values:
        """Run a timestep: at each depth first the populations, then the host's functions."""
        graph = self.graph
        events: dict[str, Array] = {}
        for populations, functions in graph.schedule:
            for p in populations:
                events[p.name] = self._fire(p, values, events, step + 1)
                self.events[p.name][sample, step] = events[p.name]
            begun = time.process_time()
            graph.compute(host, functions, values, step + 1, events)
            self.host_seconds += time.process_time() - begun
        return values

    def _fire(self, p: Differential, values: Values, events: dict[str, Array], t: int) -> Array:
        neurons = self.functions[p.name] if p.rule == "change" else self.neurons.get(p.name)
        if p.source is not None:
            assert neurons is not None
            wanted = values[p.source].ravel() * p.scale
            if self.graph.scheme.max_state:
                wanted = np.rint(wanted).astype(np.int64)
            changed = wanted - self._before[p.name]
            self._before[p.name] = wanted
            self.sent += int(np.count_nonzero(changed))
            return neurons.fire(np.zeros_like(changed), changed, t)
        arriving = {"change": np.zeros(p.size), "differential": np.zeros(p.size)}
        for i in self.graph.incoming(p.name):
            arriving[self.graph.populations[i.source].rule] += i.operator.apply(events[i.source])
        summed, changed = arriving["differential"], arriving["change"]
        most = self.graph.scheme.max_state
        if most:
            summed = np.rint(summed).astype(np.int64)
            inside = summed.clip(-most, most)
            beyond = int((inside != summed).sum())
            self.clipped[p.name] = self.clipped.get(p.name, 0) + beyond
            summed, changed = inside, np.zeros_like(inside)
        return summed if neurons is None else neurons.fire(summed, changed, t)
