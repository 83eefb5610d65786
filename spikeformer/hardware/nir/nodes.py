"""The nodes of a NIR file as modules over sequences, `(batch, timesteps, *shape)`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeformer.error_handling import SpikingDynamicsError
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.lowering import lowers
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.current import Current
from spikeformer.hardware.lowering.registry import refuses
from spikeformer.hardware.lowering.traced import Rows, TracedTensor
from spikeformer.i18n import t
from spikeformer.neurons import CubaLifNeuron, LifNeuron, LifState

MEMORYLESS = 1e-3
"""Time constant in ms of neurons that forget: `exp(-1000)` is zero."""


class Node(nn.Module, ABC):
    """A node; what it remembers between two stretches of a sequence is its state."""

    def forward(self, x: Tensor) -> Tensor:
        """Map a whole sequence (batch, timesteps, *shape)."""
        return self.run(x, None)[0]

    @abstractmethod
    def run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map a stretch of a sequence; return the state behind it, None before the first."""


class Stateless(Node):
    """A module that takes frames one by one.

    Args:
        module: Maps (frames, *shape).
        shape: Shape that it expects of a frame; values in another one of as many elements are
            reshaped, row by row. None takes any.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.module, self.shape = module, shape

    def run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map all frames."""
        if self.shape is not None:
            x = shaped(x, self.shape)
        frames: Tensor = self.module(x.flatten(0, 1))
        return frames.view(*x.shape[:2], *frames.shape[1:]), None


