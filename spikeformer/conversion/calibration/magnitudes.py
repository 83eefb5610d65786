"""How large the activations of each site are, channel by channel, in bounded memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_ROWS = 4096
"""Most values per channel that one call adds; more are thinned out evenly."""


class Magnitudes:
    """Keeps the largest absolute values of every channel.

    Args:
        quantile: Which quantile `thresholds` shall return; 1 is the maximum.
        num_batches: How often each site is expected to be measured.
    """

    def __init__(self, quantile: float = 0.999, num_batches: int = 1) -> None:
        self.quantile, self.num_batches = quantile, num_batches
        self._largest: dict[str, Tensor] = {}
        self._rows: dict[str, int] = {}
        self._axes: dict[str, tuple[int, ...]] = {}

    def add(self, site: str, activation: Tensor, axes: tuple[int, ...]) -> None:
        """Measure an activation whose channels lie along `axes`, counted from the end."""
        values = activation.detach().float()
        kept = [activation.ndim + axis for axis in axes]
        rest = [axis for axis in range(values.ndim) if axis not in kept]
        if self.quantile == 1.0 and rest:
            columns = torch.linalg.vector_norm(values, math.inf, dim=rest).unsqueeze(0)
        else:
            columns = values.abs().permute(*rest, *sorted(kept))
            columns = columns.reshape(-1, *columns.shape[len(rest) :])
        if len(columns) > MAX_ROWS:
            columns = columns[:: math.ceil(len(columns) / MAX_ROWS)]
        before = self._largest.get(site)
        axes = self._axes.setdefault(site, axes)
        if before is not None and (not axes or before.shape[1:] != columns.shape[1:]):
            # An axis holds tokens, whose number changes: one threshold for all of them.
            self._axes[site], before, columns = (), before.flatten(), columns.flatten()
        rows = self._rows.get(site, 0) + len(columns)
        self._rows[site] = rows
        wanted = 1 + math.ceil((1.0 - self.quantile) * max(rows, self.num_batches * len(columns)))
        merged = columns if before is None else torch.cat([before, columns])
        self._largest[site] = merged.topk(min(wanted, len(merged)), dim=0).values

    def threshold(self, site: str, quantile: float | None = None) -> Tensor:
        """Return the quantile of every channel, shaped to broadcast against the activation."""
        rank = round((1.0 - (quantile or self.quantile)) * (self._rows[site] - 1))
        largest = self._largest[site]
        chosen = largest[min(rank, len(largest) - 1)]
        axes = self._axes[site]
        if not axes:
            return chosen
        shape = [1] * -min(axes)
        for size, axis in zip(chosen.shape, sorted(axes), strict=True):
            shape[axis] = size
        return chosen.reshape(shape)

    def sites(self) -> list[str]:
        """Return the names of all sites measured."""
        return list(self._largest)
