"""Which workers a configuration asks for, and that copies compute what the network does."""

from __future__ import annotations

import asyncio

import pytest
import torch
from torch import nn

from spikeformer.concurrency import (
    AsyncSpikingInference,
    ConcurrencyConfig,
    ConcurrencyError,
    make_replicas,
    replicas,
)
from tests.cross_platform.trees import platform
from tests.validation.networks import vit

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("cores", "threads", "most", "parallel", "workers"),
    [
        (8, 1, 4, True, 4),
        (8, 1, 16, True, 8),
        (8, 4, 16, True, 2),
        (2, 8, 4, True, 1),
        (8, 1, 4, False, 1),
    ],
)
def test_make_replicas_cpu_gets_as_many_workers_as_it_has_cores_to_spare(
    monkeypatch, cores, threads, most, parallel, workers
):
    monkeypatch.setattr(replicas, "get_platform_info", lambda: platform(cores=cores))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    config = ConcurrencyConfig(max_workers=most, enable_data_parallelism=parallel)
    assert len(make_replicas(nn.Linear(2, 2), config, None)) == workers


def test_make_replicas_copies_share_weights_and_no_modules():
    net = vit().train()
    config = ConcurrencyConfig(max_workers=2)
    first, second = (r.model for r in make_replicas(net, config, [CPU, CPU]))
    for mine, other, original in zip(
        first.parameters(), second.parameters(), net.parameters(), strict=True
    ):
        assert mine.data_ptr() == other.data_ptr() == original.data_ptr()
    assert not {id(m) for m in first.modules()} & {id(m) for m in second.modules()}
    assert net.training
    assert not first.training


def test_make_replicas_one_network_over_several_devices():
    net, x = vit().eval(), torch.rand(3, 1, 8, 8)
    config = ConcurrencyConfig(max_workers=4, enable_model_parallelism=True)
    workers = make_replicas(net, config, [CPU, CPU])
    assert len(workers) == 2
    assert workers[0].model is workers[1].model
    with torch.no_grad():
        torch.testing.assert_close(workers[0].model(x), net(x))
    config = ConcurrencyConfig(enable_model_parallelism=True, enable_data_parallelism=False)
    assert len(make_replicas(net, config, [CPU, CPU])) == 1


def test_make_replicas_layers_are_shared_out_evenly_and_their_inputs_follow():
    meta = torch.device("meta")
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(4)))
    config = ConcurrencyConfig(enable_model_parallelism=True)
    model = make_replicas(net, config, [CPU, meta])[0].model
    assert [layer.weight.device.type for layer in model] == ["cpu", "cpu", "meta", "meta"]
    assert model(torch.rand(2, 4)).device == meta
    assert all(p.device == CPU for p in net.parameters())


def test_make_replicas_one_device_is_not_enough_to_spread_a_network():
    with pytest.raises(ConcurrencyError, match="there is one: cpu"):
        make_replicas(vit(), ConcurrencyConfig(enable_model_parallelism=True), [CPU])


def test_make_replicas_spiking_network_computes_what_the_network_does_alone():
    net, images = vit().eval(), torch.rand(40, 1, 8, 8)
    with torch.no_grad():
        expected = net(images)

    async def scenario():
        config = ConcurrencyConfig(max_workers=2, batch_size_per_worker=8)
        async with AsyncSpikingInference(net, config, devices=["cpu", "cpu"]) as engine:
            names = [await engine.submit_inference(image[None]) for image in images]
            return torch.cat([await engine.get_result(name) for name in names])

    torch.testing.assert_close(asyncio.run(scenario()), expected)