class Scale(nn.Module):
    """Multiplies every feature by a number.

    Args:
        factor: Shape of a frame, or a scalar.
    """

    factor: Tensor

    def __init__(self, factor: Array) -> None:
        super().__init__()
        self.register_buffer("factor", tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return x * self.factor


class SumPool(nn.Module):
    """The sum over windows: an average times the window's size.

    Args:
        kernel: Height and width.
        stride: Step in both directions.
        padding: Zeros around the image.
    """

    def __init__(self, kernel: Any, stride: Any, padding: Any) -> None:
        super().__init__()
        self.size = math.prod(kernel)
        self.average = nn.AvgPool2d(kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Add up (frames, channels, rows, columns)."""
        return self.average(x) * self.size


class Integrates(Node):
    """Neurons: `i <- current_decay i + factor I`, `v <- decay v + i + leak`, spikes.

    Args:
        decay: Factor on the membrane per step; 1 does not leak.
        factor: Of the input, the shape of a frame or a scalar.
        leak: What flows into the membrane at every step, likewise.
        threshold: A neuron fires from it on.
        reset: "zero" or "subtract", as of `LifNeuron`.
        current_decay: Factor on the current per step; None for currents of one step.
    """

    factor: Tensor
    leak: Tensor

    def __init__(
        self,
        decay: float,
        factor: Array,
        leak: Array,
        threshold: float,
        *,
        reset: str = "zero",
        current_decay: float | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("factor", tensor(factor))
        self.register_buffer("leak", tensor(leak))
        self.leaks = bool(np.any(leak))
        tau_mem = time_constant(decay)
        self.neuron = (
            LifNeuron(threshold, tau_mem, reset)
            if current_decay is None
            else CubaLifNeuron(threshold, tau_mem, time_constant(current_decay), reset=reset)
        )

    def run(self, x: Tensor, state: LifState | None) -> tuple[Tensor, LifState]:
        """Integrate and fire."""
        current = self._current(x)
        return self.neuron(current, self._rest(current) if state is None else state)

    def forward(self, x: Tensor) -> Tensor:
        """Integrate and fire, from rest."""
        if self.leaks and isinstance(self.neuron, CubaLifNeuron):
            return self.run(x, None)[0]
        return self.neuron(self._current(x))

    def _current(self, x: Tensor) -> Tensor:
        current = x * self.factor
        if not self.leaks:
            return current
        if isinstance(self.neuron, CubaLifNeuron):
            # What decays with the current and comes again, so that the membrane always has it.
            return current + (1 - self.neuron.current_decay) * self.leak
        return current + self.leak

    def _rest(self, current: Tensor) -> LifState:
        state = self.neuron.initial_state(current)
        if self.leaks and state.adaptation is not None:
            return LifState(state.membrane, state.adaptation + self.leak)
        return state


@refuses(Integrates)
def leaks_beside_its_current(module: Integrates) -> str | None:
    """Refuse a leak that does not pass through a current that lasts."""
    lasting = isinstance(module.neuron, CubaLifNeuron)
    return t("hardware.nir_leak") if module.leaks and lasting else None


class Integrator(Node):
    """The membrane itself, which never fires: `v <- decay v + factor I + leak`.

    Args:
        decay: Factor on the membrane per step, the shape of a frame or a scalar.
        factor: Of the input, likewise.
        leak: What flows in at every step, likewise.
    """

    decay: Tensor
    factor: Tensor
    leak: Tensor

    def __init__(self, decay: Array, factor: Array, leak: Array) -> None:
        super().__init__()
        self.register_buffer("decay", tensor(decay))
        self.register_buffer("factor", tensor(factor))
        self.register_buffer("leak", tensor(leak))

    def run(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the membrane at every step."""
        membrane = torch.zeros_like(x[:, 0]) if state is None else state
        membranes = []
        for current in (x * self.factor + self.leak).unbind(1):
            membrane = self.decay * membrane + current
            membranes.append(membrane)
        return torch.stack(membranes, dim=1), membrane


@refuses(Integrator)
def never_fires(module: Integrator) -> str:
    """Refuse membranes as outputs."""
    return t("hardware.nir_membrane")


class Chain(Node):
    """Nodes one behind the other.

    Args:
        nodes: The nodes.
    """

    def __init__(self, *nodes: Node) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nodes)

    def run(self, x: Tensor, state: Sequence[Any] | None) -> tuple[Tensor, Sequence[Any]]:
        """Run one after the other."""
        states = []
        for node, before in zip(self.parts, state or [None] * len(self.parts), strict=True):
            x, after = node.run(x, before)  # type: ignore[operator]
            states.append(after)
        return x, states


class Delays(Node):
    """Every feature some steps later.

    Args:
        steps: Shape of a frame, or a scalar; integers of at least 0.
    """

    steps: Tensor

    def __init__(self, steps: Array) -> None:
        super().__init__()
        self.register_buffer("steps", torch.from_numpy(np.asarray(steps, np.int64)))

    def run(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return what came in `steps` before; zeros came before the first."""
        longest = int(self.steps.max())
        before = x.new_zeros(x.shape[0], longest, *x.shape[2:]) if state is None else state
        known = torch.cat([before, x], dim=1)
        places = torch.arange(x.shape[1], device=x.device) + longest
        index = places.view(-1, *[1] * (x.ndim - 2)) - self.steps
        delayed = known.gather(1, index.expand(x.shape[1:]).expand(x.shape))
        return delayed, known[:, x.shape[1] :]


@lowers(Delays)
def delays(builder: GraphBuilder, module: Delays, x: TracedTensor) -> TracedTensor:
    """Let spikes come some timesteps of the sample later."""
    rows = Rows(x, x.ndim - 2)
    features, shape = rows.features, x.shape[2:]
    steps = module.steps.broadcast_to(shape).flatten().numpy()
    if not steps.any():
        return x
    if features.constant or features.bias.any():
        raise builder.refuse(t("hardware.delays_no_spikes"))
    parts = [builder.late(features.scale(1.0 * (steps == lag)), int(lag)) for lag in set(steps)]
    return rows.rebuild(reduce(Current.add, parts), shape)


def shaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return (batch, timesteps, ...) with frames of a shape, filled row by row.

    Raises:
        SpikingDynamicsError: Frames have another number of elements.
    """
    if x.ndim < 3 or x.shape[2:].numel() != math.prod(shape):
        found = tuple(x.shape)
        raise SpikingDynamicsError(t("hardware.nir_input", expected=shape, shape=found))
    return x.reshape(*x.shape[:2], *shape)


def tensor(values: Any) -> Tensor:
    """Return numbers in torch's own precision for parameters."""
    return torch.as_tensor(np.asarray(values, np.float64)).to(torch.get_default_dtype())


def time_constant(decay: float) -> float:
    """Return the time constant in ms with which a membrane shrinks so in one timestep of 1 ms."""
    if decay == 0:
        return MEMORYLESS
    return math.inf if decay == 1 else -1.0 / math.log(decay)
