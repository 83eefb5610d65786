"""The leaky integrate-and-fire neuron."""

from __future__ import annotations

from torch import Tensor

from spikeformer.error_handling import check_choice
from spikeformer.neurons.base import decay_of
from spikeformer.neurons.fused import FusedNeuron
from spikeformer.ops import BACKENDS, SURROGATES
from spikeformer.ops.lif import RESETS, LifArguments


class LifNeuron(FusedNeuron):
    r"""Leaky integrate-and-fire neuron with a surrogate gradient.

    In discrete time with dt = 1 ms and `beta = exp(-dt / tau_mem)`::

        u[t] = beta * v[t-1] + I[t]
        s[t] = 1 if u[t] >= threshold else 0
        v[t] = u[t] - threshold * s[t]        (reset="subtract")
        v[t] = u[t] * (1 - s[t])              (reset="zero")

    Args:
        threshold: Membrane potential at which a neuron fires; above 0.
        tau_mem: Membrane time constant in ms, above 0; infinite for an integrate-and-fire neuron,
            which does not leak.
        reset: "subtract" (soft reset) or "zero" (hard reset, what neuromorphic chips do).
        surrogate_type: Name of the surrogate derivative, a key of `spikeformer.ops.SURROGATES`.
        surrogate_slope: Its sharpness; None takes the surrogate's own default.
        detach_reset: Let no gradient flow through the reset (Zenke & Vogels, 2021).
        check_finite: Refuse NaN and Inf currents.
        backend: Kernel: "auto", "reference", "cpu" or "triton".

    Source: Gerstner et al., *Neuronal Dynamics*, 2014, chapter 1; surrogate gradients: Neftci
    et al., 2019, doi:10.1109/MSP.2019.2931595.

    Example:
        >>> import torch
        >>> neuron = LifNeuron(threshold=1.0, tau_mem=20.0)
        >>> neuron(torch.full((1, 4, 1), 0.6)).flatten().tolist()
        [0.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        threshold: float = 1.0,
        tau_mem: float = 20.0,
        reset: str = "subtract",
        surrogate_type: str = "fast_sigmoid",
        *,
        surrogate_slope: float | None = None,
        detach_reset: bool = False,
        check_finite: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__(threshold, check_finite=check_finite)
        self.tau_mem = tau_mem
        self._decay = decay_of("tau_mem", tau_mem)
        self.reset = check_choice("reset", reset, RESETS)
        self.surrogate_type = check_choice("surrogate_type", surrogate_type, SURROGATES)
        self.surrogate_slope = surrogate_slope
        self.detach_reset = detach_reset
        self.backend = check_choice("backend", backend, BACKENDS)

    @property
    def decay(self) -> float | Tensor:
        """The factor `beta` by which the membrane shrinks in one timestep."""
        return self._decay

    def _lif_arguments(self) -> LifArguments:
        return {
            "decay": self.decay,
            "threshold": self.threshold,
            "reset": self.reset,
            "detach_reset": self.detach_reset,
            "surrogate": self.surrogate_type,
            "slope": self.surrogate_slope,
            "adaptation_decay": None,
            "adaptation_strength": 0.0,
            "max_spikes": None,
            "backend": self.backend,
        }

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"threshold={self.threshold}, tau_mem={self.tau_mem}, reset={self.reset!r}"
