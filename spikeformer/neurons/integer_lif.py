"""Integer LIF: integer spike counts while training, unit spikes when running."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor

from spikeformer.error_handling import check_choice, check_positive_int
from spikeformer.neurons.base import decay_of
from spikeformer.neurons.fused import FusedNeuron
from spikeformer.ops import BACKENDS
from spikeformer.ops.lif import LifArguments


class IntegerLifNeuron(FusedNeuron):
    r"""LIF neuron that may fire up to `max_spikes` times in one timestep.

    With `beta = exp(-dt / tau_mem)` and theta the threshold::

        u[t] = beta * v[t-1] + I[t]
        n[t] = round(clip(u[t] / theta, 0, D))
        v[t] = u[t] - theta * n[t]

    Ties are rounded to the even number. The output is `n[t] / D`, so that it stays in [0, 1];
    `unit_spikes` unrolls it to D binary timesteps whose mean is the same. Backward passes the
    gradient where `0 <= u / theta <= D` and blocks it elsewhere.

    Args:
        threshold: Membrane potential of one spike; above 0.
        tau_mem: Membrane time constant in ms; above 0.
        max_spikes: D, the largest number of spikes in one timestep.
        check_finite: Refuse NaN and Inf currents.
        backend: Kernel: "auto", "reference", "cpu" or "triton".

    Source: Luo et al., *Integer-Valued Training and Spike-Driven Inference*, ECCV 2024,
    arXiv:2407.20708; normalised output: Yao et al., 2025, doi:10.1109/TPAMI.2025.3530246.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        tau_mem: float = 20.0,
        max_spikes: int = 4,
        *,
        check_finite: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__(threshold, check_finite=check_finite)
        self.tau_mem = tau_mem
        self.decay = decay_of("tau_mem", tau_mem)
        self.max_spikes = check_positive_int("max_spikes", max_spikes)
        self.backend = check_choice("backend", backend, BACKENDS)

    @property
    def fires_integers(self) -> bool:
        """Whether spikes are fractions n / D that stand for n unit spikes of a timestep: yes."""
        return True

    def _lif_arguments(self) -> LifArguments:
        return {
            "decay": self.decay,
            "threshold": self.threshold,
            "reset": "subtract",
            "detach_reset": False,
            "surrogate": "fast_sigmoid",  # not used: the gradient passes through the rounding
            "slope": None,
            "adaptation_decay": None,
            "adaptation_strength": 0.0,
            "max_spikes": self.max_spikes,
            "backend": self.backend,
        }

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"threshold={self.threshold}, tau_mem={self.tau_mem}, max_spikes={self.max_spikes}"


def is_integer(module: object) -> TypeGuard[IntegerLifNeuron]:
    """Whether a module is an integer LIF neuron whose spikes are fractions of `max_spikes`."""
    return isinstance(module, IntegerLifNeuron) and module.fires_integers


def unit_spikes(spikes: Tensor, max_spikes: int) -> Tensor:
    """Unroll integer spikes to binary ones, `max_spikes` timesteps for each.

    Args:
        spikes: Output of `IntegerLifNeuron`, shape (batch, timesteps, *features), in [0, 1].
        max_spikes: D, as given to the neuron.

    Returns:
        Binary tensor of shape (batch, timesteps * max_spikes, *features). Its sum over each group
        of `max_spikes` timesteps is `spikes * max_spikes`, so any linear layer gives the same
        total current.
    """
    counts = (spikes * max_spikes).round().unsqueeze(2)
    level = torch.arange(max_spikes, device=spikes.device, dtype=spikes.dtype)
    fires = counts > level.view(1, 1, -1, *[1] * (spikes.ndim - 2))
    return fires.to(spikes.dtype).flatten(1, 2)
