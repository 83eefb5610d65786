"""Writes down populations and projections while a network runs on a traced tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.firing import Rule
from spikeformer.hardware.ir.graph import Population, Projection, Readout, SpikeGraph
from spikeformer.hardware.ir.host import HostFunction
from spikeformer.hardware.ir.operators import Operator
from spikeformer.hardware.lowering.current import Current, permutation
from spikeformer.hardware.lowering.traced import Rows, TracedTensor
from spikeformer.i18n import t
from spikeformer.instrument import Trail


class GraphBuilder:
    """A spike graph in the making.

    Args:
        trail: Knows which module is running.

    Attributes:
        timesteps: Steps for each sample, known from the first population on.
        encoder: Path of the encoder whose spike trains come in; None where values do.
        host: What the host makes of inputs, by the source that gets its values.
    """

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self.encoder: str | None = None
        self.timesteps: int | None = None
        self.host: dict[str, HostFunction] = {}
        self._masks: set[str] = set()
        self._late: dict[str, tuple[str, int]] = {}
        self._read_at: str | None = None
        self._averaged: tuple[Current, int, float] | None = None
        self._populations: dict[str, Population] = {}
        self._projections: list[Projection] = []
        self._layers: dict[int, tuple[str, str | None]] = {}
        # Keeps noted weights alive, so that no others get their id.
        self._noted: list[Operator] = []

    @property
    def path(self) -> str:
        """Path of the module that is running."""
        return self._trail.path

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
        return HardwareCompatibilityError(
            t("hardware.layer_refused", layer=self.path or t("hardware.the_network"), reason=reason)
        )

    def source(self, name: str, shape: Sequence[int], kind: str) -> TracedTensor:
        """Add a source; return it with a batch axis of 1 and, if it spikes, a time axis."""
        population = Population(self._free(name), tuple(shape), kind)
        self._populations[population.name] = population
        return self._traced(population)

    def mask(self, name: str, shape: Sequence[int]) -> TracedTensor:
        """Add a source of values that are 0 or 1; they coincide with spikes as spikes do."""
        traced = self.source(name, shape, "values")
        self._masks.update(traced.current.terms)
        return traced

    def is_binary(self, current: Current) -> bool:
        """Whether every feature is a single spike, or a single value of a mask."""
        if current.constant and current.terms and current.terms.keys() <= self._masks:
            return replace(current, constant=False).is_binary
        return current.is_binary

    def read_at(self, mask: TracedTensor) -> None:
        """Let the readout average over the tokens of a mask; nothing may fire at what it gives."""
        (self._read_at,) = mask.current.terms

    def average(self, outputs: TracedTensor, branches: int, temperature: float) -> TracedTensor:
        """Let the host average outputs (1, timesteps, branches * outputs) as late fusion does."""
        self._averaged = (outputs.current, branches, temperature)
        return outputs

    def late(self, current: Current, lag: int) -> Current:
        """Return what a current was so many timesteps before; it must be without a bias."""
        terms: dict[str, Operator] = {}
        for name, operator in current.terms.items():
            source, before = self._sent(name)
            later = f"{source}@{before + lag}" if before + lag else source
            self._late[later] = (source, before + lag)
            terms[later] = operator
        return replace(current, terms=terms)

    def _sent(self, name: str) -> tuple[str, int]:
        """Return the population behind a term's name, and how long ago it sent its spikes."""
        return self._late.get(name, (name, 0))

    def whole_input(self, x: TracedTensor) -> str | None:
        """Return the name of the source that `x` is all of, in its order; None if it is not."""
        current = x.current.take(x.index.reshape(-1).numpy())
        if not current.constant or len(current.terms) != 1 or current.bias.any():
            return None
        ((name, operator),) = current.terms.items()
        order = permutation(operator)
        return name if order is not None and (order == np.arange(len(order))).all() else None

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
        rule: Rule = "threshold",
        levels: int = 1,
        current_decay: float = 0.0,
    ) -> TracedTensor:
        """Add a population that fires at `current`; return its spikes, (1, timesteps, *shape).

        Those of the rules "count" and "minimum" are fractions of `levels`, as in the network.
        """
        if self._read_at is not None:
            raise self.refuse(t("hardware.fires_behind_readout"))
        if self._averaged is not None:
            raise self.refuse(t("hardware.changes_average"))
        name = self._free(name or self.path)
        if rule == "count":
            current, factor = self._in_counts(current)
            threshold *= factor
        sources = [self._populations[self._sent(source)[0]] for source in current.terms]
        depth = max((s.depth + 1 for s in sources if s.kind != "values"), default=0)
        bias = current.bias if current.bias.any() else None
        population = Population(
            name, tuple(shape), "lif", decay, threshold, bias, depth, rule, levels, current_decay
        )
        self._populations[name] = population
        for term, source in zip(current.terms, sources, strict=True):
            lag = self._sent(term)[1]
            delay = 0 if source.kind == "values" else depth - source.depth + lag
            operator = current.terms[term]
            self._projections.append(Projection(source.name, name, operator, delay, lag))
        return self._traced(population)

    def levels(self, current: Current) -> int | None:
        """Return D where every feature is n / D of one graded neuron; None otherwise."""
        sources = [self._populations[self._sent(name)[0]] for name in current.terms]
        found = {source.levels for source in sources if source.graded}
        if len(found) != 1 or any(not source.graded for source in sources):
            return None
        (levels,) = found
        scaled = current.scale(levels)
        return levels if scaled.is_whole and scaled.rounded().is_binary else None

    def _in_counts(self, current: Current) -> tuple[Current, int]:
        """Return a current in units of single spikes, and the factor to them, if it is a count.

        Sums of fractions n / D, as gates take them, are integers then, in any arithmetic.
        """
        levels = (self._populations[self._sent(name)[0]].levels for name in current.terms)
        factor = max(levels, default=1)
        scaled = current.scale(factor)
        return (scaled.rounded(), factor) if scaled.is_whole else (current, 1)

    def graph(self, output: Any, name: str) -> SpikeGraph:
        """Return the finished graph of a network that gave `output`."""
        if self.timesteps is None or all(p.kind != "lif" for p in self._populations.values()):
            raise HardwareCompatibilityError(t("hardware.no_neurons"))
        if not isinstance(output, TracedTensor) or output.shape[:2] != (1, self.timesteps):
            raise HardwareCompatibilityError(t("hardware.output_shape", output=_describe(output)))
        shape = tuple(output.shape[2:])
        features = Rows(output, len(shape)).features
        if any(self._sent(name)[1] for name in features.terms):
            raise HardwareCompatibilityError(t("hardware.reads_late_spikes"))
        readout = Readout(shape, tuple(features.terms.items()), features.bias, self._read_at)
        if self._averaged is not None:
            averaged, branches, temperature = self._averaged
            if output.current is not averaged:
                raise self.refuse(t("hardware.changes_average"))
            shape = (shape[0] // branches,)
            readout = replace(readout, shape=shape, branches=branches, temperature=temperature)
        return SpikeGraph(
            self.timesteps, self._populations, tuple(self._projections), readout, name
        )

    def check_timesteps(self, timesteps: int) -> None:
        """Settle the number of timesteps, or refuse another one."""
        if self.timesteps not in (None, timesteps):
            raise self.refuse(
                t("hardware.other_timesteps", timesteps=timesteps, expected=self.timesteps)
            )
        self.timesteps = timesteps

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
        if population.graded:
            current = current.scale(1 / population.levels)
        if constant:
            return TracedTensor(current, torch.arange(population.size).view(1, *population.shape))
        assert self.timesteps is not None
        index = torch.arange(self.timesteps * population.size)
        return TracedTensor(current, index.view(1, self.timesteps, *population.shape))


def _describe(output: Any) -> str:
    if isinstance(output, Tensor):
        return t("hardware.a_tensor", shape=tuple(output.shape))
    return t("hardware.a_value", type=type(output).__name__)
