"""Recordings longer than a network's timesteps, part by part, with the neurons' state kept."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.error_handling import ArgumentError
from spikeformer.instrument import copy_network, uncompiled
from spikeformer.models.delays import DelayLinear
from spikeformer.models.rate_proxy import declared_timesteps, without_hooks
from spikeformer.neurons import SpikingNeuron
from spikeformer.ops import LifState


class Stream:
    """Runs a network on a recording that comes in parts of T timesteps, one after the other.

    Every neuron goes on from the state in which the last part left it, and synapses with delays
    from the spikes that are under way, so that the outputs are
    those of a network of as many timesteps as the whole recording has. This holds for networks
    whose layers between neurons see one timestep at a time, in evaluation mode, as those of
    `spikeformer.models` do. Parameters are those of `net`, which is not changed.

    Args:
        net: A network whose data bring a time axis, (batch, timesteps, ...).
        timesteps: T; None reads it from the network's layers.

    Raises:
        ArgumentError: The network repeats or encodes values that have no time, or nothing tells T.

    Example:
        >>> from spikeformer.encoding import EventCoding
        >>> from spikeformer.neurons import LifNeuron
        >>> net = nn.Sequential(EventCoding(2), LifNeuron(threshold=2.5))
        >>> recording = torch.ones(1, 6, 1)
        >>> Stream(net).run(recording).flatten().tolist()
        [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """

    def __init__(self, net: nn.Module, timesteps: int | None = None) -> None:
        timesteps = declared_timesteps(net) if timesteps is None else timesteps
        if timesteps is None:
            expected = "given, since no layer of the network has them"
            raise ArgumentError("timesteps", None, expected)
        self.timesteps = timesteps
        shared: dict[int, Any] = {id(x): x for x in (*net.parameters(), *net.buffers())}
        self._net = uncompiled(without_hooks(copy_network(net, shared))).eval()
        self._states: dict[tuple[str, int], LifState] = {}
        self._histories: dict[tuple[str, int], Tensor] = {}
        self._calls: Counter[str] = Counter()
        for path, module in self._net.named_modules():
            if isinstance(module, SpikeEncoder) and not module.temporal:
                expected = "a network with encoding=events or encoding=frames"
                raise ArgumentError("net", f"{path}: {type(module).__name__}", expected)
            if isinstance(module, SpikingNeuron):
                forward = partial(self._go_on, path, module.forward)
                # `dynamics` of None keeps ops from computing the neuron without calling it.
                vars(module).update(forward=forward, dynamics=lambda: None)
            if isinstance(module, DelayLinear):
                vars(module)["forward"] = partial(self._remember, path, module.forward)

    def reset(self) -> None:
        """Let the next part be the first of another recording."""
        self._states.clear()
        self._histories.clear()

    def __call__(self, part: Tensor) -> Tensor:
        """Return the network's outputs for the next T timesteps, (batch, timesteps, ...).

        Args:
            part: (batch, timesteps, ...), the batch as before.

        Raises:
            SpikingDynamicsError: It has another shape.
        """
        self._calls.clear()
        with torch.no_grad():
            outputs: Tensor = self._net(part)
        return outputs

    def run(self, recording: Tensor) -> Tensor:
        """Return the outputs for a whole recording, from rest, and rest again behind it.

        Args:
            recording: (batch, steps, ...), of any number of steps.

        Returns:
            (batch, steps, ...).
        """
        if recording.ndim < 2 or not recording.shape[1]:
            raise ArgumentError("recording", tuple(recording.shape), "(batch, steps, ...)")
        self.reset()
        parts = []
        for part in torch.split(recording, self.timesteps, dim=1):
            missing = self.timesteps - part.shape[1]
            # What comes later changes nothing before it.
            padding = part.new_zeros(part.shape[0], missing, *part.shape[2:])
            parts.append(self(torch.cat([part, padding], dim=1))[:, : part.shape[1]])
        self.reset()
        return torch.cat(parts, dim=1)

    def _place(self, path: str) -> tuple[str, int]:
        self._calls[path] += 1
        return path, self._calls[path]

    def _remember(self, path: str, forward: Any, spikes: Tensor) -> Tensor:
        place = self._place(path)
        before = self._histories.get(place)
        if before is None:
            layer: DelayLinear = forward.__self__
            before = layer.initial_history(spikes)
        currents: Tensor
        currents, self._histories[place] = forward(spikes, before)
        return currents

    def _go_on(
        self, path: str, forward: Any, current: Tensor, state: None = None, **options: Any
    ) -> Tensor:
        if state is not None:
            raise ArgumentError("state", path, "none: a stream keeps the states itself")
        place = self._place(path)
        before = self._states.get(place)
        if before is None:
            module: SpikingNeuron = forward.__self__
            before = module.initial_state(current)
        spikes: Tensor
        spikes, self._states[place] = forward(current, before, **options)
        return spikes
