"""The leaky integrate-and-fire neuron that learns its leak."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.neurons.base import DT_MS
from spikeformer.neurons.lif import LifNeuron


class ParametricLifNeuron(LifNeuron):
    r"""LIF neuron (PLIF) whose decay `beta = sigmoid(w)` is learned, one `w` a layer.

    Args:
        threshold: Membrane potential at which a neuron fires; above 0.
        tau_mem: Membrane time constant in ms from which learning starts; above 0.
        **kwargs: The remaining arguments of `LifNeuron`.

    Source: Fang et al., *Incorporating Learnable Membrane Time Constant*, ICCV 2021,
    arXiv:2007.05785.
    """

    def __init__(self, threshold: float = 1.0, tau_mem: float = 20.0, **kwargs: Any) -> None:
        super().__init__(threshold, tau_mem, **kwargs)
        # logit(beta) = -log(exp(x) - 1), in a form that neither overflows for short time constants
        # nor loses digits for long ones.
        x = DT_MS / tau_mem
        self.decay_logit = nn.Parameter(torch.tensor(-x - math.log(-math.expm1(-x))))

    @property
    def decay(self) -> Tensor:
        """The factor `beta` by which the membrane shrinks in one timestep, as learned so far."""
        return self.decay_logit.sigmoid()

    @property
    def learned_tau_mem(self) -> float:
        """The membrane time constant learned so far, in ms."""
        return -DT_MS / float(nn.functional.logsigmoid(self.decay_logit.detach()))
