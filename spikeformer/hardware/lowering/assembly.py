"""From what a converted network computes to a graph of populations, synapses and functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from scipy import sparse
from torch import Tensor

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.differential import Scheme
from spikeformer.hardware.ir.functions import FUNCTIONS
from spikeformer.hardware.ir.graph import Array, Population, Projection
from spikeformer.hardware.ir.hosted import Differential, HostedGraph
from spikeformer.hardware.ir.operators import Operator, Sparse, TokenLinear
from spikeformer.hardware.ir.runtime import ENCODE, RATE, STATIC, HostOperation
from spikeformer.hardware.lowering.tape import Tape
from spikeformer.i18n import t


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer on events: weights (out, in), bias and the shape of its output."""

    name: str
    source: str
    weights: Array
    bias: Array | None
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class EncodedValue:
    """Neurons: the value that they encode and the smallest event of each of its elements."""

    name: str
    value: str
    unit: Array


class GraphAssembly:
    """Makes a graph of what a converted network was found to compute.

    Args:
        tape: Its functions and constants.
        values: What its neurons encode, by name.
        layers: Its linear layers on events, by the name of their output.
        scheme: What its neurons share.
        sources: Its inputs by name.
    """

    def __init__(
        self,
        tape: Tape,
        values: Mapping[str, EncodedValue],
        layers: Mapping[str, Layer],
        scheme: Scheme,
        sources: Mapping[str, Population],
    ) -> None:
        self.tape, self.values, self.layers, self.scheme = tape, values, layers, scheme
        self.populations: dict[str, Population] = dict(sources)
        self.projections: list[Projection] = []
        self.functions: list[HostOperation] = []
        self.constants: dict[str, Array] = {}
        self._depths: dict[str, int] = dict.fromkeys(sources, STATIC)
        self._direct = {name: self._origin(value) for name, value in values.items()}

    def graph(self, output: Tensor, timesteps: int) -> HostedGraph:
        """Return the graph of everything that an output depends on."""
        wanted = self.tape.name_of(output)
        if wanted is None:
            raise HardwareCompatibilityError(t("hardware.output_fixed"))
        needed, read = self._needed(wanted)
        on_chip = {layer.source for name, layer in self.layers.items() if name in needed}
        for name in self.tape.order:
            if name not in needed:
                continue
            if name in self.values:
                site, direct = self.values[name], self._direct[name]
                if direct is None and name not in on_chip:
                    self._host_neurons(site)
                else:
                    self._population(site, direct, natural=name in on_chip, read=name in read)
            elif name in self.layers:
                if name in read:
                    self._sums(self.layers[name])
            elif name in self.tape.functions:
                self._function(self.tape.functions[name])
        if not self.projections:
            raise HardwareCompatibilityError(t("hardware.no_neurons"))
        return self._finished(wanted, timesteps)

    def _finished(self, wanted: str, timesteps: int) -> HostedGraph:
        return HostedGraph(
            timesteps,
            self.populations,
            tuple(self.projections),
            name="network",
            scheme=self.scheme,
            functions=tuple(self.functions),
            constants=self.constants,
            output=wanted,
        )

    def _needed(self, output: str) -> tuple[set[str], set[str]]:
        """Return all names that an output depends on, and those that functions read."""
        needed: set[str] = set()
        read = {output}
        waiting = [output]
        while waiting:
            name = waiting.pop()
            if name in needed:
                continue
            needed.add(name)
            if name in self.values:
                direct = self._direct[name]
                taken = [self.values[name].value] if direct is None else [direct[0].name]
                read.update(taken if direct is None else ())
            elif name in self.layers:
                taken = [self.layers[name].source]
            elif name in self.tape.functions:
                taken = self.tape.functions[name].values
                read.update(taken)
            else:
                taken = []
            waiting += taken
        return needed, read

    def _origin(self, site: EncodedValue) -> tuple[Layer, Array] | None:
        """Return the layer whose output a site encodes, and which of it each element is."""
        origin, moves = self.tape.origin(site.value)
        layer = self.layers.get(origin)
        if layer is None:
            return None
        places = np.arange(prod(layer.shape)).reshape(layer.shape)
        for move in moves:
            places = FUNCTIONS[move.function](places, *move.arguments[1:], **move.settings)
        flat = places.ravel()
        return (layer, flat) if len(np.unique(flat)) == len(flat) else None

    def _population(
        self, site: EncodedValue, direct: tuple[Layer, Array] | None, *, natural: bool, read: bool
    ) -> None:
        """Add a population of the chip, and its rate where the host reads it."""
        unit, order = site.unit.ravel(), None
        shape = _features(site.unit.shape)
        if direct is None:
            value = self._use(site.value)
            depth = self._depths[value] + 1
            start, source = np.zeros(len(unit)), value
        else:
            layer, places = direct
            # Neurons stand as in the layer's output, or as the next layer takes them.
            features = places if natural else np.sort(places)
            if not natural:
                order = np.searchsorted(features, places)
                unit = unit[np.argsort(order)]
                if len(places) == prod(layer.shape):
                    shape = _features(layer.shape)
            operator = _rows(self._synapses(layer), features)
            depth = self.populations[layer.source].depth + 1
            bias = np.zeros(1) if layer.bias is None else layer.bias
            start, source = np.resize(bias, prod(layer.shape))[features], None
            self.projections.append(Projection(layer.source, site.name, operator))
        self.populations[site.name] = Differential(
            site.name,
            shape,
            depth=depth,
            rule="differential",
            unit=unit,
            start=start,
            scale=np.ones(len(unit)),
            source=source,
        )
        if read:
            self._rate(site.name, site.name, site.unit.shape, depth, order=order)

    def _sums(self, layer: Layer) -> None:
        """Add a population that sends the host what a layer's synapses bring."""
        name, size = layer.name, prod(layer.shape)
        depth = self.populations[layer.source].depth + 1
        self.populations[name] = Differential(
            name,
            _features(layer.shape),
            depth=depth,
            rule="sum",
            unit=np.ones(size),
            start=np.zeros(size),
            scale=np.ones(size),
        )
        self.projections.append(Projection(layer.source, name, self._synapses(layer)))
        bias = None if layer.bias is None else np.resize(layer.bias, size)
        self._rate(name, name, layer.shape, depth, bias=bias)

    def _synapses(self, layer: Layer) -> TokenLinear:
        """Return a layer's weights in what an event of its population counts."""
        population = self.populations[layer.source]
        assert isinstance(population, Differential)
        into = layer.weights.shape[1]
        tokens = prod(layer.shape) // len(layer.weights)
        unit = population.unit.reshape(tokens, into)
        if (unit != unit[0]).any():
            raise HardwareCompatibilityError(t("hardware.levels_of_tokens", layer=layer.name))
        return TokenLinear(layer.weights * unit[0], tokens)

    def _rate(
        self,
        value: str,
        population: str,
        shape: tuple[int, ...],
        depth: int,
        *,
        order: Array | None = None,
        bias: Array | None = None,
    ) -> None:
        if order is not None and (order == np.arange(len(order))).all():
            order = None
        settings: dict[str, Any] = {}
        for key, array in (("order", order), ("bias", bias)):
            if array is not None:
                settings[key] = f"{value}:{key}"
                self.constants[settings[key]] = array
        path = _module(value)
        self._add(HostOperation(value, RATE, (population,), settings, tuple(shape), path, depth))

    def _host_neurons(self, site: EncodedValue) -> None:
        """Let the host encode what it takes itself."""
        value, unit = self._use(site.value), f"{site.name}:unit"
        # One number where all are the same, as of the probabilities of attention.
        same = (site.unit == site.unit.flat[0]).all()
        self.constants[unit] = site.unit.ravel()[:1] if same else site.unit
        arguments = ({"value": value}, {"value": unit})
        # What neurons encode may stand still, their events do not.
        depth = max(0, self._depths[value])
        self._depths[unit] = STATIC
        path = _module(site.name)
        self._add(HostOperation(site.name, ENCODE, arguments, {}, site.unit.shape, path, depth))

    def _function(self, function: HostOperation) -> None:
        depths = [self._depths[self._use(name)] for name in function.values]
        self._add(replace(function, depth=max(depths, default=STATIC)))

    def _add(self, function: HostOperation) -> None:
        self.functions.append(function)
        self._depths[function.name] = function.depth

    def _use(self, value: str) -> str:
        """Note that a value is taken, which may be a constant; return its name."""
        if value in self.tape.constants:
            self.constants[value] = self.tape.constants[value]
            self._depths[value] = STATIC
        return value


def _module(name: str) -> str:
    """Return the path of the module whose site or layer has a name."""
    return name.partition(":")[0].removesuffix(".output")


def _features(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of one sample's activation without the axis of the samples."""
    return tuple(shape[1:]) if shape[0] == 1 and len(shape) > 1 else tuple(shape)


def _rows(operator: TokenLinear, features: Array) -> Operator:
    """Return an operator with some of its outputs, in this order."""
    if len(features) == operator.shape[0] and (features == np.arange(len(features))).all():
        return operator
    out = len(operator.weights)
    if len(features) % operator.tokens == 0:
        table = features.reshape(operator.tokens, -1)
        channels = table[0]
        if (table == channels + out * np.arange(operator.tokens)[:, None]).all():
            return replace(operator, weights=operator.weights[channels])
    return Sparse(sparse.csr_array(operator.matrix()[features]))
