"""The nodes of a NIR file as modules over sequences, `(batch, timesteps, *shape)`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeformer.error_handling import HardwareCompatibilityError, SpikingDynamicsError
from spikeformer.hardware.ir.operators import Array
from spikeformer.i18n import t
from spikeformer.neurons import LifNeuron, LifState

MEMORYLESS = 1e-3
"""Time constant in ms of neurons that forget: `exp(-1000)` is zero."""


@dataclass(frozen=True)
class Time:
    """How a file's continuous time becomes timesteps.

    Attributes:
        dt: Length of a timestep in seconds.
        method: "euler", or "exact" for the solution at a current that is constant for a step.
    """

    dt: float
    method: str = "euler"

    def shares(self, name: str, tau: Any) -> Array:
        """Return by which share of what is missing a membrane moves in a step.

        That is `dt / tau` for "euler" and `1 - exp(-dt / tau)` for "exact".
        """
        ratio: Array = self.dt / np.asarray(tau, np.float64)
        if self.method == "exact":
            return -np.expm1(-ratio)
        if not np.all((ratio > 0) & (ratio <= 1)):
            least = float(np.min(tau))
            raise HardwareCompatibilityError(
                t("hardware.nir_dt", node=name, dt=self.dt, least=least)
            )
        return ratio


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
    """Neurons: `v <- decay v + factor I + leak`, spikes above the threshold.

    Args:
        decay: Factor on the membrane per step; 1 does not leak.
        factor: Of the input, the shape of a frame or a scalar.
        leak: What flows in at every step, likewise.
        threshold: A neuron fires from it on, and its membrane becomes 0.
    """

    factor: Tensor
    leak: Tensor

    def __init__(self, decay: float, factor: Array, leak: Array, threshold: float) -> None:
        super().__init__()
        self.register_buffer("factor", tensor(factor))
        self.register_buffer("leak", tensor(leak))
        self.leaks = bool(np.any(leak))
        self.neuron = LifNeuron(threshold, time_constant(decay), "zero")

    def run(self, x: Tensor, state: LifState | None) -> tuple[Tensor, LifState]:
        """Integrate and fire."""
        current = self._current(x)
        return self.neuron(current, self.neuron.initial_state(current) if state is None else state)

    def forward(self, x: Tensor) -> Tensor:
        """Integrate and fire, from rest."""
        return self.neuron(self._current(x))

    def _current(self, x: Tensor) -> Tensor:
        current = x * self.factor
        return current + self.leak if self.leaks else current


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


def node_of(name: str, node: Any, time: Time) -> Node:
    """Return the module of a node.

    Args:
        name: Its name, for messages.
        node: The node as the package `nir` reads it.
        time: The timesteps.

    Raises:
        HardwareCompatibilityError: There is no module for it.
    """
    kind = type(node).__name__
    maker = _MAKERS.get(kind)
    if maker is None:
        known = ", ".join(_MAKERS)
        raise HardwareCompatibilityError(t("hardware.nir_kind", node=name, kind=kind, known=known))
    return maker(name, node, time)


def _dense(name: str, node: Any, time: Time) -> Node:
    weight = np.atleast_2d(node.weight)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=hasattr(node, "bias"))
    _fill(layer, weight, getattr(node, "bias", None))
    return Stateless(layer, (weight.shape[1],))


def _convolution(name: str, node: Any, time: Time) -> Node:
    axes = node.weight.ndim - 2
    kind = nn.Conv1d if axes == 1 else nn.Conv2d
    settings: dict[str, Any] = {
        key: getattr(node, key) if isinstance(getattr(node, key), str) else _sides(node, key, axes)
        for key in ("stride", "padding", "dilation")
    }
    out, into, *kernel = node.weight.shape
    groups = int(node.groups)
    layer = kind(into * groups, out, kernel, groups=groups, bias=node.bias is not None, **settings)
    _fill(layer, node.weight, node.bias)
    given = node.input_shape
    size = None if given is None else tuple(int(n) for n in np.atleast_1d(given))
    return Stateless(layer, None if size is None else (into * groups, *size))


def _fill(layer: nn.Linear | nn.Conv1d | nn.Conv2d, weight: Array, bias: Array | None) -> None:
    with torch.no_grad():
        layer.weight.copy_(tensor(weight))
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(tensor(bias))


def _pool(name: str, node: Any, time: Time) -> Node:
    kernel, stride, padding = (_sides(node, key, 2) for key in ("kernel_size", "stride", "padding"))
    kind: Any = nn.AvgPool2d if type(node).__name__ == "AvgPool2d" else SumPool
    return Stateless(kind(kernel, stride, padding))


def _flatten(name: str, node: Any, time: Time) -> Node:
    # Axes are counted without the batch in NIR, with it in torch; from the end they are the same.
    first, last = int(node.start_dim), int(node.end_dim)
    return Stateless(nn.Flatten(first + (first >= 0), last + (last >= 0)))


def _scale(name: str, node: Any, time: Time) -> Node:
    return Stateless(Scale(node.scale))


def _threshold(name: str, node: Any, time: Time) -> Node:
    factor, threshold = _one_threshold(node.threshold)
    return Integrates(0.0, factor, np.zeros(()), threshold)


def _lif(name: str, node: Any, time: Time) -> Node:
    _check_reset(name, node)
    step = time.shares(name, node.tau)
    # Divided by `step`, which is the same for all, a membrane is `decay v + r I + v_leak`: integers
    # stay integers, and counts that reach a threshold exactly still do.
    decay = 1.0 - _same(name, "tau", step)
    factor, threshold = _one_threshold(node.v_threshold, step)
    return Integrates(decay, factor * node.r, factor * node.v_leak, threshold)


def _integrate_and_fire(name: str, node: Any, time: Time) -> Node:
    _check_reset(name, node)
    factor, threshold = _one_threshold(node.v_threshold)
    return Integrates(1.0, factor * (time.dt * node.r), np.zeros(()), threshold)


def _leaky(name: str, node: Any, time: Time) -> Node:
    step = time.shares(name, node.tau)
    return Integrator(1.0 - step, step * node.r, step * node.v_leak)


def _integrator(name: str, node: Any, time: Time) -> Node:
    return Integrator(np.ones(()), time.dt * np.asarray(node.r), np.zeros(()))


def _delay(name: str, node: Any, time: Time) -> Node:
    steps = np.asarray(node.delay, np.float64) / time.dt
    if (steps < 0).any() or not np.allclose(steps, np.rint(steps), atol=1e-3):
        raise HardwareCompatibilityError(t("hardware.nir_delay", node=name, dt=time.dt))
    return Delays(np.rint(steps).astype(np.int64))


_MAKERS: dict[str, Callable[[str, Any, Time], Node]] = {
    "Linear": _dense,
    "Affine": _dense,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "AvgPool2d": _pool,
    "SumPool2d": _pool,
    "Flatten": _flatten,
    "Scale": _scale,
    "Threshold": _threshold,
    "LIF": _lif,
    "IF": _integrate_and_fire,
    "LI": _leaky,
    "I": _integrator,
    "Delay": _delay,
}


def _sides(node: Any, key: str, axes: int) -> tuple[int, ...]:
    found = [int(n) for n in np.atleast_1d(getattr(node, key))]
    return tuple(found * axes if len(found) == 1 else found)


def _same(name: str, key: str, values: Array) -> float:
    """Return the one value of all neurons of a node."""
    flat = np.atleast_1d(values).ravel()
    if (flat != flat[0]).any():
        raise HardwareCompatibilityError(t("hardware.nir_several", node=name, key=key))
    return float(flat[0])


def _check_reset(name: str, node: Any) -> None:
    if node.v_reset is not None and np.any(node.v_reset):
        raise HardwareCompatibilityError(t("hardware.nir_reset", node=name))


def _one_threshold(thresholds: Array, unit: Array | float = 1.0) -> tuple[Array, float]:
    """Return a factor on the current, and the threshold from which on all neurons fire.

    NIR's neurons fire above their threshold, ours at it: it is the next larger number, in the
    precision in which the file's can be written. It is a number of float32, so that a network
    fires alike in both precisions.

    Args:
        thresholds: Those of the file, one for each neuron.
        unit: What the membrane is divided by.
    """
    values = np.asarray(thresholds, np.float64)
    single = values.astype(np.float32)
    up = np.where(
        single == values,
        np.nextafter(single, np.float32(np.inf)).astype(np.float64),
        np.nextafter(values, np.inf),
    )
    divided = (up / unit).astype(np.float32).astype(np.float64)
    flat = np.atleast_1d(divided).ravel()
    if (flat == flat[0]).all():
        return np.ones(()), float(flat[0])
    return 1.0 / divided, 1.0
