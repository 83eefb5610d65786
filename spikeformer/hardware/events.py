"""The events of a converted network in PyTorch, in the form in which targets record theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from spikeformer.conversion import SpikingModel
from spikeformer.conversion.coding.neuron import Fired
from spikeformer.hardware.ir.graph import Array
from spikeformer.hardware.lowering.converted import main_output
from spikeformer.instrument import Function, FunctionStream, copy_network


class EventRecorder:
    """Keeps the events of every population of one call; an `ExecutionRecorder`.

    Args:
        units: Smallest event of each site, which broadcasts against its activation.

    Attributes:
        events: Multiples of the smallest event, int32 (timesteps, batch, ...), by population.
    """

    def __init__(self, units: Mapping[str, Tensor]) -> None:
        self.units, self.events = units, dict[str, list[Tensor]]()
        self._calls: Counter[tuple[str, int]] = Counter()
        self._before: dict[str, Tensor] = {}

    def on_fire(self, site: str, first_step: int, fired: Fired) -> None:
        """Take the events out of the rates that receivers have after each timestep."""
        self._calls[site, first_step] += 1
        turn = self._calls[site, first_step]
        name = site if turn == 1 else f"{site}_{turn}"
        before = self._before.get(name, torch.zeros_like(fired.rates[0]))
        rates = torch.cat([before[None], fired.rates])
        steps = torch.arange(first_step, first_step + len(fired.rates))
        steps = steps.reshape(-1, *[1] * before.ndim)
        sent = (rates[1:] - rates[:-1]) * steps / self.units[site]
        self.events.setdefault(name, []).append(sent.round().to(torch.int32))
        self._before[name] = fired.rates[-1]

    def on_operation(self, *args: Any) -> None:
        """Products have no events of their own."""

    def on_evaluation(self, *args: Any) -> None:
        """Nor have functions."""


def record_events(
    model: SpikingModel, parts: list[Mapping[str, Tensor]], dtype: torch.dtype
) -> tuple[dict[str, Array], Array]:
    """Run a converted network and return events by population and outputs of the last timestep.

    In float64 everything is, also what the network itself would cast to float32.

    Args:
        model: The network; it is not changed.
        parts: Batches of keyword arguments, or of one called "input".
        dtype: Precision in which the network runs.

    Returns:
        Events, int32 (samples, timesteps, size), and outputs, (samples, ...).
    """
    net = copy_network(model)
    assert isinstance(net, SpikingModel)
    net.cpu().to(dtype).eval()
    net.confidence = None  # the chip runs all timesteps
    net.integers = False
    largest = 1 << (net.coding.levels - 1 + net.coding.mantissa)
    units = {name: theta / largest for name, theta in net.thresholds.by_site().items()}
    found: dict[str, list[Array]] = {}
    outputs = []
    waiting = list(reversed(parts))
    while waiting:
        part = waiting.pop()
        given = tree_map(lambda x: x.to(dtype) if x.is_floating_point() else x, dict(part))
        recorder = EventRecorder(units)
        with torch.no_grad(), net.recording(recorder), FunctionStream(_keeping(dtype)):
            output = net(given["input"]) if given.keys() == {"input"} else net(**given)
        samples = len(next(iter(part.values())))
        events = {name: torch.cat(chunks) for name, chunks in recorder.events.items()}
        if samples > 1 and any(x.shape[1] != samples for x in events.values()):
            # Somewhere the samples do not lie along the first axis: one at a time.
            each = [{name: x[i : i + 1] for name, x in part.items()} for i in range(samples)]
            waiting += reversed(each)
            continue
        outputs.append(main_output(output).numpy())
        for name, x in events.items():
            first = x.movedim(1, 0) if samples > 1 else x[None]
            found.setdefault(name, []).append(first.flatten(2).numpy())
    return {name: np.concatenate(arrays) for name, arrays in found.items()}, np.concatenate(outputs)


def _keeping(dtype: torch.dtype) -> Callable[[Function, tuple[Any, ...], dict[str, Any]], Any]:
    """Return what runs functions without casts to float32, for a network in float64."""

    def run(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if dtype != torch.float64:
            return function(*args, **kwargs)
        if function is Tensor.float:
            return args[0].double()
        args = tuple(dtype if x is torch.float32 else x for x in args)
        kwargs = {key: dtype if x is torch.float32 else x for key, x in kwargs.items()}
        return function(*args, **kwargs)

    return run
