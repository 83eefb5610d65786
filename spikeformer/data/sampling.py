"""Orders and seeds that depend on what is asked for, never on what ran before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DistributedSampler

from spikeformer.error_handling import ArgumentError


def derive_seed(*parts: int) -> int:
    """Mix several non-negative integers into one seed of 63 bits.

    Neighbouring inputs give unrelated seeds (`numpy.random.SeedSequence`), so that
    `(seed, epoch)` pairs do not repeat each other's streams as `seed + epoch` would.

    Example:
        >>> derive_seed(0, 1) == derive_seed(0, 1), derive_seed(0, 1) == derive_seed(1, 0)
        (True, False)
    """
    state = np.random.SeedSequence(parts).generate_state(1, np.uint64)
    return int(state[0]) >> 1


class EpochSampler(DistributedSampler[int]):
    """A random permutation that is a function of `(seed, epoch)` alone, shared out to processes.

    Lightning calls `set_epoch` before each training epoch. A run resumed at epoch e therefore
    sees the order that the uninterrupted run saw. Being a `DistributedSampler`, it is not
    wrapped in another one, which would shuffle again by an epoch that a resumed run's loader
    workers learn too late.

    Args:
        length: Number of samples to permute.
        seed: Chooses the family of permutations.
        num_replicas: Processes that share the samples; the first samples are repeated where
            they do not divide evenly.
        rank: Number of this process.

    Raises:
        ArgumentError: The seed is negative.

    Example:
        >>> sampler = EpochSampler(4, seed=0)
        >>> first = list(sampler)
        >>> sampler.set_epoch(1)
        >>> sampler.set_epoch(0)
        >>> list(sampler) == first
        True
    """

    def __init__(self, length: int, seed: int = 0, num_replicas: int = 1, rank: int = 0) -> None:
        if seed < 0:
            raise ArgumentError("seed", seed, "an integer of at least 0")
        super().__init__(range(length), num_replicas, rank, shuffle=True, seed=seed)  # type: ignore[arg-type]
        self.length = length
        self._skipped = (0, 0)
        self._begun: int | None = None

    @property
    def is_stale(self) -> bool:
        """Whether the order begun last is that of another epoch than the present one."""
        return self._begun not in (None, self.epoch)

    def skip(self, samples: int) -> None:
        """Leave out the first samples that this process would get in the present epoch."""
        self._skipped = (self.epoch, samples)

    def __iter__(self) -> Iterator[int]:
        self._begun = self.epoch
        epoch, samples = self._skipped
        first = self.rank + self.num_replicas * (samples if epoch == self.epoch else 0)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch))
        order = torch.randperm(self.length, generator=generator).tolist()
        yield from (
            order[position % self.length]
            for position in range(first, self.total_size, self.num_replicas)
        )
