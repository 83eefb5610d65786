"""Neurons as other libraries have them: their qualified names, their calls, their states."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def library(module: str):
    """Put a class where a library has it."""

    def move(cls: type) -> type:
        cls.__module__ = module
        return cls

    return move


def fire(membrane: Tensor) -> Tensor:
    return (membrane >= 1).float()


@library("spikingjelly.activation_based.neuron.base_node")
class BaseNode(nn.Module):
    """SpikingJelly: single-step or multi-step, remembers its membrane until it is reset."""

    def __init__(self, step_mode: str = "s") -> None:
        super().__init__()
        self.step_mode, self._memories = step_mode, {"v": 0.0}

    def reset(self) -> None:
        self._memories["v"] = 0.0

    def step(self, x: Tensor) -> Tensor:
        v = 0.5 * self._memories["v"] + x
        spikes = fire(v)
        self._memories["v"] = v * (1 - spikes)
        return spikes

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x) if self.step_mode == "s" else torch.stack(list(map(self.step, x)))


class MyNode(BaseNode):
    """A user's own, made from the library's."""


@library("spikingjelly.activation_based.neuron.lif")
class NonSpikingLIFNode(BaseNode):
    """SpikingJelly's readout."""

    def step(self, x: Tensor) -> Tensor:
        self._memories["v"] = 0.5 * self._memories["v"] + x
        return self._memories["v"]


@library("snntorch._neurons.neurons")
class SpikingNeuron(nn.Module):
    """snnTorch's base."""


@library("snntorch._neurons.synaptic")
class Synaptic(SpikingNeuron):
    """snnTorch: (spikes, current, membrane), or the spikes alone if it keeps the states."""

    def __init__(self, init_hidden: bool = False) -> None:
        super().__init__()
        self.init_hidden = init_hidden
        self.syn = self.mem = torch.zeros(0)

    def reset(self) -> tuple[Tensor, Tensor]:
        self.syn, self.mem = torch.zeros_like(self.syn), torch.zeros_like(self.mem)
        return self.syn, self.mem

    def forward(self, x: Tensor, syn=None, mem=None):
        if mem is not None:
            self.syn, self.mem = syn, mem
        if self.mem.shape != x.shape:
            self.syn = self.mem = torch.zeros_like(x)
        self.syn = 0.5 * self.syn + x
        self.mem = 0.5 * self.mem + self.syn
        spikes = fire(self.mem)
        return spikes if self.init_hidden else (spikes, self.syn, self.mem)


@library("norse.torch.module.snn")
class SNNCell(nn.Module):
    """Norse: one timestep, state handed in and out."""

    def forward(self, x: Tensor, state=None):
        v = x if state is None else 0.5 * state[0] + x
        return fire(v), (v,)


@library("norse.torch.module.snn")
class SNN(nn.Module):
    """Norse: (timesteps, batch, *features)."""

    def forward(self, x: Tensor, state=None):
        spikes, cell = [], SNNCell()
        for step in x:
            fired, state = cell.forward(step, state)
            spikes.append(fired)
        return torch.stack(spikes), state


@library("norse.torch.module.leaky_integrator")
class LI(SNN):
    """Norse's readout."""

    def forward(self, x: Tensor, state=None):
        return x.cumsum(0), (x.sum(0),)


@library("sinabs.layers.stateful_layer")
class StatefulLayer(nn.Module):
    """sinabs: (batch, timesteps, *features)."""

    does_spike = True

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("v_mem", torch.zeros(0))

    def forward(self, x: Tensor) -> Tensor:
        self.v_mem = x.sum(1)
        return fire(x)


@library("sinabs.layers.iaf")
class IAFSqueeze(StatefulLayer):
    """sinabs: samples and timesteps as one axis."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size, self.num_timesteps = batch_size, -1

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(self.batch_size, -1, *x.shape[1:])).flatten(0, 1)
