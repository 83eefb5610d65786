"""Arrays of graphs on their way to and from files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from spikeformer.hardware.ir import records
from spikeformer.hardware.ir.operators import Array, Convolution, Operator, Sparse, TokenLinear
from spikeformer.hardware.ir.sums import TokenSum

MAX_NEURON_STEPS = 2**31
"""Neurons times timesteps of a graph that is read."""


class ArrayStore:
    """Arrays on their way to or from a `graph.npz`, each stored once.

    Args:
        arrays: What a file holds; None to fill it.
    """

    def __init__(self, arrays: Mapping[str, Array] | None = None) -> None:
        self.arrays = dict(arrays or {})
        self._names: dict[int, str] = {}

    def put(self, array: Array) -> str:
        """Store an array and return its name."""
        # It stays here, so no other array gets its id.
        name = self._names.setdefault(id(array), f"array_{len(self.arrays)}")
        self.arrays[name] = array
        return name

    def get(self, name: str, ndim: int | None, kinds: str = "fi") -> Array:
        """Return an array by its name, if it has so many axes and finite numbers of such a kind.

        Any number of axes will do for None.
        """
        if name not in self.arrays:
            raise ValueError(f"there is no array {name!r}")
        array = self.arrays[name]
        sizes = {"f": (8,), "i": (4, 8)}
        if array.dtype.kind not in kinds or array.dtype.itemsize not in sizes[array.dtype.kind]:
            raise ValueError(f"{name} holds {array.dtype}, expected one of the kinds {kinds!r}")
        if (ndim is not None and array.ndim != ndim) or not array.dtype.isnative:
            raise ValueError(f"{name} has the shape {array.shape}, expected {ndim} axes")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
        return array

    def put_operator(self, operator: Operator) -> records.OperatorRecord:
        """Store an operator and return its description."""
        if isinstance(operator, Sparse):
            csr = operator.csr
            parts = [self.put(part) for part in (csr.data, csr.indices, csr.indptr)]
            return records.SparseRecord(operator.shape, *parts)
        weights = self.put(operator.weights)
        if isinstance(operator, TokenLinear):
            return records.TokenLinearRecord(weights, operator.tokens, operator.channels_first)
        if isinstance(operator, TokenSum):
            return records.TokenSumRecord(weights, operator.tokens)
        assert isinstance(operator, Convolution)
        return records.ConvolutionRecord(
            weights,
            operator.image,
            operator.stride,
            operator.padding,
            operator.groups,
            operator.tokens_out,
        )

    def get_operator(self, record: records.OperatorRecord) -> Operator:
        """Return the operator of a description."""
        if isinstance(record, records.SparseRecord):
            return Sparse(self._csr(record))
        settings = {f: getattr(record, f) for f in record.__struct_fields__ if f != "weights"}
        if isinstance(record, records.TokenLinearRecord):
            return TokenLinear(self.get(record.weights, 2), **settings)
        if isinstance(record, records.TokenSumRecord):
            return TokenSum(self.get(record.weights, 2), **settings)
        weights = self.get(record.weights, 4)
        padded = [
            side + 2 * pad for side, pad in zip(record.image[1:], record.padding, strict=True)
        ]
        if (
            min(weights.shape) < 1
            or weights.shape[0] % record.groups
            or weights.shape[1] * record.groups != record.image[0]
            or any(kernel > side for kernel, side in zip(weights.shape[2:], padded, strict=True))
            or record.image[0] * padded[0] * padded[1] > MAX_NEURON_STEPS
        ):
            raise ValueError(
                f"weights of shape {weights.shape} do not fit the image {record.image}"
            )
        return Convolution(weights, **settings)

    def _csr(self, record: records.SparseRecord) -> sparse.csr_array:
        """Return a matrix none of whose indices leads out of it."""
        rows, columns = record.shape
        data = self.get(record.data, 1)
        indices, indptr = self.get(record.indices, 1, "i"), self.get(record.indptr, 1, "i")
        if (
            len(indptr) != rows + 1
            or indptr[0] != 0
            or (np.diff(indptr) < 0).any()
            or not indptr[-1] == len(indices) == len(data)
            or (len(indices) and not 0 <= indices.min() <= indices.max() < columns)
        ):
            raise ValueError(f"the indices of {record.data} lead out of the shape {record.shape}")
        return sparse.csr_array((data, indices, indptr), shape=record.shape)
