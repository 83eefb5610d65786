"""Layers of spiking neurons, ours and other libraries': which they are, how to read their calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes


def spikes_of(output: Any) -> Any:
    """Return the spikes in what a neuron returned, which may hold its state too."""
    return output[0] if isinstance(output, tuple) else output


def no_states(module: nn.Module) -> list[Tensor]:
    """Return no tensor: the state of such neurons comes and goes with their calls."""
    return []


@dataclass(frozen=True, kw_only=True)
class NeuronKind:
    """How to read the calls of a kind of neurons.

    Args:
        time_axis: Axis of time in what the module returns: 0 for (timesteps, batch, *features), 1
            for (batch, timesteps, *features), None for (batch, *features) where a call is one
            timestep; or a function that tells it of a module.
        fires: Whether the neurons spike, or only integrate as a readout does; or a function that
            tells it of a module.
        spikes: Returns the spikes from the module and what it returned.
        states: Returns the states that the module keeps between calls; empty when they are reset.
        remembers: Returns how many numbers each neuron remembers, from the module and its spikes;
            None counts the states that the module keeps or returns.

    Example:
        >>> NeuronKind(time_axis=0).axis(nn.Identity())
        0
    """

    time_axis: int | Callable[[Any], int | None] | None
    fires: bool | Callable[[Any], bool] = True
    spikes: Callable[[Any, Any], Any] = lambda module, output: spikes_of(output)
    states: Callable[[Any], list[Tensor]] = no_states
    remembers: Callable[[Any, Tensor], int] | None = None

    def axis(self, module: nn.Module) -> int | None:
        """Return the axis of time of a module's spikes, None where a call is one timestep."""
        return self.time_axis(module) if callable(self.time_axis) else self.time_axis

    def does_fire(self, module: nn.Module) -> bool:
        """Return whether a module's neurons spike."""
        return self.fires(module) if callable(self.fires) else self.fires

    def batch_first(self, module: nn.Module, output: Any) -> Any:
        """Return the spikes of a call as (batch, timesteps, *features)."""
        spikes = self.spikes(module, output)
        if not isinstance(spikes, Tensor):
            return spikes
        axis = self.axis(module)
        if axis is None:
            # A single sample may come without its axis.
            return (spikes if spikes.dim() > 1 else spikes[None]).unsqueeze(1)
        return spikes.movedim(axis, 1) if spikes.dim() > 1 else spikes

    def num_states(self, module: nn.Module, output: Any, spikes: Tensor) -> int:
        """Return how many numbers each neuron remembers.

        Args:
            module: The neurons.
            output: What they returned.
            spikes: Their spikes, (batch, timesteps, *features).
        """
        if self.remembers is not None:
            return self.remembers(module, spikes)
        given = tensors(output[1:]) if isinstance(output, tuple) else ()
        found = {id(x): x for x in (*given, *self.states(module))}.values()
        one = spikes[0, 0].numel() * spikes.shape[0]
        return max(1, sum(x.numel() == one for x in found))


class States:
    """What neurons remember between calls, to tell a sample that goes on from one that begins."""

    def __init__(self) -> None:
        self._left: dict[int, list[Tensor]] = {}

    def keep(self, module: nn.Module, output: Any) -> None:
        """Remember the states that a call left behind."""
        given = list(tensors(output[1:])) if isinstance(output, tuple) else []
        self._left[id(module)] = [*given, *_states(module)]

    def go_on(self, module: nn.Module, args: tuple[Any, ...]) -> bool:
        """Return whether a call starts from what another left behind, or from rest."""
        given = list(tensors(args[1:]))
        left = {id(x) for x in self._left.get(id(module), ())}
        return any(id(x) in left or bool(x.any()) for x in given or _states(module))

    def held_by(self, network: nn.Module) -> bool:
        """Return whether any neurons of a network hold a state that is not rest."""
        return any(self.go_on(module, ()) for module in network.modules())


def _states(module: nn.Module) -> list[Tensor]:
    kind = neuron_kind(module)
    return [] if kind is None else kind.states(module)


_KINDS: dict[str, NeuronKind] = {}


def recognises(*classes: str, kind: NeuronKind) -> None:
    """Let probes and the profiler take modules for neurons, whoever wrote them.

    Nothing is imported. A module is recognised by its class or by one that it inherits from, the
    nearest first; of several patterns that match, the one registered last holds.

    Args:
        *classes: Qualified names, in which `*` stands for any text: "mylab.*.Lif".
        kind: How to read their calls.

    Example:
        >>> recognises("mylab.*.Lif", kind=NeuronKind(time_axis=0))
        >>> Lif = type("Lif", (nn.Identity,), {"__module__": "mylab.neurons"})
        >>> neuron_kind(Lif()).axis(Lif())
        0
    """
    for pattern in classes:
        _KINDS.pop(pattern, None)
        _KINDS[pattern] = kind
    _kind_of.cache_clear()


def neuron_kind(module: nn.Module) -> NeuronKind | None:
    """Return how to read a module's calls, or None if it is no layer of spiking neurons."""
    cls: Any = type(module)
    return _kind_of(cls)


