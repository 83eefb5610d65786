"""The caches that a run uses, and what they did for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from spikeformer.caching import Caches, CacheStats, configure_caches, content_key
from spikeformer.config import instantiate
from spikeformer.hardware import Reference, Samples, record_reference


@dataclass
class RunCaches:
    """The process's shared caches, counted from the moment this run got them.

    Attributes:
        shared: The caches.
        before: What they had been asked by then, in a sweep by the runs before.
    """

    shared: Caches
    before: CacheStats = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.shared.stats

    @property
    def stats(self) -> CacheStats:
        """What this run asked."""
        return self.shared.stats - self.before

    def to_dict(self) -> dict[str, Any]:
        """Return the counts and the hit rate, ready for JSON."""
        stats = self.stats
        return {**asdict(stats), "hit_rate": stats.hit_rate, "summary": str(stats)}


def make_caches(config: DictConfig) -> RunCaches | None:
    """Return the caches that the group `cache` describes, if any."""
    shared: Caches | None = instantiate(
        config.cache or None, configure_caches, trusted=config.trusted_packages
    )
    return None if shared is None else RunCaches(shared)


def reference_of(
    caches: RunCaches | None, net: nn.Module, samples: Samples, dtype: torch.dtype = torch.float64
) -> Reference:
    """Return all spikes of a network, which the stages that bring it to a chip ask for in turn."""
    if caches is None:
        return record_reference(net, samples, dtype=dtype)
    fields = caches.shared.computations.get_or_compute(
        content_key(record_reference, net, samples, dtype, torch.__version__),
        lambda: vars(record_reference(net, samples, dtype=dtype)),
    )
    return Reference(**fields)
