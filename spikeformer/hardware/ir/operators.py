"""The linear maps between populations, kept structured: what repeats is stored once.

Every operator maps a flat array (..., in) to (..., out). `weights` is the array of its distinct
weights, float64 in a graph from a network and integer in one for a chip. Products run in float64,
which holds the sums of a chip's integers exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch.nn import functional

Array = npt.NDArray[Any]


class Operator(ABC):
    """A linear map with `shape` (out, in)."""

    weights: Array

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Numbers of outputs and inputs."""

    @abstractmethod
    def apply(self, x: Array) -> Array:
        """Map (..., in) to (..., out) in float64."""

    @abstractmethod
    def matrix(self) -> sparse.csr_array:
        """Return the map as a sparse matrix (out, in) without explicit zeros."""

    @abstractmethod
    def scale_rows(self, factor: Array) -> Operator:
        """Return the map followed by a multiplication with `factor`, (out,)."""

    @abstractmethod
    def fan_in(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each output, (out,)."""

    @abstractmethod
    def fan_out(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each input, (in,)."""

    @abstractmethod
    def reaching(self, first: int, last: int) -> npt.NDArray[np.intp]:
        """Return the inputs that lead to outputs from `first` to before `last`, in order."""

    @property
    def num_synapses(self) -> int:
        """Number of non-zero weights, each counted as often as it is used."""
        return int(self.fan_in().sum())


@dataclass(frozen=True, eq=False)
class TokenLinear(Operator):
    """One dense layer for every token: the matrix is `kron(eye(tokens), weights)`.

    Outputs are ordered (token, channel). So are inputs, or (channel, token) with `channels_first`,
    as a convolution leaves them.

    Attributes:
        weights: Shape (out_channels, in_channels).
        tokens: Number of tokens; 1 makes an ordinary dense layer.
        channels_first: Whether channels come first in the input.
    """

    weights: Array
    tokens: int = 1
    channels_first: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of outputs and inputs."""
        out, into = self.weights.shape
        return self.tokens * out, self.tokens * into

    def apply(self, x: Array) -> Array:
        """Map (..., in) to (..., out) in float64."""
        into = self.weights.shape[1]
        if self.channels_first:
            x = x.reshape(*x.shape[:-1], into, self.tokens).swapaxes(-1, -2)
        tokens = x.reshape(-1, into).astype(np.float64, copy=False)
        product = tokens @ self.weights.T.astype(np.float64, copy=False)
        samples = x.shape[:-2] if self.channels_first else x.shape[:-1]
        return product.reshape(*samples, self.shape[0])

    def matrix(self) -> sparse.csr_array:
        """Return the map as a sparse matrix (out, in) without explicit zeros."""
        row, column = np.nonzero(self.weights)
        out, into = self.weights.shape
        token = np.arange(self.tokens)[:, None]
        source = column * self.tokens + token if self.channels_first else token * into + column
        data = np.broadcast_to(self.weights[row, column], source.shape)
        coordinates = ((token * out + row).ravel(), source.ravel())
        return sparse.csr_array(sparse.coo_array((data.ravel(), coordinates), shape=self.shape))

    def scale_rows(self, factor: Array) -> Operator:
        """Return the map followed by a multiplication with `factor`, (out,)."""
        by_token = np.broadcast_to(factor, (self.shape[0],)).reshape(self.tokens, -1)
        if (by_token == by_token[0]).all():
            return replace(self, weights=self.weights * by_token[0][:, None])
        return Sparse(self.matrix()).scale_rows(factor)

    def fan_in(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each output, (out,)."""
        return np.tile(np.count_nonzero(self.weights, axis=1), self.tokens)

    def fan_out(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each input, (in,)."""
        counts = np.count_nonzero(self.weights, axis=0)
        repeated = np.repeat if self.channels_first else np.tile
        return repeated(counts, self.tokens)

    def reaching(self, first: int, last: int) -> npt.NDArray[np.intp]:
        """Return the inputs that lead to outputs from `first` to before `last`, in order."""
        out, into = self.weights.shape
        found = []
        for token in range(first // out, -(-last // out)):
            start, end = max(first - token * out, 0), min(last - token * out, out)
            channels = self._channels if end - start == out else self._read_by(start, end)
            found.append(
                channels * self.tokens + token if self.channels_first else token * into + channels
            )
        together = np.concatenate(found)
        return np.sort(together) if self.channels_first else together

    @cached_property
    def _channels(self) -> npt.NDArray[np.intp]:
        """The input channels that any output reads."""
        return np.flatnonzero(self.weights.any(axis=0))

    @cached_property
    def _is_full(self) -> bool:
        return bool(self.weights.all())

    def _read_by(self, start: int, end: int) -> npt.NDArray[np.intp]:
        """Return the input channels that output channels from `start` to before `end` read."""
        return self._channels if self._is_full else np.flatnonzero(self.weights[start:end].any(0))


@dataclass(frozen=True, eq=False)
class Convolution(Operator):
    """A two-dimensional convolution with zero padding.

    Inputs are ordered (channel, row, column). So are outputs, or (row, column, channel) with
    `tokens_out`, as a layer of tokens takes them.

    Attributes:
        weights: Shape (out_channels, in_channels / groups, kernel height, kernel width).
        image: Channels, height and width of the input.
        stride: Step in both directions.
        padding: Zeros around the image in both directions.
        groups: Groups of channels that do not mix.
        tokens_out: Whether channels come last in the output.
    """

    weights: Array
    image: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    tokens_out: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the output."""
        sides = zip(self.image[1:], self.padding, self.weights.shape[2:], self.stride, strict=True)
        height, width = ((side + 2 * pad - kernel) // step + 1 for side, pad, kernel, step in sides)
        return height, width

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of outputs and inputs."""
        return len(self.weights) * int(np.prod(self.grid)), int(np.prod(self.image))

    def apply(self, x: Array) -> Array:
        """Map (..., in) to (..., out) in float64."""
        return self._convolve(x, self.weights)

    def _convolve(self, x: Array, weights: Array) -> Array:
        frames = np.ascontiguousarray(x, np.float64).reshape(-1, *self.image)
        out = functional.conv2d(
            torch.from_numpy(frames),
            torch.from_numpy(np.ascontiguousarray(weights, np.float64)),
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
        )
        if self.tokens_out:
            out = out.permute(0, 2, 3, 1)
        result: Array = out.reshape(*x.shape[:-1], self.shape[0]).numpy()
        return result

    def matrix(self) -> sparse.csr_array:
        """Return the map as a sparse matrix (out, in) without explicit zeros."""
        _, height, width = self.image
        rows_out, columns_out = self.grid
        out_channels, group_channels = self.weights.shape[:2]
        out, into, kernel_row, kernel_column = np.nonzero(self.weights)
        values = self.weights[out, into, kernel_row, kernel_column]
        # Input channels of an output channel's group follow one another.
        source = into + out // (out_channels // self.groups) * group_channels
        y, x = np.divmod(np.arange(rows_out * columns_out), columns_out)
        from_row = y * self.stride[0] - self.padding[0] + kernel_row[:, None]
        from_column = x * self.stride[1] - self.padding[1] + kernel_column[:, None]
        inside = (from_row >= 0) & (from_row < height) & (from_column >= 0) & (from_column < width)
        position = y * columns_out + x
        if self.tokens_out:
            target = position * out_channels + out[:, None]
        else:
            target = out[:, None] * len(position) + position
        column = (source[:, None] * height + from_row) * width + from_column
        data = np.broadcast_to(values[:, None], inside.shape)
        coordinates = (target[inside], column[inside])
        return sparse.csr_array(sparse.coo_array((data[inside], coordinates), shape=self.shape))

    def scale_rows(self, factor: Array) -> Operator:
        """Return the map followed by a multiplication with `factor`, (out,)."""
        full = np.broadcast_to(factor, (self.shape[0],))
        channels = len(self.weights)
        by_channel = full.reshape(-1, channels).T if self.tokens_out else full.reshape(channels, -1)
        if (by_channel == by_channel[:, :1]).all():
            scaled = self.weights * by_channel[:, 0][:, None, None, None]
            return replace(self, weights=scaled)
        return Sparse(self.matrix()).scale_rows(factor)

    def fan_in(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each output, (out,)."""
        ones = np.ones(self.shape[1])
        counts: Array = np.rint(self._convolve(ones, self.weights != 0))
        return counts.astype(np.int64)

    def fan_out(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each input, (in,)."""
        there = torch.from_numpy((self.weights != 0).astype(np.float64))
        reached = functional.conv_transpose2d(
            torch.ones(1, len(self.weights), *self.grid, dtype=torch.float64),
            there,
            stride=self.stride,
            padding=self.padding,
            output_padding=self._uncovered(),
            groups=self.groups,
        )
        counts: Array = np.rint(reached.numpy().reshape(-1))
        return counts.astype(np.int64)

    def reaching(self, first: int, last: int) -> npt.NDArray[np.intp]:
        """Return the inputs that lead to outputs from `first` to before `last`, in order.

        As if no weight were zero.
        """
        wanted = np.zeros(self.shape[0], np.float32)
        wanted[first:last] = 1
        channels = len(self.weights)
        by_channel = wanted.reshape(-1, channels).T if self.tokens_out else wanted
        by_group: Array = by_channel.reshape(self.groups, -1, *self.grid).max(axis=1)
        window = torch.ones(self.groups, 1, *self.weights.shape[2:])
        reached = functional.conv_transpose2d(
            torch.from_numpy(by_group[None]),
            window,
            stride=self.stride,
            padding=self.padding,
            output_padding=self._uncovered(),
            groups=self.groups,
        )
        there: Array = reached[0].numpy() > 0
        return np.flatnonzero(np.repeat(there, self.weights.shape[1], axis=0))

    def _uncovered(self) -> tuple[int, int]:
        """Rows and columns at the far edges that no kernel reaches."""
        height, width = (
            side + 2 * pad - kernel - (out - 1) * step
            for side, pad, kernel, out, step in zip(
                self.image[1:],
                self.padding,
                self.weights.shape[2:],
                self.grid,
                self.stride,
                strict=True,
            )
        )
        return height, width


@dataclass(frozen=True, eq=False)
class Sparse(Operator):
    """Any sparse matrix: gates, coincidences, sums over heads.

    Attributes:
        csr: Shape (out, in); explicit zeros are dropped.
    """

    csr: sparse.csr_array

    def __post_init__(self) -> None:
        clean = sparse.csr_array(self.csr, copy=True)  # matrices may share their structure
        clean.sum_duplicates()
        clean.eliminate_zeros()
        object.__setattr__(self, "csr", clean)

    @property
    def weights(self) -> Array:  # type: ignore[override]
        """The non-zero weights."""
        return self.csr.data

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of outputs and inputs."""
        out, into = self.csr.shape
        return int(out), int(into)

    def apply(self, x: Array) -> Array:
        """Map (..., in) to (..., out) in float64."""
        rows = x.reshape(-1, self.shape[1]).astype(np.float64, copy=False)
        product: Array = (self.csr.astype(np.float64) @ rows.T).T
        return np.ascontiguousarray(product).reshape(*x.shape[:-1], self.shape[0])

    def matrix(self) -> sparse.csr_array:
        """Return the map as a sparse matrix (out, in) without explicit zeros."""
        return self.csr

    def scale_rows(self, factor: Array) -> Self:
        """Return the map followed by a multiplication with `factor`, (out,)."""
        full = np.broadcast_to(factor, (self.shape[0],))
        return replace(self, csr=sparse.csr_array(sparse.diags_array(full) @ self.csr))

    def fan_in(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each output, (out,)."""
        return np.diff(self.csr.indptr).astype(np.int64)

    def fan_out(self) -> npt.NDArray[np.int64]:
        """Return the number of non-zero weights of each input, (in,)."""
        return np.bincount(self.csr.indices, minlength=self.shape[1])

    def reaching(self, first: int, last: int) -> npt.NDArray[np.intp]:
        """Return the inputs that lead to outputs from `first` to before `last`, in order."""
        start, end = self.csr.indptr[first], self.csr.indptr[last]
        return np.unique(self.csr.indices[start:end]).astype(np.intp)


def with_weights(operator: Operator, weights: Array) -> Operator:
    """Return an operator of the same structure with other weights, shaped like the old ones."""
    if isinstance(operator, Sparse):
        csr = operator.csr
        return Sparse(sparse.csr_array((weights, csr.indices, csr.indptr), shape=csr.shape))
    changed: Operator = replace(cast(Any, operator), weights=weights)
    return changed
