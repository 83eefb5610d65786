"""Dense layers whose synapses have delays that are learnt."""

from __future__ import annotations

from typing import overload

import torch
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError, check_positive


class DelayLinear(nn.Module):
    r"""Dense layer whose synapses have weights and delays, both learnt.

    The synapse from i to o takes `d[o, i]` timesteps::

        y[t, o] = sum_i w[o, i] x[t - d[o, i], i],    x = 0 before the first step

    Delays are integers from 0 to `max_delay`, which is what chips have: forward they are the
    rounded positions p. The gradient of p is that of a Gaussian kernel about it, straight through
    the rounding, so that a position learns from the steps around::

        k[o, i, j] = exp(-(j - p[o, i])^2 / (2 width^2)) / sum_j(...)

    Args:
        in_features: Channels of the input.
        out_features: Channels of the output.
        max_delay: Largest delay in timesteps; 0 is a plain dense layer without bias.
        width: Width of the Gaussian in timesteps, above 0.

    Source: Hammouamri et al., *Learning Delays in Spiking Neural Networks using Dilated
    Convolutions with Learnable Spacings*, ICLR 2024, arXiv:2306.17670, where the width shrinks in
    training and the rounding comes at its end. The kernel is that of their package DCLS, with a
    width of `abs(SIG) + 0.27`, and its gradient of positions too (`scripts/dcls_kernels.py`).

    Example:
        >>> layer = DelayLinear(1, 1, max_delay=3)
        >>> _ = layer.position.data.fill_(2.0), layer.weight.data.fill_(0.5)
        >>> layer(torch.tensor([[[1.0], [0.0], [0.0], [4.0]]])).flatten().tolist()
        [0.0, 0.0, 0.5, 0.0]
    """

    def __init__(
        self, in_features: int, out_features: int, max_delay: int, *, width: float = 1.0
    ) -> None:
        super().__init__()
        if isinstance(max_delay, bool) or max_delay < 0:
            raise ArgumentError("max_delay", max_delay, "an integer of at least 0")
        self.in_features, self.out_features, self.max_delay = in_features, out_features, max_delay
        self.width = check_positive("width", width)
        bound = in_features**-0.5
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        positions = torch.empty(out_features, in_features).uniform_(0, max_delay)
        self.position = nn.Parameter(positions, requires_grad=max_delay > 0)

    @property
    def delays(self) -> Tensor:
        """The delay of each synapse in timesteps, int64 (out_features, in_features)."""
        return self.position.detach().clamp(0, self.max_delay).round().long()

    def kernel(self) -> Tensor:
        """The weight of each synapse at each delay, (out_features, in_features, max_delay + 1)."""
        steps = torch.arange(self.max_delay + 1, device=self.weight.device)
        whole = (self.delays[..., None] == steps).to(self.weight.dtype)
        if torch.is_grad_enabled() and self.position.requires_grad:
            position = self.position.clamp(0, self.max_delay)
            distance = (steps - position[..., None]) / self.width
            near = torch.softmax(-distance.square() / 2, dim=-1)
            whole = whole + near - near.detach()
        return self.weight[..., None] * whole

    @overload
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: Tensor, history: Tensor) -> tuple[Tensor, Tensor]: ...
    def __call__(self, x: Tensor, history: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Run `forward` and its hooks."""
        return super().__call__(x) if history is None else super().__call__(x, history)

    def initial_history(self, x: Tensor) -> Tensor:
        """Return the silence before a first step, (batch, max_delay, in_features)."""
        return x.new_zeros(x.shape[0], self.max_delay, x.shape[-1])

    def forward(self, x: Tensor, history: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Sum up what arrives.

        Args:
            x: (batch, timesteps, in_features).
            history: The `max_delay` steps before, (batch, max_delay, in_features); None is silence.

        Returns:
            (batch, timesteps, out_features); with a `history`, the pair of it and the next history.

        Raises:
            SpikingDynamicsError: `x` has another shape.
        """
        if x.ndim != 3 or x.shape[2] != self.in_features:
            raise SpikingDynamicsError(
                f"Expected spikes of shape (batch, timesteps, in_features={self.in_features}), but"
                f" got {tuple(x.shape)}."
            )
        before = self.initial_history(x) if history is None else history
        seen = torch.cat([before, x], dim=1)
        # A convolution looks forward along its kernel; delays look back.
        y = nn.functional.conv1d(seen.transpose(1, 2), self.kernel().flip(-1)).transpose(1, 2)
        return y if history is None else (y, seen[:, seen.shape[1] - self.max_delay :])

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"{self.in_features}, {self.out_features}, max_delay={self.max_delay}"
