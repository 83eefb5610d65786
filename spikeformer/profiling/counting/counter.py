"""Counts what networks do while they run, without changing how they run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map_only

from spikeformer.error_handling import ArgumentError
from spikeformer.instrument import (
    NeuronKind,
    OperationStream,
    PassWatcher,
    eager,
    looks_like_neurons,
    neuron_kind,
    unfused,
)
from spikeformer.instrument.recognition import States, tensors
from spikeformer.models import AttentionMechanism
from spikeformer.models.mechanisms import ChannelGate
from spikeformer.neurons.integer_lif import is_integer
from spikeformer.profiling.counting.counts import LayerCounts, neuron_layer
from spikeformer.profiling.counting.free import is_free
from spikeformer.profiling.counting.operations import COUNTERS, NEURONS, OPERATIONS, UNPRICED
from spikeformer.profiling.counting.scene import (
    CountedSpikes,
    NetworkFacts,
    Scene,
    over_time,
    spread,
)
from spikeformer.profiling.counting.spike_attention import MECHANISMS, attention_products
from spikeformer.profiling.counting.timing import Declared, Timing
from spikeformer.profiling.counting.work import NetworkWork, gather


@dataclass(slots=True)
class _Frame:
    """A module at work."""

    scene: Scene
    neurons: NeuronKind | None = None
    inside_neurons: bool = False
    started: float = 0.0
    counts_neurons: bool = False
    counts_products: bool = False
    holds_neurons: bool = False


class OperationCounter(PassWatcher[_Frame]):
    """Context manager that counts the operations of every network that runs inside.

    Networks are found by hooks on all modules; what they compute is seen operation by operation, so
    products without a layer of their own, as those of attention, are counted too. Backward passes
    are not. Compiled networks run uncompiled inside. Nothing stays behind.

    Args:
        *models: Count only these; none counts every network that runs.
        passes: Count only so many forward passes of each network, None all. Samples are always
            counted.
        time_axis: Axis of time in the networks' inputs, where they have one and neurons do not
            show it: 0 for (timesteps, batch, ...), 1 for (batch, timesteps, ...).
        timesteps: Timesteps of a sample, where neurons do not show them.

    Example:
        >>> import torch
        >>> with OperationCounter() as counter:
        ...     _ = nn.Linear(4, 3)(torch.rand(2, 4))
        >>> [(layer.name, layer.dense) for layer in counter.works[0].counts().layers]
        [('Linear', 24.0)]
    """

    def __init__(
        self,
        *models: nn.Module,
        passes: int | None = None,
        time_axis: int | None = None,
        timesteps: int | None = None,
    ) -> None:
        super().__init__()
        for model in models:
            if not isinstance(model, nn.Module):
                raise ArgumentError("model", type(model).__name__, "a torch.nn.Module")
        self.models = models
        self.passes = passes
        self.declared = Declared(time_axis, timesteps)
        self._works: dict[int, NetworkWork] = {}
        self._work: NetworkWork | None = None
        self._timing = Timing("", self.declared, False)
        self._early: list[tuple[Any, tuple[Any, ...], Any, _Frame]] = []
        self._states = States()
        self._continues = False
        self._calls: dict[tuple[str, str], int] = {}
        self._counts: dict[tuple[str, str, bool], list[LayerCounts]] = {}
        self._fired: CountedSpikes | None = None
        self._operations: OperationStream | None = None
        self._stream: OperationStream | None = None
        self._begun = self._counting = 0.0

    @property
    def works(self) -> list[NetworkWork]:
        """What each network did, in the order in which they ran first; losses are no networks."""
        works = list(self._works.values())
        return [w for w in works if w.layers] or [w for w in works if w.unknown_seconds]

    def __enter__(self) -> Self:
        # A compiled graph calls no hooks, and a fused fast path hides its products.
        unfused.__enter__()
        eager.__enter__()
        self._operations = OperationStream(
            OPERATIONS, self._count, self._hear_of, ignored=is_free, written=self._distrust_spikes
        )
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        if exception[0] is None:
            for work in self._works.values():
                work.warn_of_unknown_neurons()
        eager.__exit__()
        unfused.__exit__()
        self._stop()
        self._operations = None

    def begin(self, network: nn.Module) -> bool:
        """Start on a network, or say that this call is none of ours."""
        if self.models and not any(network is model for model in self.models):
            return False
        if id(network) not in self._works:
            self._works[id(network)] = NetworkWork(network, NetworkFacts.of(network))
        work = self._work = self._works[id(network)]
        self._calls, self._continues = defaultdict(int), False
        self._counts.clear()
        name = type(network).__name__
        self._timing = Timing(name, self.declared, work.network.spiking)
        new = not work.each_pass_a_step or not self._states.held_by(network)
        if self.passes is None or work.started < self.passes + (not new):
            assert self._operations is not None
            self._stream = self._operations
            self._stream.__enter__()  # type: ignore[no-untyped-call]
        self._begun, self._counting = perf_counter(), 0.0
        return True

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> _Frame:
        """Describe where the operations of a module happen."""
        assert self._work is not None
        shape = _shape(args)
        if self._timing.shape is None and shape:
            self._timing.start(shape, self._work.network.timesteps)
        name = self._work.network.names.get(id(module)) or type(module).__name__
        scene = Scene(name, _kind(module), self._work.network, self._timing, shape)
        inside = bool(self.frames) and self.frames[-1].inside_neurons
        # A layer of neurons inside of another, or of its surrogate gradient, is part of it.
        neurons = None if inside else neuron_kind(module)
        frame = _Frame(scene, neurons, inside or neurons is not None, self._clock())
        if self._stream is not None and type(module) in MECHANISMS:
            with self._apart():
                self._count_attention(frame, cast(AttentionMechanism, module), *args)
        if neurons is not None and neurons.axis(module) is None and not self._timing.calls[name]:
            self._continues |= self._work.passes > 0 and self._states.go_on(module, args)
        return frame

    def leave(self, frame: _Frame, module: nn.Module, output: Any) -> None:
        """Count neurons that no operation has shown."""
        if output is None:
            return
        if frame.neurons is None:
            if not frame.inside_neurons:
                self._leave_layer(frame, module, output)
            return
        self._tell_of_neurons()
        axis = frame.neurons.axis(module)
        if axis is None:
            self._states.keep(module, output)
        elif frame.counts_neurons and axis == 1:
            return  # the operation that they are has told all of it
        with self._apart():
            spikes = frame.neurons.batch_first(module, output)
            if not isinstance(spikes, Tensor) or spikes.dim() < 2:
                return
            self._timing.hear(frame.scene.layer, axis, *spikes.shape[:2])
            self._count_early()
            if self._stream is not None and not frame.counts_neurons:
                self._count_neurons(frame, module, output, spikes)

    def _leave_layer(self, frame: _Frame, module: nn.Module, output: Any) -> None:
        """Note the time of a layer with weights, and what seems to be neurons and is not known."""
        assert self._work is not None
        seconds = self._clock() - frame.started
        if module._parameters and not module._modules:
            self._work.ran[frame.scene.layer] += seconds
        if not frame.holds_neurons and looks_like_neurons(module, output):
            self._work.add_unknown_neurons(frame.scene.layer, type(module), seconds)
            frame.holds_neurons = True
        if frame.holds_neurons:
            self._tell_of_neurons()

    def _tell_of_neurons(self) -> None:
        """Let the module that called the one that ends know that it holds neurons."""
        if self.frames:
            self.frames[-1].holds_neurons = True

    def end(self) -> None:
        """Add the samples of a pass."""
        work = self._work
        assert work is not None
        if self._early:
            with self._apart():
                self._count_early()
        counted = self._stream is not None
        if counted:
            work.seconds += self._clock()
        self._stop()
        called = {count for (_, kind), count in self._calls.items() if kind != "neuron"}
        steps = self._timing.steps(called)
        stepped = bool(self._timing.calls) and steps == 1 and self._timing.timesteps == 1
        if stepped and self.declared.timesteps not in (None, 1):
            self._continues = work.step % self.declared.timesteps > 0
        goes_on = stepped and self._continues
        first = work.step if goes_on else 0
        for (*_, has_one_step), parts in self._counts.items():
            for counts in parts:
                work.add(counts.later(first) if has_one_step else counts)
        self._counts.clear()
        work.end_pass(self._timing.batch, steps, goes_on=goes_on, counted=counted)
        work.each_pass_a_step = stepped
        work.steps_of_a_sample = self.declared.timesteps if stepped else None

    def _stop(self) -> None:
        self._fired = None
        self._early.clear()
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _count_attention(
        self, frame: _Frame, mechanism: AttentionMechanism, projections: tuple[Tensor, ...]
    ) -> None:
        """Count a mechanism of which no operation is all: integer neurons, or some to be called."""
        dynamics = mechanism.neuron.dynamics()
        fused = dynamics is not None and dynamics["max_spikes"] is None
        query, key, *rest = projections
        name, value = MECHANISMS[type(mechanism)], rest[0] if rest else None
        apart = isinstance(mechanism, ChannelGate) or (
            value is not None and value.shape != key.shape
        )
        if fused and not apart:
            return
        frame.scene.fired = self._fired
        counts = attention_products(frame.scene, query, key, value, name, mechanism.causal)
        gather(self._counts, (counts.name, counts.kind, False), counts)
        frame.counts_products = True

    def _count(self, operation: Any, args: tuple[Any, ...], out: Any) -> None:
        """Count one operation of torch; autograd has seen it already, and sees nothing of this."""
        assert self._work is not None
        if operation not in COUNTERS:
            self._work.unpriced[UNPRICED[operation]] += args[0].numel()
            return
        start, frame = perf_counter(), self.frames[-1]
        if operation in NEURONS:
            self._timing.hear(frame.scene.layer, 1, *out[0].shape[:2])
            self._count_early()
        if self._timing.settled:
            self._count_now(operation, args, out, frame)
        else:
            # What follows may change it in place.
            kept = tree_map_only(Tensor, lambda x: x if self._is_weight(x) else x.clone(), args)
            self._early.append((operation, kept, out, frame))
        self._counting += perf_counter() - start

    def _hear_of(self, operation: Any, seconds: float) -> None:
        """Note an operation that nobody counts and that is not free."""
        frame = self.frames[-1]
        if not frame.inside_neurons:
            assert self._work is not None
            name = operation.name().removeprefix("aten::").partition(".")[0]
            self._work.unknown_seconds[frame.scene.layer, name] += seconds

    def _distrust_spikes(self) -> None:
        """Something was written, which may be the spikes that were counted."""
        if self._fired is not None and self._fired.unchanged:
            self._fired = self._fired._replace(unchanged=False)

    def _clock(self) -> float:
        """Return the seconds since the pass began without those that counting took."""
        return perf_counter() - self._begun - self._counting

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """Inside, nothing is counted, differentiated or part of the time that a pass took."""
        start = perf_counter()
        try:
            with _disable_current_modes(), torch.no_grad():
                yield
        finally:
            self._counting += perf_counter() - start

    def _is_weight(self, x: Tensor) -> bool:
        assert self._work is not None
        return x.untyped_storage().data_ptr() in self._work.network.parameters

    def _count_early(self) -> None:
        """Count what ran before it was known what samples and timesteps are."""
        early, self._early = self._early, []
        for operation in early:
            self._count_now(*operation)

    def _count_now(self, operation: Any, args: tuple[Any, ...], out: Any, frame: _Frame) -> None:
        if frame.counts_products and operation is not torch.ops.spikeformer.lif:
            return
        frame.scene.fired = self._fired
        found = COUNTERS[operation](frame.scene, args, out)
        self._fired = frame.scene.fired
        for counts in found if isinstance(found, list) else [found]:
            if counts.neuron_updates:
                frame.counts_neurons = True
            self._keep(counts)

    def _count_neurons(self, frame: _Frame, module: nn.Module, output: Any, spikes: Tensor) -> None:
        """Count neurons that run no operation of their own, from what they fired."""
        assert frame.neurons is not None
        fires = frame.neurons.does_fire(module)
        unit_steps = module.max_spikes if is_integer(module) else 1
        timeline: list[float] = []
        if fires:
            counts_up = is_integer(module)
            events = spikes * unit_steps if counts_up else frame.scene.contents(spikes).size
            timeline = over_time(events)
            if counts_up:
                self._fired = CountedSpikes(spikes, timeline, binary=unit_steps == 1)
        counts = neuron_layer(
            frame.scene.layer,
            updates=spikes.numel() * unit_steps,
            spikes=sum(timeline),
            neurons=spikes[0, 0].numel(),
            states=frame.neurons.num_states(module, output, spikes),
            fires=fires,
            steps=spikes.shape[1] * unit_steps,
            timeline=spread(timeline, unit_steps),
        )
        self._keep(counts)

    def _keep(self, counts: LayerCounts) -> None:
        """Keep counts of this pass; a layer called once for each timestep works in the next one."""
        has_one_step = counts.steps <= 1 and bool(counts.timeline or counts.neuron_updates)
        if has_one_step:
            key = counts.name, counts.kind
            counts = counts.later(self._calls[key])
            self._calls[key] += 1
        gather(self._counts, (counts.name, counts.kind, has_one_step), counts)


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
    return next((tuple(x.shape) for x in tensors(args)), ())
