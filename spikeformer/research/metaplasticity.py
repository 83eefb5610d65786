"""Synapses that consolidate what they have held for long."""

from __future__ import annotations

import torch
from torch import Tensor

from spikeformer.error_handling import check_interval, check_positive_int
from spikeformer.models.layers import SpikeLinear


class MetaplasticSynapses(SpikeLinear):
    r"""Dense layer whose weights are coupled to a chain of slower, hidden variables.

    The weight is the first of n variables; variable k is a beaker of size `C_k = 2^(k-1)`,
    joined to the next by a tube of conductance `g_k = metaplastic_rate * 2^(1-k)`. After each
    step of an optimizer, which moves `u_1 = w` alone, liquid flows between neighbours::

        C_k du_k = g_(k-1) (u_(k-1) - u_k) + g_k (u_(k+1) - u_k),    g_0 = g_n = 0

    A weight that has held a value for long fills the slow beakers, and they pull it back when
    something else is learned: how plastic it is depends on its past. Each further variable
    remembers four times as long. The flow keeps `sum_k C_k u_k`; the leak of the last beaker in
    the source is left out, so that nothing decays.

    Call `consolidate()` after each step, or let the optimizer do it::

        optimizer.register_step_post_hook(lambda *_: synapses.consolidate())

    Args:
        input_size: Channels of the input.
        output_size: Channels of the output.
        metaplastic_rate: Part of the difference between weight and first hidden variable that
            flows in a step, in [0, 0.5]; 0 leaves plain weights.
        num_variables: n, the weight and its hidden variables; at least 2.
        bias: Whether to add a bias, which is coupled likewise.

    Source: Benna & Fusi, *Computational principles of synaptic memory consolidation*, 2016,
    doi:10.1038/nn.4401; with gradient descent: Kaplanis et al., ICML 2018, arXiv:1802.07239.

    Example:
        >>> synapses = MetaplasticSynapses(8, 4, metaplastic_rate=0.1)
        >>> spikes = (torch.rand(2, 5, 8) < 0.3).float()
        >>> optimizer = torch.optim.SGD(synapses.parameters(), lr=0.1)
        >>> handle = optimizer.register_step_post_hook(lambda *_: synapses.consolidate())
        >>> synapses(spikes).square().mean().backward()
        >>> optimizer.step()
        >>> synapses(spikes).shape
        torch.Size([2, 5, 4])
    """

    hidden_weight: Tensor
    hidden_bias: Tensor | None

    def __init__(
        self,
        input_size: int,
        output_size: int,
        metaplastic_rate: float = 0.01,
        *,
        num_variables: int = 4,
        bias: bool = False,
    ) -> None:
        check_positive_int("input_size", input_size)
        check_positive_int("output_size", output_size)
        super().__init__(input_size, output_size, bias, binary=False)
        self.metaplastic_rate = check_interval("metaplastic_rate", metaplastic_rate, 0.0, 0.5)
        if check_positive_int("num_variables", num_variables) < 2:
            check_interval("num_variables", num_variables, 2, float("inf"))
        self.num_variables = num_variables
        hidden = num_variables - 1
        # Hidden variables start where the weights start: nothing flows before something is learned.
        self.register_buffer("hidden_weight", _copies(self.weight, hidden))
        self.register_buffer("hidden_bias", _copies(self.bias, hidden) if bias else None)

    @torch.no_grad()
    def consolidate(self) -> None:
        """Let the variables flow once; to be called after each step of the optimizer."""
        _flow(self.weight, self.hidden_weight, self.metaplastic_rate)
        if self.bias is not None and self.hidden_bias is not None:
            _flow(self.bias, self.hidden_bias, self.metaplastic_rate)

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return (
            f"{super().extra_repr()}, metaplastic_rate={self.metaplastic_rate}, "
            f"num_variables={self.num_variables}"
        )


def _copies(weight: Tensor, number: int) -> Tensor:
    return weight.detach().expand(number, *weight.shape).clone()


def _flow(weight: Tensor, hidden: Tensor, rate: float) -> None:
    """Move liquid between `weight` and the variables of `hidden`, (variables - 1, *weight), once."""
    level = torch.cat((weight.detach()[None], hidden))
    shape = (-1, *[1] * weight.ndim)
    halves = 0.5 ** torch.arange(len(level), device=weight.device, dtype=weight.dtype).view(shape)
    # Into each beaker from the next one; C_k = 1 / halves, g_k = rate * halves.
    flow = rate * halves[:-1] * (level[1:] - level[:-1])
    level[:-1] += flow * halves[:-1]
    level[1:] -= flow * halves[1:]
    weight.copy_(level[0])
    hidden.copy_(level[1:])
