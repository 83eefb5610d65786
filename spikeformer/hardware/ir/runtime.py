"""The host's part of a converted network: functions of what a chip's populations send.

A toolchain's worker uses this module too, so it imports NumPy and its two neighbours alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spikeformer.hardware.ir.differential import DifferentialNeurons, Scheme
from spikeformer.hardware.ir.functions import FUNCTIONS, multiplications

Array = npt.NDArray[Any]
Values = dict[str, Any]

RATE, ENCODE = "rate", "encode"
"""What the host does beside `FUNCTIONS`: it adds up a population's events, or has neurons itself.

`rate` takes the name of a population. Its settings name two constants or None: `order`, the
population's neuron behind each of its elements, and `bias`, which is added to each neuron's;
`changes` says that the population sends changes, which are not weighted.
`encode` takes a value and the smallest event of each of its elements.
"""

STATIC = -1
"""Depth of what depends on no event: it is computed once for a sample."""


@dataclass(frozen=True)
class HostOperation:
    """One function that the host computes at each timestep.

    Attributes:
        name: Of its value, unique among the host's.
        function: Key of `FUNCTIONS`, or `RATE` or `ENCODE`.
        arguments: Plain values, and lists of them; `{"value": name}` stands for a value or a
            constant, `{"number": "inf"}` for a number that JSON does not have.
        settings: Arguments by keyword, likewise.
        shape: Shape of its value, with a first axis of one sample.
        module: Path of the module that calls it.
        depth: Depth of the last population that it depends on, or `STATIC`.
    """

    name: str
    function: str
    arguments: tuple[Any, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    module: str = ""
    depth: int = STATIC

    @property
    def values(self) -> list[str]:
        """Names of the values that it takes; of `RATE` none."""
        if self.function == RATE:
            return []
        return list(_names([self.arguments, list(self.settings.values())]))


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "value" in node:
            yield node["value"]
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _names(child)


@dataclass
class Host:
    """Runs functions timestep by timestep; the state of each begins anew at timestep 1.

    Args:
        constants: Arrays by name.
        scheme: The chip's.
        units: What one event of each population counts, by its name: real numbers, (neurons,).

    Attributes:
        multiplications: How many each function took at its last call, by name.
    """

    constants: Mapping[str, Array]
    scheme: Scheme
    units: Mapping[str, Array]
    multiplications: dict[str, int] = field(default_factory=dict)
    _rates: dict[str, Array] = field(default_factory=dict)
    _neurons: dict[str, tuple[DifferentialNeurons, Array]] = field(default_factory=dict)

    def run(
        self, function: HostOperation, values: Values, t: int, events: Mapping[str, Array]
    ) -> None:
        """Compute a function of a timestep and add it to that timestep's values.

        Args:
            function: The function.
            values: All values of the timestep so far.
            t: Number of the timestep, from 1.
            events: What each population sent at it, (neurons,).

        Raises:
            ValueError: The arguments do not fit the function, or give another shape.
        """
        if function.function == RATE:
            result = self._rate(function, t, events)
        elif function.function == ENCODE:
            result = self._encode(function, values, t)
        else:
            arguments = [_filled(node, values) for node in function.arguments]
            settings = {key: _filled(node, values) for key, node in function.settings.items()}
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                result = FUNCTIONS[function.function](*arguments, **settings)
            counted = multiplications(function.function, arguments, result)
            self.multiplications[function.name] = counted
        if np.shape(result) != tuple(function.shape):
            raise ValueError(
                f"{function.name} gave the shape {np.shape(result)}, not {function.shape}"
            )
        values[function.name] = result

    def _rate(self, function: HostOperation, t: int, events: Mapping[str, Array]) -> Array:
        (population,) = function.arguments
        sent = events[population] * self.units[population]
        if function.settings.get("changes"):
            part = sent
        else:
            part = sent * self.scheme.weight(t) if self.scheme.max_state else sent / t
        rate = part if t == 1 else self._rates[function.name] + part
        self._rates[function.name] = rate
        bias, order = function.settings.get("bias"), function.settings.get("order")
        rate = rate if bias is None else rate + self.constants[bias]
        rate = rate if order is None else rate[self.constants[order]]
        return rate.reshape(function.shape)

    def _encode(self, function: HostOperation, values: Values, t: int) -> Array:
        x, unit = (_filled(node, values) for node in function.arguments)
        flat: Array = x.ravel()
        if t == 1:
            real = Scheme(self.scheme.levels, self.scheme.mantissa, self.scheme.leak)
            neurons = DifferentialNeurons(
                real, np.broadcast_to(unit, x.shape).ravel(), np.zeros(flat.size)
            )
            before = np.zeros(flat.size)
        else:
            neurons, before = self._neurons[function.name]
        neurons.fire(np.zeros(flat.size), flat - before, t)
        self._neurons[function.name] = neurons, flat
        return neurons.rate.reshape(function.shape)


def _filled(node: Any, values: Mapping[str, Any]) -> Any:
    """Return an argument with its references and odd numbers in place."""
    if isinstance(node, Mapping):
        return float(node["number"]) if "number" in node else values[node["value"]]
    if isinstance(node, list | tuple):
        return [_filled(child, values) for child in node]
    return node
