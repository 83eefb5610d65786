"""Quantisation-aware fine-tuning: a network that trains with the weights that a chip would get."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from spikeformer.hardware.ir.integers import NumberFormat
from spikeformer.hardware.ir.quantisation import quantise
from spikeformer.hardware.lowering import InputShape, Lowered, lower


class RoundedWeight(nn.Module):
    """Rounds a weight as the chip will, behind the batch norm that folds into it.

    With the factor f of its channel in batch norm and k units to 1 in the network::

        w' = clip(round(k f w), -max_weight, max_weight) / (k f)

    Backward takes the derivative as one.

    Args:
        norm: The batch norm behind the layer; None if there is none.
        max_weight: The largest weight of the chip.
    """

    scale: Tensor

    def __init__(self, norm: nn.Module | None, max_weight: int) -> None:
        super().__init__()
        self.max_weight = max_weight
        self._norm = (norm,)  # in a tuple, so that it is not registered a second time
        self.register_buffer("scale", torch.zeros(()), persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the rounded weight; the weight itself until the scale is known."""
        if not self.scale:
            return weight
        factor = self._factor(weight) * self.scale
        units = (weight * factor).detach()
        rounded = units.round().clamp(-self.max_weight, self.max_weight)
        return weight + (rounded - units) / factor

    def _factor(self, weight: Tensor) -> Tensor:
        norm: Any = self._norm[0]
        if norm is None:
            return torch.ones((), device=weight.device)
        factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        # A channel that is switched off has no weight to round.
        factor = torch.where(factor.abs() > 1e-12, factor, torch.ones_like(factor))
        return factor.detach().view(-1, *[1] * (weight.ndim - 1))


class RoundedWeights:
    """Context manager in which a network's synapses are rounded as for a chip.

    `fit_scales` takes the scales anew, since they follow the largest weights; call it before each
    epoch. Leaving the context leaves the trained weights, unrounded.

    Args:
        model: The network.
        input_shape: Shape of one sample.
        numbers: The chip's integers; None as for `quantise`.

    Source: straight-through rounding, Bengio et al., 2013, arXiv:1308.3432; Jacob et al., CVPR
    2018, arXiv:1712.05877.
    """

    def __init__(
        self,
        model: nn.Module,
        input_shape: InputShape,
        numbers: NumberFormat | None = None,
    ) -> None:
        self.model, self.input_shape = model, input_shape
        self.numbers = numbers or NumberFormat()
        self.layers: dict[str, RoundedWeight] = {}

    def __enter__(self) -> Self:
        lowered = lower(self.model, self.input_shape)
        for layer, norm in lowered.layers.values():
            if layer not in self.layers:
                behind = None if norm is None else self.model.get_submodule(norm)
                rounding = RoundedWeight(behind, self.numbers.max_weight)
                module = self.model.get_submodule(layer)
                parametrize.register_parametrization(module, "weight", rounding)
                self.layers[layer] = rounding
        self._fit(lowered)
        return self

    def fit_scales(self) -> None:
        """Take the scale of each layer from the populations it projects into: the coarsest."""
        for rounding in self.layers.values():
            rounding.scale.zero_()
        self._fit(lower(self.model, self.input_shape))

    def _fit(self, lowered: Lowered) -> None:
        neurons = quantise(lowered.graph, self.numbers).neurons
        levels = {name: p.levels for name, p in lowered.graph.populations.items()}
        for (source, target), (layer, _) in lowered.layers.items():
            scale = self.layers[layer].scale
            # Weights of graded spikes hold the part that one of their levels has.
            found = neurons[target].scale / levels[source]
            scale.fill_(found if not scale else min(found, float(scale)))

    def __exit__(self, *exception: object) -> None:
        for layer in self.layers:
            module = self.model.get_submodule(layer)
            original = module.parametrizations.weight.original  # type: ignore[union-attr]
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
            assert module.weight is original
        self.layers.clear()
