"""What networks did while a counter watched."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from torch import nn

from spikeformer.error_handling import ProfilingError
from spikeformer.i18n import t
from spikeformer.instrument import neuron_kind
from spikeformer.profiling.counting.counts import LayerCounts, OperationCounts
from spikeformer.profiling.counting.scene import NetworkFacts

K = TypeVar("K")


@dataclass
class NetworkWork:
    """What one network did.

    Attributes:
        model: The network.
        network: What is known of it.
        samples: Samples that went through it.
        counted_samples: Those of them whose operations were counted.
        passes: Forward passes.
        started: Those of them that began with new samples.
        timesteps: Most timesteps that a sample had, if neurons showed or somebody declared them.
        step: Timestep that the next pass is if it goes on with the samples of the last.
        each_pass_a_step: Whether the last pass was a single timestep.
        steps_of_a_sample: Timesteps declared of a sample whose timesteps are passes.
        layers: Counts of every layer, in the order in which they ran first.
        unpriced: Values that went through operations without a price, by what they are called.
        ran: Seconds that layers with weights took, by name.
        unknown_seconds: Seconds that operations took which nothing counts, by layer and operation.
        unknown_neurons: Layers that seem to be neurons and are not recognised, by their class.
        seconds: Seconds that all passes took, without counting them.
    """

    model: nn.Module
    network: NetworkFacts
    samples: int = 0
    counted_samples: int = 0
    passes: int = 0
    started: int = 0
    timesteps: int = 1
    step: int = 0
    each_pass_a_step: bool = False
    steps_of_a_sample: int | None = None
    partly: bool = False
    layers: dict[tuple[str, str], list[LayerCounts]] = field(default_factory=dict)
    unpriced: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    ran: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    unknown_seconds: dict[tuple[str, str], float] = field(
        default_factory=lambda: defaultdict(float)
    )
    unknown_neurons: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, counts: LayerCounts) -> None:
        """Keep one operation's counts."""
        gather(self.layers, (counts.name, counts.kind), counts)

    def end_pass(self, batch: int, steps: int, *, goes_on: bool, counted: bool) -> None:
        """Add a pass to the samples, or to the timesteps of those of the pass before."""
        self.passes += 1
        if goes_on:
            self.partly |= self.counted_samples > 0 and not counted and self.started == 1
            self.step += steps
        else:
            self.started += 1
            self.samples += batch
            self.counted_samples += batch * counted
            self.step = steps
        self.timesteps = max(self.timesteps, self.step)

    def add_unknown_neurons(self, layer: str, cls: type[nn.Module], seconds: float) -> None:
        """Note a layer that seems to be neurons and is not recognised, and what a call took."""
        name = f"{cls.__module__}.{cls.__qualname__}"
        self.unknown_neurons.setdefault(name, layer)
        self.unknown_seconds[layer, name] += seconds

    def warn_of_unknown_neurons(self) -> None:
        """Say that the counts of a network whose neurons are not recognised may be wrong."""
        for cls, layer in self.unknown_neurons.items():
            warnings.warn(t("profiling.unknown_neurons", layer=layer, name=cls), stacklevel=4)

    def counts(self) -> OperationCounts:
        """Return everything counted so far.

        Raises:
            ProfilingError: The last sample is not complete, or was not counted to its end.
        """
        name = type(self.model).__name__
        declared = self.steps_of_a_sample
        if declared is not None and self.step != declared:
            raise ProfilingError(
                t("profiling.unfinished", network=name, steps=self.step, timesteps=declared)
            )
        if self.partly:
            raise ProfilingError(t("profiling.partly_counted", network=name))
        layers = tuple(self._merged(parts) for parts in self.layers.values())
        return OperationCounts(layers, max(1, self.counted_samples), name)

    def _merged(self, parts: Sequence[LayerCounts]) -> LayerCounts:
        """Return a layer's counts, with no more timesteps where it runs several times in one."""
        layer = LayerCounts.merged(parts)
        steps = self.timesteps * self.network.unit_steps
        if layer.steps <= steps:
            return layer
        timeline = [0.0] * steps
        for call, operations in enumerate(layer.timeline):
            timeline[call * steps // layer.steps] += operations
        return replace(layer, steps=steps, timeline=tuple(timeline) if layer.timeline else ())

    def uncounted(self) -> dict[str, float]:
        """Return what ran and was not counted, with its share of the time of all passes.

        It is layers with weights of which nothing was counted, and operations that are neither
        counted nor free: "layer (operation)". On a GPU the time is what launching them took.
        """
        known = {layer for layer, _ in (*self.layers, *self.unknown_seconds)}
        silent = {name: seconds for name, seconds in self.ran.items() if name not in known}
        unknown = {f"{layer} ({name})": s for (layer, name), s in self.unknown_seconds.items()}
        whole = max(self.seconds, sum(unknown.values()) + sum(silent.values()))
        return {name: seconds / whole for name, seconds in sorted({**silent, **unknown}.items())}


def gather(kept: dict[K, list[LayerCounts]], key: K, counts: LayerCounts) -> None:
    """Keep counts under a key; many under one are summed up from time to time."""
    parts = kept.setdefault(key, [])
    parts.append(counts)
    if len(parts) > 256:
        parts[:] = [LayerCounts.merged(parts)]


def combined(works: Sequence[NetworkWork]) -> OperationCounts:
    """Return what several networks did as the counts of one.

    They are taken as parts of one pipeline, as an encoder and a classifier are: its samples are
    those of the network that saw most.

    Raises:
        ProfilingError: No network ran.
    """
    if not works:
        raise ProfilingError(
            "Nothing was measured: no network ran inside the block. Call the model itself, as "
            "in `model(batch)`; hooks do not see calls of its methods."
        )
    if len(works) > 1:
        _refuse_loose_neurons(works)
    parts = [work.counts() for work in works]
    if len(parts) == 1:
        return parts[0]
    layers = [
        replace(layer, name=f"{number}.{part.name}.{layer.name}")
        for number, part in enumerate(parts)
        for layer in part.layers
    ]
    samples = max(part.samples for part in parts)
    return OperationCounts(tuple(layers), samples, " + ".join(part.name for part in parts))


def _refuse_loose_neurons(works: Sequence[NetworkWork]) -> None:
    """Refuse layers that a script calls one by one: its loop over time shows in none of them."""
    for work in works:
        kind = neuron_kind(work.model)
        if kind is not None and kind.axis(work.model) is None:
            raise ProfilingError(t("profiling.loose_neurons", name=type(work.model).__name__))
