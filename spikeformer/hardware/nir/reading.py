"""From the nodes of a NIR file to modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.nir.nodes import (
    Chain,
    Delays,
    Integrates,
    Integrator,
    Node,
    Scale,
    Stateless,
    SumPool,
    tensor,
)
from spikeformer.i18n import t


@dataclass(frozen=True)
class Time:
    """How a file's continuous time becomes timesteps.

    Attributes:
        dt: Length of a timestep in seconds.
        method: "euler", or "exact" for the solution at a current that is constant for a step.
        reset: What neurons do that fire: "zero" for a membrane at `v_reset`, or "subtract" for one
            that is a threshold lower.
    """

    dt: float
    method: str = "euler"
    reset: str = "zero"

    def shares(self, name: str, tau: Any) -> Array:
        """Return by which share of what is missing a membrane or current moves in a step.

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
    factor, threshold = _one_threshold(name, node.threshold)
    return Integrates(0.0, factor, np.zeros(()), threshold)


def _lif(name: str, node: Any, time: Time) -> Node:
    share = _same(name, "tau", time.shares(name, node.tau))
    # Divided by `share`, which is the same for all, a membrane is `decay v + r I + v_leak`:
    # integers stay integers, and counts that reach a threshold exactly still do.
    return _integrates(name, node, time, share, 1.0 - share, node.r, node.v_leak)


def _integrate_and_fire(name: str, node: Any, time: Time) -> Node:
    return _integrates(name, node, time, 1.0, 1.0, time.dt * node.r)


def _cuba_lif(name: str, node: Any, time: Time) -> Node:
    membrane = _same(name, "tau_mem", time.shares(name, node.tau_mem))
    current = _same(name, "tau_syn", time.shares(name, node.tau_syn))
    return _integrates(
        name,
        node,
        time,
        membrane * current,
        1.0 - membrane,
        np.asarray(node.r) * node.w_in,
        node.v_leak,
        current,
    )


def _integrates(
    name: str,
    node: Any,
    time: Time,
    unit: float,
    decay: float,
    factor: Array,
    leak: Array | None = None,
    current: float | None = None,
) -> Node:
    """Return neurons whose membranes are counted from the reset on, in units.

    Args:
        name: Of the node.
        node: Has `v_threshold` and `v_reset`.
        time: The timesteps.
        unit: What the membrane is divided by.
        decay: Of the membrane.
        factor: On what comes in, in units.
        leak: Where the membrane goes by itself; None if it stays.
        current: Share of what is missing by which currents move in a step; None if they last one.
    """
    subtract = time.reset == "subtract"
    start = np.zeros(()) if node.v_reset is None or subtract else np.asarray(node.v_reset)
    flows = np.zeros(()) if leak is None else (leak - start) / (1.0 if current is None else current)
    scale, threshold = _one_threshold(name, node.v_threshold - start, unit)
    decays = None if current is None else 1.0 - current
    settings: dict[str, Any] = {"reset": time.reset, "current_decay": decays}
    return Integrates(decay, scale * factor, scale * flows, threshold, **settings)


def _leaky(name: str, node: Any, time: Time) -> Node:
    share = time.shares(name, node.tau)
    return Integrator(1.0 - share, share * node.r, share * node.v_leak)


def _integrator(name: str, node: Any, time: Time) -> Node:
    return Integrator(np.ones(()), time.dt * np.asarray(node.r), np.zeros(()))


def _cuba_leaky(name: str, node: Any, time: Time) -> Node:
    current, membrane = time.shares(name, node.tau_syn), time.shares(name, node.tau_mem)
    return Chain(
        Integrator(1.0 - current, current * node.w_in, np.zeros(())),
        Integrator(1.0 - membrane, membrane * node.r, membrane * node.v_leak),
    )


def _delay(name: str, node: Any, time: Time) -> Node:
    steps = np.asarray(node.delay, np.float64) / time.dt
    if (steps < 0).any() or not np.allclose(steps, np.rint(steps), rtol=0, atol=1e-3):
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
    "CubaLIF": _cuba_lif,
    "LI": _leaky,
    "I": _integrator,
    "CubaLI": _cuba_leaky,
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


def _one_threshold(name: str, thresholds: Array, unit: float = 1.0) -> tuple[Array, float]:
    """Return a factor on the current, and the threshold from which on all neurons fire.

    NIR's neurons fire above their threshold, ours at it: it is the next larger number, in the
    precision in which the file's can be written. It is a number of float32, so that a network
    fires alike in both precisions.

    Args:
        name: Of the node.
        thresholds: Those of the file, one for each neuron, above the reset.
        unit: What the membrane is divided by.
    """
    values = np.asarray(thresholds, np.float64)
    if not (values > 0).all():
        raise HardwareCompatibilityError(t("hardware.nir_reset", node=name))
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
