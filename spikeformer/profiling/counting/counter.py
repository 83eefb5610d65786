"""Counts what networks do while they run, without changing how they run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import TracebackType
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t
from spikeformer.models import AttentionMechanism
from spikeformer.neurons import SpikingNeuron
from spikeformer.profiling.counting.counts import LayerCounts, neuron_layer
from spikeformer.profiling.counting.operations import COUNTERS, UNPRICED
from spikeformer.profiling.counting.scene import Fired, Network, Scene, over_time
from spikeformer.profiling.counting.spike_attention import OPERATIONS, attention_products
from spikeformer.profiling.counting.work import NetworkWork


@dataclass
class _Frame:
    """A module at work."""

    module: nn.Module
    scene: Scene
    counts_neurons: bool = False
    counts_products: bool = False


class OperationCounter:
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
        for model in models:
            if not isinstance(model, nn.Module):
                raise ArgumentError("model", type(model).__name__, t("expected.a_module"))
        self.models = models
        self.passes = passes
        self._works: dict[int, NetworkWork] = {}
        self._work: NetworkWork | None = None
        self._frames: list[_Frame] = []
        self._batch: int | None = None
        self._calls: dict[tuple[str, str], int] = {}
        self._fired: Fired | None = None
        self._handles: list[RemovableHandle] = []
        self._watch: _Watch | None = None

    @property
    def works(self) -> list[NetworkWork]:
        """What each network did, in the order in which they ran first; losses are no networks."""
        return [work for work in self._works.values() if work.layers]

    def __enter__(self) -> Self:
        self._handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]
        # A compiled graph calls no hooks, and a fused fast path hides its products.
        self._fastpath = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        torch.compiler.set_stance("force_eager")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        torch.compiler.set_stance("default")
        torch.backends.mha.set_fastpath_enabled(self._fastpath)
        while self._handles:
            self._handles.pop().remove()
        self._frames.clear()
        self._stop()

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if not self._frames and not self._begin(module):
            return
        assert self._work is not None
        shape = _shape(args)
        if self._batch is None and shape:
            self._batch = shape[0]
            self._work.network.guess_timesteps(shape)
        name = self._work.network.names.get(id(module)) or type(module).__name__
        scene = Scene(name, _kind(module), self._work.network, self._batch or 1, shape)
        frame = _Frame(module, scene)
        self._frames.append(frame)
        if self._watch is not None and type(module) in OPERATIONS:
            self._count_attention(frame, *args)
        if module._parameters and not module._modules and not isinstance(module, SpikingNeuron):
            self._work.ran.add(name)

    def _begin(self, module: nn.Module) -> bool:
        """Start on a network, or say that this call is none of ours."""
        wanted = not self.models or any(module is model for model in self.models)
        # In a backward pass only what checkpointing computes once more calls modules.
        if not wanted or torch._C._current_graph_task_id() != -1:
            return False
        if id(module) not in self._works:
            self._works[id(module)] = NetworkWork(module, Network.of(module))
        self._work = self._works[id(module)]
        self._batch, self._calls = None, defaultdict(int)
        if self.passes is None or self._work.passes < self.passes:
            self._watch = _Watch(self._count, self._work.unpriced)
            self._watch.__enter__()  # type: ignore[no-untyped-call]
        return True

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not self._frames or self._frames[-1].module is not module:
            return
        frame = self._frames.pop()
        if self._watch is not None and isinstance(module, SpikingNeuron):
            spikes = output[0] if isinstance(output, tuple) else output
            if not frame.counts_neurons and isinstance(spikes, Tensor):
                self._count_neuron(frame, module, spikes)
        if not self._frames:
            self._end()

    def _end(self) -> None:
        assert self._work is not None
        self._work.passes += 1
        self._work.samples += self._batch or 1
        if self._watch is not None:
            self._work.counted_samples += self._batch or 1
        self._stop()

    def _stop(self) -> None:
        self._fired = None
        if self._watch is not None:
            watch, self._watch = self._watch, None
            watch.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _count_attention(self, frame: _Frame, projections: tuple[Tensor, ...]) -> None:
        """Count a mechanism whose neurons must be called, so that no operation is all of it."""
        mechanism = cast(AttentionMechanism, frame.module)
        if mechanism.neuron.dynamics() is not None:
            return
        assert self._work is not None
        query, key, *rest = projections
        name, value = OPERATIONS[type(mechanism)], rest[0] if rest else None
        counts = attention_products(frame.scene, query, key, value, name, mechanism.causal)
        self._work.add(counts)
        frame.counts_products = True

    def _count(self, counter: Callable[..., Any], args: tuple[Any, ...], out: Any) -> None:
        """Count one operation of torch; autograd has seen it already, and sees nothing of this."""
        assert self._work is not None
        frame = self._frames[-1]
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
        timeline = over_time(frame.scene.activity(spikes).size)
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


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands operations to be counted to `count`, after they ran."""

    def __init__(self, count: Callable[..., None], unpriced: dict[str, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = count
        self.unpriced = unpriced

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the counter runs everything uncompiled anyway, and the guard takes time

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        packet = func._overloadpacket
        counter = COUNTERS.get(packet)
        if counter is None:
            if packet in UNPRICED:
                self.unpriced[UNPRICED[packet]] += args[0].numel()
            elif _is_composite(func):
                # In inference mode torch hands over what is made of operations to be counted.
                with self:
                    return func.decompose(*args, **(kwargs or {}))
            return func(*args, **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        self.count(counter, (*args, *(kwargs or {}).values()), out)
        return out


@cache
def _is_composite(func: Any) -> bool:
    has_kernel: Callable[[str, str], bool] = torch._C._dispatch_has_kernel_for_dispatch_key
    return has_kernel(func.name(), "CompositeImplicitAutograd")


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
