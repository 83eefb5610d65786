"""What a network computes between two populations: an affine function of spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from spikeformer.hardware.ir.operators import (
    Array,
    Convolution,
    Operator,
    Sparse,
    TokenLinear,
    with_weights,
)
from spikeformer.hardware.ir.sums import after


@dataclass(frozen=True, eq=False)
class Current:
    """Features at one timestep: `bias + sum_p terms[p] s_p`.

    Residual branches that add up stay apart here, one term each, until the next population takes
    them all.

    Attributes:
        terms: Operators (size, source size) by the name of the source population.
        bias: Shape (size,).
        constant: Whether it is the same at every timestep, since all sources are values.
    """

    terms: Mapping[str, Operator]
    bias: Array
    constant: bool

    @classmethod
    def of(cls, source: str, size: int, *, constant: bool) -> Current:
        """Return the features of a population itself."""
        return cls({source: Sparse(sparse.eye_array(size, format="csr"))}, np.zeros(size), constant)

    @classmethod
    def joined(cls, parts: Sequence[Current]) -> Current:
        """Return the features of several currents, one behind the other."""
        terms: dict[str, Operator] = {}
        for name in dict.fromkeys(name for part in parts for name in part.terms):
            width = next(part.terms[name].shape[1] for part in parts if name in part.terms)
            blocks = [
                part.terms[name].matrix()
                if name in part.terms
                else sparse.csr_array((part.size, width))
                for part in parts
            ]
            terms[name] = Sparse(sparse.vstack(blocks, format="csr"))
        bias: Array = np.concatenate([part.bias for part in parts])
        return cls(terms, bias, all(part.constant for part in parts))

    @property
    def size(self) -> int:
        """Number of features."""
        return len(self.bias)

    @property
    def is_binary(self) -> bool:
        """Whether every feature is a spike of a single neuron, unchanged."""
        if self.constant or self.bias.any():
            return False
        operators = list(self.terms.values())
        if not all(isinstance(op, Sparse) and (op.weights == 1).all() for op in operators):
            return False
        neurons: Array = np.add.reduce([op.fan_in() for op in operators])
        return bool((neurons == 1).all())

    def take(self, index: Array) -> Current:
        """Return the features at `index`, in that order."""
        if len(index) == self.size and (index == np.arange(self.size)).all():
            return self
        terms = {name: take_rows(op, index) for name, op in self.terms.items()}
        return replace(self, terms=_without_empty(terms), bias=self.bias[index])

    def add(self, other: Current) -> Current:
        """Return the sum of two currents of one size."""
        terms = dict(self.terms)
        for name, operator in other.terms.items():
            terms[name] = _sum(terms[name], operator) if name in terms else operator
        constant = self.constant and other.constant
        return Current(terms, self.bias + other.bias, constant)

    def scale(self, factor: Array | float) -> Current:
        """Return the current times `factor`, (size,) or one number."""
        terms = {
            name: op.scale_rows(np.asarray(factor, np.float64)) for name, op in self.terms.items()
        }
        return replace(self, terms=terms, bias=self.bias * factor)

    @property
    def is_whole(self) -> bool:
        """Whether all weights are integers, but for their rounding, and nothing is added."""
        weights = [operator.weights for operator in self.terms.values()]
        return not self.bias.any() and all(np.allclose(w, np.rint(w), 0, 1e-9) for w in weights)

    def rounded(self) -> Current:
        """Return the current with whole weights."""
        terms = {name: with_weights(op, np.rint(op.weights)) for name, op in self.terms.items()}
        return replace(self, terms=terms)

    def shift(self, bias: Array | float) -> Current:
        """Return the current plus `bias`, (size,) or one number."""
        return replace(self, bias=self.bias + bias)

    def map(self, operator: Operator) -> Current:
        """Return what a linear layer makes of the current."""
        terms = {name: compose(operator, op) for name, op in self.terms.items()}
        return replace(self, terms=_without_empty(terms), bias=operator.apply(self.bias))


def compose(outer: Operator, inner: Operator) -> Operator:
    """Return `outer` after `inner`, structured if there is a form for it."""
    order = permutation(inner)
    if order is not None:
        if (order == np.arange(len(order))).all():
            return outer
        if isinstance(outer, TokenLinear) and not outer.channels_first:
            channels = outer.weights.shape[1]
            by_channel = np.arange(len(order)).reshape(channels, outer.tokens)
            if (order == by_channel.T.ravel()).all():
                return replace(outer, channels_first=True)
    if isinstance(outer, TokenLinear):
        return after(outer, inner)
    return Sparse(outer.matrix() @ inner.matrix())


def permutation(operator: Operator) -> Array | None:
    """Return where each output of a pure reordering comes from, None for any other operator."""
    if not isinstance(operator, Sparse) or operator.shape[0] != operator.shape[1]:
        return None
    csr = operator.csr
    if csr.nnz != operator.shape[0] or (csr.data != 1).any() or (operator.fan_in() != 1).any():
        return None
    distinct = (np.bincount(csr.indices, minlength=csr.shape[1]) == 1).all()
    return csr.indices if distinct else None


def take_rows(operator: Operator, index: Array) -> Operator:
    """Return an operator with the outputs at `index`, structured if there is a form for it."""
    if isinstance(operator, Convolution) and len(index) == operator.shape[0]:
        channels = len(operator.weights)
        by_channel = np.arange(len(index)).reshape(channels, -1)
        if not operator.tokens_out and (index == by_channel.T.ravel()).all():
            return replace(operator, tokens_out=True)
        by_position = np.arange(len(index)).reshape(-1, channels)
        if operator.tokens_out and (index == by_position.T.ravel()).all():
            return replace(operator, tokens_out=False)
    return Sparse(operator.matrix()[index])


def _sum(one: Operator, other: Operator) -> Operator:
    if (
        isinstance(one, TokenLinear)
        and isinstance(other, TokenLinear)
        and (one.tokens, one.channels_first) == (other.tokens, other.channels_first)
    ):
        return replace(one, weights=one.weights + other.weights)
    return Sparse(one.matrix() + other.matrix())


def _without_empty(terms: Mapping[str, Operator]) -> dict[str, Operator]:
    """Drop the operators that have no weight left, as those of a slice may."""
    return {name: op for name, op in terms.items() if not isinstance(op, Sparse) or op.csr.nnz > 0}
