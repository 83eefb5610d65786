"""The public functions `spike_pack` and `spike_unpack`, their operators and their layout."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError
from spikeformer.ops.dispatch import load_kernels, resolve_backend
from spikeformer.ops.spike_pack.reference import pack_reference, unpack_reference

DTYPES = (
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.float64,
    torch.uint8,
    torch.bool,
)
"""Dtypes that spikes can be packed from and unpacked to."""


class SpikeLayout(NamedTuple):
    """What bits do not say of the spikes they were packed from.

    An operator that needs spikes in backward saves their bits and remembers their layout, both
    also while `torch.compile` traces it:

        ctx.save_for_backward(spike_pack(spikes))          # in setup_context
        ctx.layout = SpikeLayout.of(spikes)

        spikes = spike_unpack(*ctx.saved_tensors, ctx.layout)      # in backward

    Args:
        shape: Shape of the spikes.
        order: Axes as they lie in memory, from the largest stride to the smallest.
        dtype: Dtype of the spikes, one of `DTYPES`.

    Example:
        >>> SpikeLayout.of(torch.ones(2, 3, 4).transpose(1, 2)).order
        (0, 2, 1)
    """

    shape: tuple[int, ...]
    order: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, spikes: Tensor) -> SpikeLayout:
        """Read it off `spikes`; those with gaps in memory get the order of their axes."""
        order: tuple[int, ...] = spikes.dim_order()
        if not spikes.permute(order).is_contiguous():
            order = tuple(range(spikes.dim()))
        return cls(tuple(spikes.shape), order, spikes.dtype)

    def flatten(self, spikes: Tensor) -> Tensor:
        """The elements in the order of their bits, (n,): a view unless they have gaps."""
        return spikes.permute(self.order).contiguous().view(-1)

    def restore(self, flat: Tensor) -> Tensor:
        """Undo `flatten`, as a view."""
        stored = flat.view(tuple(self.shape[axis] for axis in self.order))
        return stored.permute(tuple(self.order.index(axis) for axis in range(len(self.order))))


def spike_pack(spikes: Tensor, *, backend: str = "auto") -> Tensor:
    """Pack binary spikes into one bit each.

    With s the elements in the order they have in memory, and s = 0 past their end:

        bits[j] = sum_i 2^i [s[8 j + i] != 0],    i = 0 .. 7

    Args:
        spikes: Spikes of any shape, in one of `DTYPES`; any number but 0 counts as a spike. Dense
            memory in any order of axes is read in place; a tensor with gaps is made contiguous.
        backend: One of `BACKENDS`; "auto" picks by device.

    Returns:
        Bits, uint8, (ceil(n / 8),) for n spikes. They have no gradient.

    Raises:
        ArgumentError: If the dtype is not one of `DTYPES`.
        BackendUnavailableError: If an explicit backend cannot run on the spikes' device.

    Example:
        >>> spike_pack(torch.tensor([1.0, 0.0, 0.0, 1.0])).tolist()
        [9]
    """
    _check_dtype("spikes", spikes.dtype)
    flat = SpikeLayout.of(spikes).flatten(spikes.detach())
    # Kernels here read any of DTYPES, so the dispatcher is not asked about them.
    kernel = resolve_backend(backend, spikes.device, op="spike_pack")
    return pack_reference(flat) if kernel == "reference" else spike_pack_op(flat, kernel)


def spike_unpack(bits: Tensor, layout: SpikeLayout, *, backend: str = "auto") -> Tensor:
    """Undo `spike_pack`.

    Args:
        bits: What `spike_pack` returned.
        layout: `SpikeLayout.of` the spikes, or another that fits their number.
        backend: One of `BACKENDS`; "auto" picks by device.

    Returns:
        Spikes 0 or 1 with the shape, order in memory and dtype of `layout`.

    Raises:
        ArgumentError: If bits and layout do not fit each other, or the dtype is not in `DTYPES`.
        BackendUnavailableError: If an explicit backend cannot run on the bits' device.

    Example:
        >>> spikes = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> spike_unpack(spike_pack(spikes), SpikeLayout.of(spikes)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    _check_dtype("layout.dtype", layout.dtype)
    size = math.prod(layout.shape)
    if bits.dtype != torch.uint8 or bits.shape != ((size + 7) // 8,):
        received = f"{tuple(bits.shape)} {bits.dtype}"
        raise ArgumentError("bits", received, f"uint8 of shape ({(size + 7) // 8},)")
    kernel = resolve_backend(backend, bits.device, op="spike_pack")
    if kernel == "reference":
        flat = unpack_reference(bits, size, layout.dtype)
    else:
        flat = spike_unpack_op(bits, size, layout.dtype, kernel)
    return layout.restore(flat)


# Bits have no gradient: these operators have none either.
@torch.library.custom_op("spikeformer::spike_pack", mutates_args=())
def spike_pack_op(flat: Tensor, backend: str) -> Tensor:
    """Bits of the elements of a contiguous (n,) tensor."""
    return load_kernels("spike_pack", backend).pack(flat)


@spike_pack_op.register_fake
def _(flat: Tensor, backend: str) -> Tensor:
    return flat.new_empty((flat.numel() + 7) // 8, dtype=torch.uint8)


@torch.library.custom_op("spikeformer::spike_unpack", mutates_args=())
def spike_unpack_op(bits: Tensor, size: int, dtype: torch.dtype, backend: str) -> Tensor:
    """Elements, (size,), of their bits."""
    return load_kernels("spike_pack", backend).unpack(bits, size, dtype)


@spike_unpack_op.register_fake
def _(bits: Tensor, size: int, dtype: torch.dtype, backend: str) -> Tensor:
    return bits.new_empty(size, dtype=dtype)


def _check_dtype(argument: str, dtype: torch.dtype) -> None:
    if dtype not in DTYPES:
        names = ", ".join(str(known).removeprefix("torch.") for known in DTYPES)
        raise ArgumentError(argument, dtype, f"one of {names}")
