"""Rate codes: the number of spikes carries the value."""

from __future__ import annotations

import torch
from torch import Tensor

from spikeformer.encoding.base import SpikeEncoder
from spikeformer.error_handling import ArgumentError

DT_S = 1e-3
"""Length of one timestep in seconds."""


class RateCoding(SpikeEncoder):
    r"""Deterministic rate coding: evenly spaced spikes, as many as the value asks for.

    For a value x in [0, 1]::

        s[t] = floor(x * (t + 1) + 1/2) - floor(x * t + 1/2)

    so that the first `n` steps hold `round(n x)` spikes for every n (halves round up). It is an
    integrate-and-fire neuron with soft reset, started at half its threshold.

    Example:
        >>> import torch
        >>> RateCoding(timesteps=4).encode(torch.tensor([[0.5]])).flatten().tolist()
        [1.0, 0.0, 1.0, 0.0]
    """

    def spikes(self, x: Tensor) -> Tensor:
        """Return evenly spaced spikes, shape (batch, timesteps, *input_shape)."""
        edges = torch.arange(self.timesteps + 1, device=x.device, dtype=torch.float32)
        edges = edges.view(1, -1, *[1] * (x.ndim - 1))
        counts = torch.floor(x.float().unsqueeze(1) * edges + 0.5)
        return counts.diff(dim=1).to(x.dtype)


class PoissonCoding(SpikeEncoder):
    r"""Random rate coding: in each step of dt = 1 ms a spike with probability `x * max_rate * dt`.

    This is the Bernoulli process that tends to a Poisson process for small dt; the expected rate
    is exactly `x * max_rate`.

    Args:
        timesteps: Length of the spike trains, in steps of 1 ms.
        max_rate: Rate of the value 1, in Hz; above 0 and at most 1000, one spike a step.
        seed: Seed of this encoder's own generator; None draws from torch's global one. The
            generator's state is saved in checkpoints.
        clamp: What happens to values outside [0, 1]: False raises, True clamps them.
    """

    def __init__(
        self,
        timesteps: int = 32,
        max_rate: float = 100.0,
        *,
        seed: int | None = None,
        clamp: bool = False,
    ) -> None:
        super().__init__(timesteps, clamp=clamp)
        if not 0 < max_rate <= 1 / DT_S:
            raise ArgumentError(
                "max_rate", max_rate, "above 0 and at most 1000 Hz, one spike in each step of 1 ms"
            )
        self.max_rate = max_rate
        self.seed = seed
        self._generator: torch.Generator | None = None
        self._pending_state: Tensor | None = None

    def spikes(self, x: Tensor) -> Tensor:
        """Return random spikes, shape (batch, timesteps, *input_shape)."""
        probability = (x.float() * (self.max_rate * DT_S)).unsqueeze(1)
        shape = (x.shape[0], self.timesteps, *x.shape[1:])
        noise = torch.rand(shape, generator=self._generator_on(x.device), device=x.device)
        return (noise < probability).to(x.dtype)

    def _generator_on(self, device: torch.device) -> torch.Generator | None:
        if self.seed is None:
            return None
        if self._generator is None or self._generator.device != device:
            self._generator = torch.Generator(device).manual_seed(self.seed)
            if self._pending_state is not None:
                self._generator.set_state(self._pending_state)
                self._pending_state = None
        return self._generator

    def get_extra_state(self) -> Tensor:
        """Return the generator's state, so that a resumed run draws what comes next."""
        if self._generator is not None:
            return self._generator.get_state()
        return torch.empty(0) if self._pending_state is None else self._pending_state

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the state that `get_extra_state` returned."""
        self._generator = None
        self._pending_state = state.cpu() if state.numel() else None

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"timesteps={self.timesteps}, max_rate={self.max_rate}, seed={self.seed}"
