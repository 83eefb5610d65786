"""Rate codes: the number of spikes carries the value."""

from __future__ import annotations

import torch
from torch import Tensor

from spikeformer.encoding.base import SpikeEncoder
from spikeformer.error_handling import ArgumentError
from spikeformer.ops.spike_encode import spike_encode

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
        return spike_encode(x, self.timesteps, code="rate", backend=self.backend)


class PoissonCoding(SpikeEncoder):
    r"""Random rate coding: in each step of dt = 1 ms a spike with probability `x * max_rate * dt`.

    This is the Bernoulli process that tends to a Poisson process for small dt; the expected rate
    is exactly `x * max_rate`.

    Args:
        timesteps: Length of the spike trains, in steps of 1 ms.
        max_rate: Rate of the value 1, in Hz; above 0 and at most 1000, one spike a step.
        seed: Seed of this encoder's own random numbers, of 64 bits; how often it was called is
            saved in checkpoints, as each call goes on where the last one stopped. None draws a
            fresh seed from torch's global generator at each call.
        clamp: What happens to values outside [0, 1]: False raises, True clamps them.
        backend: Kernel: "auto", "reference", "cpu" or "triton".
    """

    def __init__(
        self,
        timesteps: int = 32,
        max_rate: float = 100.0,
        *,
        seed: int | None = None,
        clamp: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__(timesteps, clamp=clamp, backend=backend)
        if not 0 < max_rate <= 1 / DT_S:
            expected = "above 0 and at most 1000 Hz, one spike in each step of 1 ms"
            raise ArgumentError("max_rate", max_rate, expected)
        self.max_rate = max_rate
        self.seed = seed
        # A tensor in the state dict: saved with it, moved with the module, traced by torch.compile.
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def spikes(self, x: Tensor) -> Tensor:
        """Return random spikes, shape (batch, timesteps, *input_shape)."""
        seed, stream = self._next_stream(x.device)
        return spike_encode(
            x,
            self.timesteps,
            code="poisson",
            max_probability=self.max_rate * DT_S,
            seed=seed,
            stream=stream,
            backend=self.backend,
        )

    def _next_stream(self, device: torch.device) -> tuple[int | Tensor, int | Tensor]:
        if self.seed is None:
            return torch.randint(2**63 - 1, (), device=device), 0
        stream = self.calls.clone()
        self.calls += 1
        return self.seed, stream

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"timesteps={self.timesteps}, max_rate={self.max_rate}, seed={self.seed}"
