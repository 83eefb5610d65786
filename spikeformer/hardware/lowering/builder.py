"""Writes down populations and projections while a network runs on a traced tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.graph import Population, Projection, Readout, SpikeGraph
from spikeformer.hardware.lowering.current import Current
from spikeformer.hardware.lowering.traced import (
    MixedTimeError,
    Rows,
    TracedTensor,
    aten,
    elementwise,
    reduced,
)
from spikeformer.hardware.operators import Operator, TokenLinear

DYNAMIC_PRODUCT = (
    "multiplies two tensors that both change at run time. No chip does that; use "
    "attention=qk_token or attention=sdsa, whose products are coincidences of spikes."
)
REFUSED = {
    aten._softmax: "is a softmax, which no spiking chip computes; use attention=qk_token or sdsa.",
    aten.native_layer_norm: "is a layer norm, whose statistics change at run time; train with "
    "model.norm=batch, which folds into the weights.",
    aten.bmm: DYNAMIC_PRODUCT,
    aten.mm: DYNAMIC_PRODUCT,
    aten.relu: "is a ReLU; convert the network to a spiking one first.",
    aten.gelu: "is a GELU; convert the network to a spiking one first.",
}
"""What is wrong with an ATen operator, and what to do."""


class GraphBuilder:
    """A spike graph in the making.

    Attributes:
        timesteps: Steps for each sample, known from the first population on.
        encoder: Path of the encoder whose spike trains come in; None where values do.
    """

    def __init__(self) -> None:
        self.encoder: str | None = None
        self.timesteps: int | None = None
        self._populations: dict[str, Population] = {}
        self._projections: list[Projection] = []
        self._path: list[str] = []
        self._layers: dict[int, tuple[str, str | None]] = {}
        # Keeps noted weights alive, so that no others get their id.
        self._noted: list[Operator] = []

    @property
    def path(self) -> str:
        """Path of the module that is running."""
        return self._path[-1] if self._path else ""

    def enter(self, path: str) -> None:
        """Note that a module begins."""
        self._path.append(path)

    def leave(self) -> None:
        """Note that the module which began last is done."""
        self._path.pop()

    def note_weights(self, operator: Operator, norm_of: Operator | None = None) -> None:
        """Remember which layer weights are from, or by which norm those of `norm_of` became them.

        Args:
            operator: Has the weights.
            norm_of: Had them before the module that is running folded into them.
        """
        if norm_of is None:
            self._layers[id(operator.weights)] = (self.path, None)
        elif (before := self._layers.get(id(norm_of.weights))) is not None:
            self._layers[id(operator.weights)] = (before[0], self.path)
        self._noted.append(operator)

    @property
    def layers(self) -> dict[tuple[str, str], tuple[str, str | None]]:
        """Layer and norm behind the weights of each projection that carries spikes."""
        return {
            (p.source, p.target): self._layers[id(p.operator.weights)]
            for p in self._projections
            if id(p.operator.weights) in self._layers
            and self._populations[p.source].kind != "values"
        }

    def refuse(self, reason: str) -> HardwareCompatibilityError:
        """Return the error for the module that is running; `reason` follows its name."""
        return HardwareCompatibilityError(f"Layer {self.path or 'the network'!r} {reason}")

    def source(self, name: str, shape: Sequence[int], kind: str) -> TracedTensor:
        """Add a source; return it with a batch axis of 1 and, if it spikes, a time axis."""
        population = Population(self._free(name), tuple(shape), kind)
        self._populations[population.name] = population
        return self._traced(population)

    def drop(self, x: TracedTensor) -> None:
        """Remove the sources of `x`, which something else stands in for."""
        for name in x.current.terms:
            del self._populations[name]

    def neurons(
        self,
        current: Current,
        shape: Sequence[int],
        *,
        decay: float,
        threshold: float,
        name: str | None = None,
    ) -> TracedTensor:
        """Add a population that fires at `current`; return its spikes, (1, timesteps, *shape)."""
        name = self._free(name or self.path)
        sources = [self._populations[source] for source in current.terms]
        depth = max((s.depth + 1 for s in sources if s.kind != "values"), default=0)
        bias = current.bias if current.bias.any() else None
        population = Population(name, tuple(shape), "lif", decay, threshold, bias, depth)
        self._populations[name] = population
        for source in sources:
            delay = 0 if source.kind == "values" else depth - source.depth
            operator = current.terms[source.name]
            self._projections.append(Projection(source.name, name, operator, delay))
        return self._traced(population)

    def graph(self, output: Any, name: str) -> SpikeGraph:
        """Return the finished graph of a network that gave `output`."""
        if self.timesteps is None or all(p.kind != "lif" for p in self._populations.values()):
            raise HardwareCompatibilityError(
                "The network has no spiking neurons, so there is nothing to put on a chip. "
                "Convert it to a spiking network first."
            )
        if not isinstance(output, TracedTensor) or output.shape[:2] != (1, self.timesteps):
            raise HardwareCompatibilityError(
                f"The network returned {_describe(output)}, but hardware needs outputs of shape "
                "(batch, timesteps, ...): leave averaging over time to the loss."
            )
        shape = tuple(output.shape[2:])
        features = Rows(output, len(shape)).features
        readout = Readout(shape, tuple(features.terms.items()), features.bias)
        return SpikeGraph(
            self.timesteps, self._populations, tuple(self._projections), readout, name
        )

    def check_timesteps(self, timesteps: int) -> None:
        """Settle the number of timesteps, or refuse another one."""
        if self.timesteps not in (None, timesteps):
            raise self.refuse(
                f"runs for {timesteps} timesteps, but the layers before it for {self.timesteps}. "
                "A chip needs one number for the whole network."
            )
        self.timesteps = timesteps

    def arithmetic(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Write down what an ATen operator does to traced tensors."""
        operator = function.overloadpacket
        try:
            return self._arithmetic(operator, args, kwargs)
        except MixedTimeError:
            raise self.refuse(
                f"mixes several timesteps in one `{operator}`. On a chip every layer works on one "
                "timestep after the other; leave averaging over time to the loss."
            ) from None

    def _arithmetic(self, operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        x, *rest = args
        other = rest[0] if rest else None
        if operator in (aten.add, aten.sub) and kwargs.get("alpha", 1) == 1:
            return self._added(x, other, -1.0 if operator is aten.sub else 1.0)
        if operator is aten.rsub and kwargs.get("alpha", 1) == 1:
            return self._added(other, x, -1.0)
        if operator is aten.mul:
            return self._multiplied(x, other)
        if operator is aten.div and not isinstance(other, TracedTensor):
            return self._multiplied(x, 1 / torch.as_tensor(other, dtype=torch.float64))
        if operator is aten.neg:
            return self._multiplied(x, -1.0)
        if operator in (aten.sum, aten.mean):
            axes = rest[0] if rest else kwargs.get("dim")
            keepdim = rest[1] if len(rest) > 1 else kwargs.get("keepdim", False)
            rows, shape = reduced(x, axes or range(x.ndim), keepdim=keepdim)
            weight = 1.0 if operator is aten.sum else 1 / rows.width
            summed = TokenLinear(np.full((1, rows.width), weight), rows.count)
            return rows.rebuild(rows.features.map(summed), ()).reshape(shape)
        if operator is aten.cumsum:
            return self._accumulated(x, rest[0])
        if operator in (aten._to_copy, aten.to):
            return x
        reason = REFUSED.get(operator)
        raise self.refuse(reason or f"uses `{operator}`, for which there is no place on a chip.")

    def _added(self, x: Any, y: Any, sign: float) -> TracedTensor:
        if isinstance(x, TracedTensor) and isinstance(y, TracedTensor):
            return elementwise(x, y, lambda a, b: a.add(b if sign == 1 else b.scale(sign)))
        if not isinstance(x, TracedTensor):  # a number less a tensor
            return self._added(self._multiplied(y, sign), x, 1.0)
        traced, values = self._beside(x, sign * y)
        return elementwise(traced, values, lambda a, b: a.shift(b.bias))

    def _multiplied(self, x: Any, y: Any) -> TracedTensor:
        if isinstance(x, TracedTensor) and isinstance(y, TracedTensor):
            return self._coincidence(x, y)
        traced, values = (x, y) if isinstance(x, TracedTensor) else (y, x)
        if not isinstance(values, Tensor):
            return TracedTensor(traced.current.scale(float(values)), traced.index)
        traced, factors = self._beside(traced, values)
        return elementwise(traced, factors, lambda a, b: a.scale(b.bias))

    def _beside(self, x: TracedTensor, values: Any) -> tuple[TracedTensor, TracedTensor]:
        """Return `x` and plain values as a current without terms."""
        plain = torch.as_tensor(values, dtype=torch.float64)
        bias = plain.reshape(-1).numpy()
        index = torch.arange(len(bias)).reshape(plain.shape)
        return x, TracedTensor(Current({}, bias, constant=True), index)

    def _coincidence(self, x: TracedTensor, y: TracedTensor) -> TracedTensor:
        """Add neurons without memory that fire where both inputs do."""
        if not (x.current.is_binary and y.current.is_binary):
            raise self.refuse(DYNAMIC_PRODUCT)
        # The sum is 0, 1 or 2.
        both = elementwise(x, y, lambda a, b: a.add(b))
        rows = Rows(both, both.ndim - 2)
        name = f"{self.path}.coincidence"
        return self.neurons(rows.features, both.shape[2:], decay=0.0, threshold=1.5, name=name)

    def _accumulated(self, x: TracedTensor, axis: int) -> TracedTensor:
        moved = x.movedim(axis, -1)
        assert isinstance(moved, TracedTensor)
        rows = Rows(moved, 1)
        lower = TokenLinear(np.tril(np.ones((rows.width, rows.width))), rows.count)
        return rows.rebuild(rows.features.map(lower), (rows.width,)).movedim(-1, axis)  # type: ignore[return-value]

    def _free(self, name: str) -> str:
        """Return `name`, numbered if it is taken: a module may run more than once."""
        free, count = name, 1
        while free in self._populations:
            count += 1
            free = f"{name}_{count}"
        return free

    def _traced(self, population: Population) -> TracedTensor:
        constant = population.kind == "values"
        current = Current.of(population.name, population.size, constant=constant)
        if constant:
            return TracedTensor(current, torch.arange(population.size).view(1, *population.shape))
        assert self.timesteps is not None
        index = torch.arange(self.timesteps * population.size)
        return TracedTensor(current, index.view(1, self.timesteps, *population.shape))


def _describe(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    return f"a {type(output).__name__}"
