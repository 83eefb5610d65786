"""Binary synapses that are the harder to change the longer they have been sure."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.error_handling import SpikingDynamicsError, check_interval, check_positive_int
from spikeformer.ops import spike_linear

INITIAL_SCALE = 0.01
"""Hidden weights start evenly spread up to this magnitude."""
UNIT = 0.001
"""The magnitude in which hidden weights are measured."""


class MetaplasticSynapses(nn.Module):
    r"""Dense layer of binary weights, each the sign of a hidden one that remembers.

    The layer computes with `sign(h) / sqrt(input_size)`. The hidden weight h is what an optimizer
    moves; the gradient passes straight through the sign. Of the step Delta that it proposes, what
    would bring h towards zero, and so towards another sign, is held back the more the larger h
    has become::

        h <- h + Delta * (f(h) if Delta * h < 0 else 1),
        f(h) = 1 - tanh(metaplastic_rate * |h| / h0)^2,    h0 = 0.001

    Thus |h| is the synapse's consolidation: it grows while samples agree on the sign, and guards it
    against a task that does not. At the default rate it shows from |h| = 0.1 on, ten times the
    largest that a hidden weight starts with. (In the source's terms `m = metaplastic_rate / h0` is
    10 here; there it is 1.35, for training that is longer and grows larger weights.)

    Call `consolidate()` after each step, or let the optimizer do it::

        optimizer.register_step_post_hook(lambda *_: synapses.consolidate())

    How fast hidden weights grow is up to the optimizer: Adam moves them by up to its learning rate
    in a step. Leave out weight decay, which would wear off what is consolidated.

    Args:
        input_size: Channels of the input.
        output_size: Channels of the output.
        metaplastic_rate: How soon growing weights consolidate; 0 leaves plain binary weights.

    Source: Laborieux et al., *Synaptic metaplasticity in binarized neural networks*, 2021,
    doi:10.1038/s41467-021-22768-y.

    Example:
        >>> synapses = MetaplasticSynapses(8, 4)
        >>> optimizer = torch.optim.Adam(synapses.parameters(), lr=0.02)
        >>> handle = optimizer.register_step_post_hook(lambda *_: synapses.consolidate())
        >>> spikes = (torch.rand(2, 5, 8) < 0.3).float()
        >>> synapses(spikes).square().mean().backward()
        >>> optimizer.step()
        >>> synapses(spikes).shape
        torch.Size([2, 5, 4])
    """

    consolidated: Tensor

    def __init__(self, input_size: int, output_size: int, metaplastic_rate: float = 0.01) -> None:
        super().__init__()
        self.input_size = check_positive_int("input_size", input_size)
        self.output_size = check_positive_int("output_size", output_size)
        self.metaplastic_rate = check_interval("metaplastic_rate", metaplastic_rate, 0.0, math.inf)
        hidden = INITIAL_SCALE * (2 * torch.rand(output_size, input_size) - 1)
        self.hidden = nn.Parameter(hidden)
        # Where the hidden weights were after the last step; a checkpoint has both.
        self.register_buffer("consolidated", hidden.clone())

    @property
    def weight(self) -> Tensor:
        """The weights that the layer computes with, shape (output_size, input_size)."""
        sign: Tensor = _Sign.apply(self.hidden)  # type: ignore[no-untyped-call]
        return sign * self.input_size**-0.5

    def forward(self, spikes: Tensor) -> Tensor:
        """Map (..., input_size) to (..., output_size).

        Raises:
            SpikingDynamicsError: The last axis has another size.
        """
        if spikes.shape[-1] != self.input_size:
            raise SpikingDynamicsError(
                f"Expected an input of shape (..., input_size={self.input_size}), but got "
                f"{tuple(spikes.shape)}."
            )
        return spike_linear(spikes, self.weight, None, binary=False)

    @torch.no_grad()
    def consolidate(self) -> None:
        """Hold back what the optimizer's last step takes from consolidated weights."""
        before, step = self.consolidated, self.hidden - self.consolidated
        plasticity = 1 - torch.tanh(before * (self.metaplastic_rate / UNIT)).square()
        self.hidden.copy_(before + torch.where(step * before < 0, plasticity * step, step))
        before.copy_(self.hidden)

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return (
            f"input_size={self.input_size}, output_size={self.output_size}, "
            f"metaplastic_rate={self.metaplastic_rate}"
        )


class _Sign(torch.autograd.Function):
    """1 where x is at least 0, else -1; the gradient passes as it is."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad
