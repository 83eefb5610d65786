"""Weights that lie in several processes: how a network is taken apart, and what is refused."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule

from spikeformer.error_handling import ConfigurationError
from spikeformer.models import SpikingBlock
from spikeformer.training import ShardedStrategy
from spikeformer.training.sharding import is_sharded, shard
from tests.hardware.networks import images, vit


@pytest.fixture
def mesh():
    """A mesh of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@torch.no_grad()
def test_shard_takes_each_block_apart_and_keeps_the_outputs(mesh):
    net, samples = vit(blocks=2), images(3)
    expected = net(samples)
    assert not is_sharded(net)
    shard(net, mesh)
    assert is_sharded(net)
    apart = {path for path, module in net.named_modules() if isinstance(module, FSDPModule)}
    blocks = {path for path, module in net.named_modules() if isinstance(module, SpikingBlock)}
    assert len(blocks) == 2
    assert apart == blocks | {""}
    torch.testing.assert_close(net(samples), expected)


def test_sharded_strategy_refuses_a_checkpoint_written_without_sharding(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": nn.Linear(2, 2).state_dict()}, path)
    with pytest.raises(ConfigurationError, match=r"last\.ckpt"):
        ShardedStrategy().load_checkpoint(path)
