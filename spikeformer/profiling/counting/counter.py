"""Counts what networks do while they run, without changing how they run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError
from spikeformer.instrument import OperationStream, PassWatcher, eager, spikes_of, unfused
from spikeformer.models import AttentionMechanism
from spikeformer.neurons import SpikingNeuron
from spikeformer.profiling.counting.counts import LayerCounts, neuron_layer
from spikeformer.profiling.counting.operations import COUNTERS, OPERATIONS, UNPRICED
from spikeformer.profiling.counting.scene import CountedSpikes, NetworkFacts, Scene, over_time
from spikeformer.profiling.counting.spike_attention import MECHANISMS, attention_products
from spikeformer.profiling.counting.work import NetworkWork


@dataclass(slots=True)
class _Frame:
    """A module at work."""

    scene: Scene
    counts_neurons: bool = False
    counts_products: bool = False


class OperationCounter(PassWatcher[_Frame]):
    """Context manager that counts the operations of every network that runs inside.

    Networks are found by hooks on all modules; what they compute is seen operation by operation, so
    products without a layer of their own, as those of attention, are counted too. Backward passes
    are not. Compiled networks run uncompiled inside. Nothing stays behind.

    Args:
        *models: Count only these; none counts every network that runs.
        passes: Count only so many forward passes of each network, None all. Samples are always
            counted.

    Example:
        >>> import torch
        >>> with OperationCounter() as counter:
        ...     _ = nn.Linear(4, 3)(torch.rand(2, 4))
        >>> [(layer.name, layer.dense) for layer in counter.works[0].counts().layers]
        [('Linear', 24.0)]
    """

    def __init__(self, *models: nn.Module, passes: int | None = None) -> None:
        super().__init__()
        for model in models:
            if not isinstance(model, nn.Module):
                raise ArgumentError("model", type(model).__name__, "a torch.nn.Module")
        self.models = models
        self.passes = passes
        self._works: dict[int, NetworkWork] = {}
        self._work: NetworkWork | None = None
        self._batch: int | None = None
        self._calls: dict[tuple[str, str], int] = {}
        self._fired: CountedSpikes | None = None
        self._stream: OperationStream | None = None

    @property
    def works(self) -> list[NetworkWork]:
        """What each network did, in the order in which they ran first; losses are no networks."""
        return [work for work in self._works.values() if work.layers]

    def __enter__(self) -> Self:
        # A compiled graph calls no hooks, and a fused fast path hides its products.
        unfused.__enter__()
        eager.__enter__()
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        eager.__exit__()
        unfused.__exit__()
        self._stop()

    def begin(self, network: nn.Module) -> bool:
        """Start on a network, or say that this call is none of ours."""
        if self.models and not any(network is model for model in self.models):
            return False
        if id(network) not in self._works:
            self._works[id(network)] = NetworkWork(network, NetworkFacts.of(network))
        self._work = self._works[id(network)]
        self._batch, self._calls = None, defaultdict(int)
        if self.passes is None or self._work.passes < self.passes:
            self._stream = OperationStream(OPERATIONS, self._count)
            self._stream.__enter__()  # type: ignore[no-untyped-call]
        return True

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> _Frame:
        """Describe where the operations of a module happen."""
        assert self._work is not None
        shape = _shape(args)
        if self._batch is None and shape:
            self._batch = shape[0]
            self._work.network.guess_timesteps(shape)
        name = self._work.network.names.get(id(module)) or type(module).__name__
        scene = Scene(name, _kind(module), self._work.network, self._batch or 1, shape)
        frame = _Frame(scene)
        if self._stream is not None and type(module) in MECHANISMS:
            self._count_attention(frame, cast(AttentionMechanism, module), *args)
        if module._parameters and not module._modules and not isinstance(module, SpikingNeuron):
            self._work.ran.add(name)
        return frame

    def leave(self, frame: _Frame, module: nn.Module, output: Any) -> None:
        """Count a neuron that no operation has shown."""
        if self._stream is not None and isinstance(module, SpikingNeuron):
            spikes = spikes_of(output)
            if not frame.counts_neurons and isinstance(spikes, Tensor):
                self._count_neuron(frame, module, spikes)

    def end(self) -> None:
        """Add the samples of a pass."""
        assert self._work is not None
        self._work.passes += 1
        self._work.samples += self._batch or 1
        if self._stream is not None:
            self._work.counted_samples += self._batch or 1
        self._stop()

    def _stop(self) -> None:
        self._fired = None
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _count_attention(
        self, frame: _Frame, mechanism: AttentionMechanism, projections: tuple[Tensor, ...]
    ) -> None:
        """Count a mechanism whose neurons must be called, so that no operation is all of it."""
        if mechanism.neuron.dynamics() is not None:
            return
        assert self._work is not None
        query, key, *rest = projections
        name, value = MECHANISMS[type(mechanism)], rest[0] if rest else None
        counts = attention_products(frame.scene, query, key, value, name, mechanism.causal)
        self._work.add(counts)
        frame.counts_products = True

    def _count(self, operation: Any, args: tuple[Any, ...], out: Any) -> None:
        """Count one operation of torch; autograd has seen it already, and sees nothing of this."""
        assert self._work is not None
        counter = COUNTERS.get(operation)
        if counter is None:
            self._work.unpriced[UNPRICED[operation]] += args[0].numel()
            return
        frame = self.frames[-1]
        if frame.counts_products:
            return
        frame.scene.fired = self._fired
        found = counter(frame.scene, args, out)
        self._fired = frame.scene.fired
        for counts in found if isinstance(found, list) else [found]:
            if counts.neuron_updates:
                frame.counts_neurons = True
            self._work.add(self._in_time(counts))

    @torch.no_grad()
    def _count_neuron(self, frame: _Frame, neuron: SpikingNeuron, spikes: Tensor) -> None:
        """Count a neuron that runs no operation of its own, from what it fired."""
        assert self._work is not None
        self._work.network.timesteps = max(self._work.network.timesteps, spikes.shape[1])
        timeline = over_time(frame.scene.contents(spikes).size)
        counts = neuron_layer(
            frame.scene.layer,
            updates=spikes.numel(),
            spikes=sum(timeline),
            neurons=spikes[0, 0].numel(),
            states=1 if neuron.initial_state(spikes).adaptation is None else 2,
            steps=spikes.shape[1],
            timeline=timeline,
        )
        self._work.add(counts)

    def _in_time(self, counts: LayerCounts) -> LayerCounts:
        """A layer that is called once for each timestep works in the next one at each call."""
        if counts.steps > 1 or not counts.timeline:
            return counts
        key = counts.name, counts.kind
        step = self._calls[key]
        self._calls[key] += 1
        return replace(counts, steps=step + 1, timeline=(0.0,) * step + counts.timeline)


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, nn.modules.conv._ConvNd):
        return "conv"
    return "matmul"


def _shape(args: tuple[Any, ...]) -> tuple[int, ...]:
    """Shape of the first tensor among a module's inputs; empty if there is none."""
    if args and isinstance(args[0], Tensor):
        return args[0].shape
    return next((tuple(x.shape) for x in _tensors(args)), ())


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
