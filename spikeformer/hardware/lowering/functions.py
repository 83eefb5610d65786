"""A converted network whose functions are the chip's: neurons that compute, synapses that add up.

Between what neurons encode, a value is a sum of what populations send, a matrix for each. Functions
that are linear change the matrices; a product and a function of one number become populations. The
host looks up what comes in once for a sample, computes functions that have no spiking form, and
reads the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from scipy import sparse
from torch import Tensor

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.differential import PRODUCT
from spikeformer.hardware.ir.functions import FUNCTIONS, GROUP, MOVES
from spikeformer.hardware.ir.graph import Array, Projection
from spikeformer.hardware.ir.hosted import Differential, HostedGraph
from spikeformer.hardware.ir.operators import Operator, Sparse
from spikeformer.hardware.ir.runtime import RATE, HostOperation
from spikeformer.hardware.lowering.assembly import EncodedValue, GraphAssembly, Layer
from spikeformer.i18n import t

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Combination:
    """A value as `constant + sum_p M_p y_p`, with y what population p has sent so far.

    Attributes:
        shape: Shape of the value.
        parts: M_p, (elements, neurons), by population.
        constant: (elements,).
    """

    shape: Shape
    parts: Mapping[str, Operator]
    constant: Array

    def mapped(self, matrix: sparse.csr_array, shape: Shape) -> Combination:
        """Return what a linear map (elements of `shape`, elements) makes of it."""
        parts = {name: _sparse(matrix @ part.matrix()) for name, part in self.parts.items()}
        return Combination(shape, parts, matrix @ self.constant)

    def taken(self, places: Array, shape: Shape) -> Combination:
        """Return its elements at `places`, in the shape."""
        if len(places) == len(self.constant) and (places == np.arange(len(places))).all():
            return Combination(shape, self.parts, self.constant)
        parts = {name: _sparse(part.matrix()[places]) for name, part in self.parts.items()}
        return Combination(shape, parts, self.constant[places])

    def spread(self, shape: Shape) -> Combination:
        """Return it broadcast to a shape."""
        places = np.arange(len(self.constant)).reshape(self.shape)
        return self.taken(np.broadcast_to(places, shape).ravel(), shape)

    def plus(self, other: Combination) -> Combination:
        """Return the sum of two of one shape."""
        parts = dict(self.parts)
        for name, part in other.parts.items():
            mine = parts.get(name)
            both = part if mine is None else _sparse(mine.matrix() + part.matrix())
            parts[name] = both
        return Combination(self.shape, parts, self.constant + other.constant)

    def times(self, factors: Array | float) -> Combination:
        """Return it with each element multiplied by a number of its own, or by one for all."""
        spread = np.broadcast_to(np.asarray(factors, np.float64), self.shape).ravel()
        parts = {name: part.scale_rows(spread) for name, part in self.parts.items()}
        return Combination(self.shape, parts, spread * self.constant)


class FunctionAssembly(GraphAssembly):
    """Makes a graph of what a converted network was found to compute, functions on the chip."""

    def graph(self, output: Tensor, timesteps: int) -> HostedGraph:
        """Return the graph of everything that an output depends on."""
        wanted = self.tape.name_of(output)
        if wanted is None:
            raise HardwareCompatibilityError(t("hardware.output_fixed"))
        self._direct = dict.fromkeys(self.values)  # all moves are wanted
        needed, _ = self._needed(wanted)
        self._combined: dict[str, Combination] = {}
        self._shapes: dict[str, Shape] = {}
        for name in self.tape.order:
            if name not in needed:
                continue
            if name in self.values:
                self._site(self.values[name])
            elif name in self.layers:
                self._combined[name] = self._layer(self.layers[name])
            elif name in self.tape.functions:
                self._compute(self.tape.functions[name])
        self._at_host(wanted)
        if not self.projections:
            raise HardwareCompatibilityError(t("hardware.no_neurons"))
        return self._finished(wanted, timesteps)

    def _site(self, site: EncodedValue) -> None:
        value, unit = site.value, site.unit
        if value in self._combined:
            self._neurons(site.name, self._combined[value], unit=unit.ravel())
        else:
            self._population(site, None, natural=True, read=False)
        own = sparse.diags_array(unit.ravel(), format="csr")
        self._combined[site.name] = _of(site.name, own, unit.shape)

    def _layer(self, layer: Layer) -> Combination:
        bias = np.zeros(1) if layer.bias is None else layer.bias
        constant = np.resize(bias, prod(layer.shape))
        return Combination(layer.shape, {layer.source: self._synapses(layer)}, constant)

    def _neurons(
        self, name: str, value: Combination, *, unit: Array | None = None, function: str = ""
    ) -> None:
        """Add a population whose state is a value: it encodes it, or sends a function of it."""
        size = len(value.constant)
        depth = 1 + max((self.populations[source].depth for source in value.parts), default=-1)
        self.populations[name] = Differential(
            name,
            tuple(value.shape[1:]) if value.shape[:1] == (1,) and len(value.shape) > 1 else (size,),
            depth=depth,
            rule="change" if unit is None else "differential",
            unit=np.ones(size) if unit is None else unit,
            start=value.constant,
            scale=np.ones(size),
            function=function,
        )
        for source, operator in value.parts.items():
            delay = depth - self.populations[source].depth
            self.projections.append(Projection(source, name, operator, delay))

    def _compute(self, function: HostOperation) -> None:
        """Let the chip compute a function if it takes what the chip sends, otherwise the host."""
        if not any(name in self._combined for name in function.values):
            self._function(function)
            self._shapes[function.name] = function.shape
            return
        found = self._on_chip(function)
        if found is not None:
            self._combined[function.name] = found
            return
        for name in function.values:
            if name in self._combined:
                self._at_host(name)
        self._function(function)

    def _on_chip(self, function: HostOperation) -> Combination | None:
        name, shape, call = function.function, function.shape, function.arguments
        if name in ("_to_copy", *MOVES):
            value = self._value(call[0])
            places = np.arange(len(value.constant)).reshape(value.shape)
            if name in MOVES:
                places = FUNCTIONS[name](places, *call[1:], **function.settings)
            return value.taken(places.ravel(), shape)
        if name.startswith(GROUP):
            return self._group(function, self._value(call[0]), name.removeprefix(GROUP))
        if name in ("mean", "sum"):
            return self._reduced(function)
        if name == "neg":
            return self._value(call[0]).times(-1.0)
        if name in ("add", "sub", "rsub"):
            return self._added(function)
        if name in ("mul", "div"):
            return self._scaled(function)
        if name in ("mm", "bmm"):
            return self._matrix_product(function)
        return None

    def _value(self, argument: Any) -> Combination:
        """Return an argument as a sum, for which the host may have to send it to the chip."""
        if not isinstance(argument, Mapping):
            return Combination((), {}, np.array([float(argument)]))
        if "number" in argument:
            return Combination((), {}, np.array([float(argument["number"])]))
        name = argument["value"]
        if name in self._combined:
            return self._combined[name]
        if name in self.tape.constants:
            constant = self.tape.constants[name]
            return Combination(constant.shape, {}, constant.ravel().astype(np.float64))
        shape = self._shapes.get(name) or (1, *self.populations[name].shape)
        size, sent = prod(shape), f"{name}:sent"
        self.populations[sent] = Differential(
            sent,
            (size,),
            depth=max(0, self._depths[name] + 1),
            rule="change",
            unit=np.ones(size),
            start=np.zeros(size),
            scale=np.ones(size),
            source=name,
            function="copy",
        )
        self._combined[name] = _of(sent, sparse.eye_array(size, format="csr"), shape)
        return self._combined[name]

    def _group(self, function: HostOperation, value: Combination, kind: str) -> Combination:
        self._neurons(function.name, value, function=kind)
        size = len(value.constant)
        found = _of(function.name, sparse.eye_array(size, format="csr"), value.shape)
        taken = function.values[0]
        if kind == "copy" and taken in self._combined:
            self._combined[taken] = found  # whatever reads it later reads it from there
        return found

    def _reduced(self, function: HostOperation) -> Combination:
        value = self._value(function.arguments[0])
        options = dict(zip(("dim", "keepdim"), function.arguments[1:], strict=False))
        dim = (options | dict(function.settings)).get("dim")
        axes = tuple(range(len(value.shape))) if dim is None else tuple(np.atleast_1d(dim).tolist())
        kept = np.ones(value.shape).sum(axis=axes, keepdims=True)
        groups = np.broadcast_to(np.arange(kept.size).reshape(kept.shape), value.shape)
        weight = 1.0 / kept.flat[0] if function.function == "mean" else 1.0
        return value.mapped(_gathering(groups.ravel(), kept.size, weight), function.shape)

    def _added(self, function: HostOperation) -> Combination:
        left, right = (self._value(each).spread(function.shape) for each in function.arguments[:2])
        alpha = float(function.settings.get("alpha", 1))
        if function.function == "rsub":
            left, right = right, left
        return left.plus(right.times(alpha if function.function == "add" else -alpha))

    def _scaled(self, function: HostOperation) -> Combination | None:
        left, right = (self._value(each) for each in function.arguments[:2])
        if function.function == "mul" and not left.parts:
            left, right = right, left
        if right.parts:
            if function.function == "div":
                return None
            return self._product(
                function, left.spread(function.shape), right.spread(function.shape)
            )
        factors = right.spread(function.shape).constant.reshape(function.shape)
        factors = 1.0 / factors if function.function == "div" else factors
        return left.spread(function.shape).times(factors)

    def _product(
        self, function: HostOperation, left: Combination, right: Combination
    ) -> Combination:
        """Add a row of neurons for each factor; the first multiplies with the second."""
        size = len(left.constant)
        upper = sparse.eye_array(2 * size, size, format="csr")
        lower = sparse.eye_array(2 * size, size, k=-size, format="csr")
        both = left.mapped(upper, (2 * size,)).plus(right.mapped(lower, (2 * size,)))
        self._neurons(function.name, both, function=PRODUCT)
        own = sparse.eye_array(size, 2 * size, format="csr")
        return _of(function.name, own, left.shape)

    def _matrix_product(self, function: HostOperation) -> Combination:
        left, right = (self._value(each) for each in function.arguments)
        rows, columns = np.arange(len(left.constant)), np.arange(len(right.constant))
        ours = rows.reshape(left.shape)[..., :, None, :]
        theirs = columns.reshape(right.shape).swapaxes(-1, -2)[..., None, :, :]
        pairs = np.broadcast_shapes(ours.shape, theirs.shape)
        factors = (
            value.taken(np.broadcast_to(places, pairs).ravel(), pairs)
            for value, places in ((left, ours), (right, theirs))
        )
        products = self._product(function, *factors)
        groups = np.repeat(np.arange(prod(pairs[:-1])), pairs[-1])
        return products.mapped(_gathering(groups, prod(pairs[:-1]), 1.0), function.shape)

    def _at_host(self, name: str) -> None:
        """Let the host read a value of the chip's."""
        value = self._combined.get(name)
        if value is None or name in self._depths:
            return
        read = f"{name}:read"
        self._neurons(read, value, function="copy")
        depth = self.populations[read].depth
        path = name.partition(":")[0].removesuffix(".output")
        settings = {"changes": True}
        self._add(HostOperation(name, RATE, (read,), settings, value.shape, path, depth))
        self._shapes[name] = value.shape


def _of(population: str, matrix: sparse.csr_array, shape: Shape) -> Combination:
    """Return what one population sends, as a value."""
    return Combination(tuple(shape), {population: _sparse(matrix)}, np.zeros(matrix.shape[0]))


def _sparse(matrix: Any) -> Sparse:
    return Sparse(sparse.csr_array(matrix))


def _gathering(groups: Array, count: int, weight: float) -> sparse.csr_array:
    """Return what adds up the elements of each group, (groups, elements)."""
    data, columns = np.full(len(groups), weight), np.arange(len(groups))
    return sparse.csr_array((data, (groups, columns)), shape=(count, len(groups)))
