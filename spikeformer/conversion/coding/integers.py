"""Linear layers on events in integers, for CPUs that multiply bytes (VNNI).

With up to eight levels an event of channel `k` is `n θ_k / 128` for an integer `n`, which is 0
or `± 2^i`, `i < 8`. A layer can therefore add events up instead of multiplying rates,

    y_t = y_{t-1} + W s_t / t = y_{t-1} + Σ_p 256^p c / t · (W_p n_t),        y_0 = b

where `W θ / 128` is written as 24-bit numbers `Σ_p 256^p W_p` of three signed bytes, in units `c`
of an output channel. Sums of products of bytes are exact in 32 bits, so that three parts are as
near to the layer as float32 comes itself, and take less time than a product in float32.

Events after the first timestep are small corrections; their product with the last part, at most
`2^-16` of the largest weight, is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from spikeformer.conversion.coding.coding import Coding
from spikeformer.ops.byte_products import has_products, pack_linear, split

LEVELS = 8
"""Most levels whose multiples fit into a byte."""

ZERO, FULL = 128, 255
"""How a byte writes no event, and an event of the largest level: 128 more would be one too many."""

EXACT_STEPS = 1
"""First timesteps whose events are multiplied with all parts of the weights."""

MIN_PRODUCTS = 1 << 23
"""Products of a timestep below which calls cost more than integers save."""

_BATCH = 64


def takes(coding: Coding) -> bool:
    """Whether events are whole multiples that fit into bytes, and the CPU multiplies those."""
    fits = coding.encoding == "rate" and coding.mantissa == 0 and coding.levels <= LEVELS
    return fits and has_products() and bool(torch.cpu._is_vnni_supported())


class PackedWeight(NamedTuple):
    """Weights in three parts of a byte.

    Attributes:
        parts: The parts in the layout of oneDNN, the highest first.
        units: What 1 in each of them stands for, (outputs,).
        zeros: Zeros, (outputs,) int64.
    """

    parts: tuple[Tensor, ...]
    units: tuple[Tensor, ...]
    zeros: Tensor

    @classmethod
    def of(cls, weight: Tensor, theta: Tensor) -> PackedWeight:
        """Pack a weight, (outputs, inputs), for events with these largest levels, (inputs,)."""
        split_up, _ = split(weight * (theta / 128))
        parts = [pack_linear(*part) for part in split_up]
        units = [unit for _, unit in split_up]
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        return cls(tuple(parts[::-1]), tuple(units[::-1]), zeros)

    def accumulate(self, events: Tensor, before: Tensor, first_step: int) -> Tensor:
        """Return what events have added up to after each timestep.

        Args:
            events: Multiples of the smallest level with `ZERO` added, (steps, rows, inputs) uint8.
            before: What there was before them, broadcast to (rows, outputs).
            first_step: Number of the first timestep.

        Returns:
            (steps, rows, outputs) float32.
        """
        flat = events.flatten(0, 1)
        products = self._product(flat, ZERO, 0)
        self._product(flat, ZERO, 1, products)
        exact = events[: max(0, EXACT_STEPS + 1 - first_step)].flatten(0, 1)
        if len(exact):
            self._product(exact, ZERO, 2, products[: len(exact)])
        self._add_missing(products, flat)
        sums = products.view(*events.shape[:2], -1)
        for step, total in enumerate(sums, start=first_step):
            before = torch.add(before, total, alpha=1.0 / step, out=total)
        return sums

    def _product(self, events: Tensor, zero: int, part: int, total: Tensor | None = None) -> Tensor:
        """Return the product of events with one part, added to `total` in place."""
        weights = (1.0, zero, self.parts[part], self.units[part], self.zeros)
        plain = (1.0, 0, torch.float32)
        rest: tuple[str, list[float], str] = ("none", [], "")
        multiply = torch.ops.onednn.qlinear_pointwise
        if total is None:
            product: Tensor = multiply(events, *weights, None, *plain, *rest)
            return product
        multiply.binary(events, *weights, total, None, *plain, 1.0, 0, "sum", 1.0, *rest)
        return total

    def _add_missing(self, total: Tensor, events: Tensor) -> None:
        """Add the 1 of 128 that a byte could not hold; for so little two parts will do."""
        rows = torch.from_numpy((events.numpy().max(axis=1) == FULL).nonzero()[0])
        if not len(rows):
            return
        # Few sizes, since oneDNN makes code for each.
        size = -(-len(rows) // _BATCH) * _BATCH
        missing = events.new_zeros(size, events.shape[1])
        missing[: len(rows)] = events[rows] == FULL
        products = self._product(missing, 0, 1, self._product(missing, 0, 0))
        total.index_add_(0, rows, products[: len(rows)])


class PackedWeights:
    """Keeps the packed weights of a network's layers, three bytes a weight.

    A weight or threshold that has changed is packed anew. Copies of a network start without.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[object, ...], tuple[Tensor, Tensor], PackedWeight]] = {}

    def __reduce__(self) -> tuple[type[PackedWeights], tuple[()]]:
        return PackedWeights, ()

    def get(self, operation: str, weight: Tensor, theta: Tensor) -> PackedWeight:
        """Return the packed weight of an operation.

        Args:
            operation: Name of the operation.
            weight: (outputs, inputs) float32.
            theta: Largest levels of its input, (inputs,) or one for all.
        """
        state = (weight.data_ptr(), weight._version, theta.data_ptr(), theta._version)
        kept = self._kept.get(operation)
        if kept is None or kept[0] != state:
            packed = PackedWeight.of(weight.detach(), theta.float().expand(weight.shape[1]))
            # The tensors are held too, so that no other one comes to lie where they do.
            kept = self._kept[operation] = state, (weight, theta), packed
        return kept[2]
