"""Copies of a network that work side by side, each on its device and its thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from spikeformer.concurrency.worker import Worker
from spikeformer.config import ConcurrencyConfig
from spikeformer.cross_platform import get_platform_info
from spikeformer.data.batch import device_of, to_device
from spikeformer.error_handling import ConcurrencyError
from spikeformer.instrument import copy_network


@dataclass(eq=False)
class Replica:
    """One copy of the network and its worker.

    Attributes:
        model: The copy, ready for inference.
        device: Where inputs go.
        busy: Batches that it has or will have.
        hangs: Whether its last batch has taken too long and is not done yet.
        worker: Runs one batch at a time.
    """

    model: nn.Module
    device: torch.device
    busy: int = 0
    hangs: bool = False
    worker: Worker = field(default_factory=lambda: Worker("inference"))


def make_replicas(
    model: nn.Module, config: ConcurrencyConfig, devices: Sequence[torch.device] | None
) -> list[Replica]:
    """Return the workers that a configuration asks for.

    Data parallelism gives each device a worker, and a CPU as many as it has cores for the threads
    that torch uses in each; at most `max_workers`. Without it there is one. With model parallelism
    each copy of the network is spread over all devices, and several workers keep all of them busy.

    Args:
        model: The network; copies share its weights where they lie on its device.
        config: How many workers of which kind.
        devices: Where to work; None takes the network's device, or all GPUs if it lies on one.

    Raises:
        ConcurrencyError: Model parallelism is asked for, but there is one device.
    """
    places = list(devices) if devices is not None else _default_devices(model)
    if config.enable_model_parallelism:
        if len(places) < 2:
            raise ConcurrencyError(
                f"enable_model_parallelism=True spreads a network over devices, but there is one: "
                f"{places[0]}. Set it to False, or pass devices=[...]."
            )
        workers = min(config.max_workers, len(places)) if config.enable_data_parallelism else 1
        spread = _spread(model, places)
        return [Replica(spread, places[0]) for _ in range(workers)]
    workers = min(config.max_workers, len(places)) if config.enable_data_parallelism else 1
    return [Replica(_copy(model, place), place) for place in places[:workers]]


def _default_devices(model: nn.Module) -> list[torch.device]:
    device = device_of(model)
    if device.type == "cuda":
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if device.type != "cpu":
        return [device]
    return [device] * max(1, get_platform_info().cores // torch.get_num_threads())


def _copy(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy with modules of its own, so that no hidden state is shared between threads."""
    tensors = [*model.parameters(), *model.buffers()]
    shared: dict[int, Any] = {id(x): x for x in tensors if x.device == device}
    return copy_network(model, shared).to(device).eval()


def _spread(model: nn.Module, devices: Sequence[torch.device]) -> nn.Module:
    """Return a copy whose layers with weights lie on the devices in order, in equal shares."""
    spread = copy_network(model).eval()
    layers = [m for m in spread.modules() if any(True for _ in m.parameters(recurse=False))]
    sizes = [sum(p.numel() for p in m.parameters(recurse=False)) for m in layers]
    total, before = sum(sizes), 0
    for layer, size in zip(layers, sizes, strict=True):
        place = devices[min(before * len(devices) // max(total, 1), len(devices) - 1)]
        before += size
        layer.to(place)
    for module in spread.modules():
        own = next(module.parameters(recurse=False), None)
        if own is not None:
            module.register_forward_pre_hook(_mover(own.device), with_kwargs=True)
    return spread


def _mover(device: torch.device) -> Any:
    """Return a hook that brings a layer's inputs to its weights."""

    def move(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        return to_device(args, device), to_device(kwargs, device)

    return move
