"""A layer of the sum over tokens, stored once: what reads a pooled network out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from spikeformer.hardware.ir.operators import Array, Operator, Sparse, TokenLinear


@dataclass(frozen=True, eq=False)
class TokenSum(Operator):
    """One dense layer of the sum over tokens: the matrix is `kron(ones(1, tokens), weights)`.

    Inputs are ordered (token, channel).

    Attributes:
        weights: Shape (out, in_channels).
        tokens: Number of tokens.
    """

    weights: Array
    tokens: int

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of outputs and inputs."""
        out, into = self.weights.shape
        return out, self.tokens * into

    def apply(self, x: Array) -> Array:
        """Map (..., in) to (..., out) in float64."""
        tokens = x.reshape(*x.shape[:-1], self.tokens, self.weights.shape[1])
        summed: Array = tokens.sum(axis=-2, dtype=np.float64) @ self.weights.T.astype(np.float64)
        return summed

    def matrix(self) -> sparse.csr_array:
        """Return the map as a sparse matrix (out, in) without explicit zeros."""
        return sparse.kron(sparse.coo_array(np.ones((1, self.tokens))), self.weights, format="csr")

    def scale_rows(self, factor: Array) -> Operator:
        """Return the map followed by a multiplication with `factor`, (out,)."""
        rows = np.broadcast_to(factor, (self.shape[0],))
        return replace(self, weights=self.weights * rows[:, None])

    def fan_in(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each output, (out,)."""
        return self.tokens * np.count_nonzero(self.weights, axis=1)

    def fan_out(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each input, (in,)."""
        return np.tile(np.count_nonzero(self.weights, axis=0), self.tokens)

    def reaching(self, first: int, last: int) -> npt.NDArray[np.intp]:
        """Return the inputs that lead to outputs from `first` to before `last`, in order."""
        return np.flatnonzero(np.tile(self.weights[first:last].any(axis=0), self.tokens))


def after(outer: TokenLinear, inner: Operator) -> Operator:
    """Return a layer after another; behind a mean or sum over tokens it is a `TokenSum`."""
    if isinstance(inner, TokenLinear) and inner.channels_first and outer.tokens == 1:
        pooled = inner.weights
        if len(pooled) == 1 and (pooled == pooled[0, 0]).all():
            return TokenSum(outer.weights * pooled[0, 0], pooled.shape[1])
    return Sparse(outer.matrix() @ inner.matrix())