def looks_like_neurons(module: nn.Module, output: Any) -> bool:
    """Return whether a module that nobody recognises fires as spiking neurons do.

    It is of neither torch nor this package, returned zeros and ones alone, and has a real number
    for each of them, or for those of one timestep, that stays: in an attribute or buffer of its
    own, or returned beside them.

    Args:
        module: The module.
        output: What it has returned.

    Example:
        >>> class Fires(nn.Module):
        ...     def forward(self, x):
        ...         self.membrane = x / 2
        ...         return (x > 1).float()
        >>> fires, x = Fires(), torch.tensor([[0.5, 2.0]])
        >>> looks_like_neurons(fires, fires(x))
        True
    """
    if type(module).__module__.partition(".")[0] in ("torch", "spikeformer"):
        return False
    spikes = spikes_of(output)
    if not isinstance(spikes, Tensor) or spikes.dim() < 2 or not spikes.is_floating_point():
        return False
    shape = spikes.shape
    one_step = [shape, shape[1:], shape[:1] + shape[2:]] if len(shape) > 2 else [shape]
    beside = output[1:] if isinstance(output, tuple) else ()
    own = [value for name, value in vars(module).items() if name != "_parameters"]
    kept = tensors([*beside, *own])
    if not any(x.is_floating_point() and x.shape in one_step and x is not spikes for x in kept):
        return False
    with _disable_current_modes(), torch.no_grad():
        return bool(((spikes == 0) | (spikes == 1)).all()) and bool(spikes.any())


@cache
def _kind_of(cls: Any) -> NeuronKind | None:
    for base in cls.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        for pattern in reversed(_KINDS):
            if fnmatchcase(name, pattern):
                return _KINDS[pattern]
    return None


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in tuples, lists and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)


def _attributes(*names: str) -> Callable[[Any], list[Tensor]]:
    def states(module: Any) -> list[Tensor]:
        return list(tensors([getattr(module, name, None) for name in names]))

    return states


# Ours.
def _ours(module: Any, spikes: Tensor) -> int:
    return 1 if module.initial_state(spikes).adaptation is None else 2


recognises("spikeformer.neurons.*.SpikingNeuron", kind=NeuronKind(time_axis=1, remembers=_ours))


# SpikingJelly: a module is in single-step or in multi-step mode.
def _step_mode(module: Any) -> int | None:
    return 0 if module.step_mode == "m" else None


def _memories(module: Any) -> list[Tensor]:
    return list(tensors(getattr(module, "_memories", {})))


recognises(
    *(f"spikingjelly.*.{name}" for name in ("*Node", "PSN", "MaskedPSN", "SlidingPSN", "FlexSN")),
    kind=NeuronKind(time_axis=_step_mode, states=_memories),
)
recognises(
    "spikingjelly.*NonSpiking*",
    kind=NeuronKind(time_axis=_step_mode, fires=False, states=_memories),
)

# snnTorch: a call is a timestep, but for the layers that take all of them at once.
_SNNTORCH_STATES = ("syn_exc", "syn_inh", "syn", "mem")
recognises(
    "snntorch.*.SpikingNeuron",
    kind=NeuronKind(time_axis=None, states=_attributes(*_SNNTORCH_STATES)),
)
recognises("snntorch.*.LeakyParallel", "snntorch.*.LeakyKernel", kind=NeuronKind(time_axis=0))
recognises(
    "snntorch.*.StateLeaky",
    "snntorch.*.AssociativeLeaky",
    kind=NeuronKind(time_axis=0, fires=lambda module: bool(module.output)),
)

# Norse: cells are one timestep, the others take (timesteps, batch, *features).
_NORSE = "norse.torch.module."
recognises(
    *(f"{_NORSE}*.{name}" for name in ("SNNCell", "SNNRecurrentCell", "CobaLIFCell")),
    kind=NeuronKind(time_axis=None),
)
recognises(
    *(f"{_NORSE}*.{name}" for name in ("SNN", "SNNRecurrent", "*LIFEncoder")),
    kind=NeuronKind(time_axis=0),
)
recognises(f"{_NORSE}leaky_integrator*.LI*Cell", kind=NeuronKind(time_axis=None, fires=False))
recognises(f"{_NORSE}leaky_integrator*.LI", kind=NeuronKind(time_axis=0, fires=False))


# sinabs: (batch, timesteps, *features), or the two as one axis.
def _unsqueezed(module: Any, output: Any) -> Tensor:
    spikes: Tensor = spikes_of(output)
    if "batch_size" in vars(module):
        spikes = spikes.reshape(module.batch_size, module.num_timesteps, *spikes.shape[1:])
    return spikes


recognises(
    "sinabs.layers.*.StatefulLayer",
    kind=NeuronKind(
        time_axis=1,
        fires=lambda module: bool(module.does_spike),
        spikes=_unsqueezed,
        states=lambda module: list(module.buffers(recurse=False)),
    ),
)
