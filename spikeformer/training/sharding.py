"""Fully sharded data parallel: every process keeps a part of each block's weights."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn

from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t
from spikeformer.models import SpikingBlock


class ShardedStrategy(ModelParallelStrategy):
    """Shards weights, gradients and optimizer states over all processes (FSDP2).

    For networks that do not fit on one GPU. A checkpoint is one file with whole tensors, so that
    a run resumes with another number of processes. Runs on CPUs too.

    Args:
        **options: Further arguments of `lightning.pytorch.strategies.ModelParallelStrategy`.

    Source: Zhao et al., *PyTorch FSDP*, VLDB 2023, arXiv:2304.11277.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False, **options)

    @property
    def shares_norms(self) -> bool:
        """Whether batch norms take their statistics over all processes."""
        return self._layer_sync is not None

    def setup_environment(self) -> None:
        """Make the mesh as wide as there are processes."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> Any:
        """Load a checkpoint that a sharded run wrote, of any number of processes.

        Raises:
            ConfigurationError: It was written without sharding: optimizer states are in another
                order there.
        """
        known = torch.load(checkpoint_path, map_location="cpu", mmap=True, weights_only=True)
        if not known.get("sharded", False):
            raise ConfigurationError(t("training.not_sharded", path=checkpoint_path))
        return super().load_checkpoint(checkpoint_path, weights_only)

    def _determine_device_ids(self) -> list[int]:
        return [] if self.root_device.index is None else [self.root_device.index]


def shard(net: nn.Module, mesh: Any) -> None:
    """Shard each block, then what lies around them, over the processes of `mesh`."""
    from torch.distributed.fsdp import fully_shard

    # FSDP takes no channels-last weights.
    net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in net.modules():
        if isinstance(module, SpikingBlock):
            fully_shard(module, mesh=mesh)
    fully_shard(net, mesh=mesh)


def is_sharded(net: nn.Module) -> bool:
    """Whether the weights of `net` lie in several processes."""
    from torch.distributed.tensor import DTensor

    return any(isinstance(p, DTensor) for p in net.parameters())
