"""Published models in one process and in two, side by side, for test_published_models.

Writes, for each model, the gradients of two steps on the joined batch, and those that the two
processes agreed on, each with half of it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from spikeformer.cli import compose
from spikeformer.models import share_batch_norms
from spikeformer.pipeline import build_network

STEPS, SAMPLES = 2, 4


def network(name: str, size: Sequence[str]) -> nn.Module:
    """Make a model of its own configuration, in float64: a spike that rounding flips moves all."""
    config = compose(
        f"model={name}", "data=cifar10", "ops=reference", "neuron.threshold=0.5", *size
    )
    torch.manual_seed(0)
    return build_network(config).double().train()


def gradients(net: nn.Module, share: slice) -> list[dict[str, Tensor | None]]:
    """Return the gradients of each step; the weights change between."""
    found = []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(STEPS):
        random = torch.Generator().manual_seed(step)
        images = torch.rand(SAMPLES, 3, 32, 32, generator=random, dtype=torch.float64)
        labels = torch.randint(10, (SAMPLES,), generator=random)
        optimizer.zero_grad()
        cross_entropy(net(images[share]).mean(dim=1), labels[share]).backward()
        own = net.module if isinstance(net, DistributedDataParallel) else net
        found.append(
            {n: None if p.grad is None else p.grad.clone() for n, p in own.named_parameters()}
        )
        optimizer.step()
    return found


def take_part(rank: int, folder: Path, networks: dict[str, nn.Module]) -> None:
    """Be one of two processes."""
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    share = slice(rank * SAMPLES // 2, (rank + 1) * SAMPLES // 2)
    found = {}
    for name, net in networks.items():
        share_batch_norms(net)
        # Without a search for parameters that a step leaves out: torch then refuses the next step.
        found[name] = gradients(DistributedDataParallel(net), share)
    torch.save(found, folder / f"rank{rank}.pt")
    dist.destroy_process_group()


def train_all(folder: Path, models: dict[str, Sequence[str]]) -> None:
    """Train all models, each of the size that its overrides say."""
    networks = {name: network(name, size) for name, size in models.items()}
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=take_part, args=(rank, folder, networks)) for rank in (0, 1)]
    for rank in ranks:
        rank.start()
    torch.save({n: gradients(net, slice(None)) for n, net in networks.items()}, folder / "alone.pt")
    for rank in ranks:
        rank.join()
    assert not any(rank.exitcode for rank in ranks), [rank.exitcode for rank in ranks]
