"""Checks of how gradients flow through layers and through time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from spikeformer.data.batch import call
from spikeformer.i18n import t
from spikeformer.neurons import IntegerLifNeuron, ReluNeuron, SpikingNeuron
from spikeformer.validation.probe import ModelSubject
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result

_VANISHED, _EXPLODED = 1e-12, 1e4
"""Gradient from the first timestep to the last over that within the last."""
_LOPSIDED = 1e6
"""Largest over the median of the layers' gradients, root mean square each."""


@register_check(ModelSubject, Level.STRICT)
def gradients_reach_all_weights(subject: ModelSubject) -> Iterator[Result]:
    """Find weights that get no gradient, or one that is NaN or out of all proportion."""
    ran = subject.ran
    if ran is None or subject.inputs is None:
        return
    ran.network.zero_grad()
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        outputs = call(ran.network, subject.inputs)
        if not outputs.requires_grad:
            return  # all is frozen, which has a check of its own
        torch.autograd.backward((outputs.float() * torch.randn(outputs.shape)).sum())
    sizes: dict[str, float] = {}
    for name, parameter in ran.network.named_parameters():
        if not parameter.requires_grad:
            continue
        gradient = parameter.grad
        if gradient is None:
            remedy = t("validation.unused_remedy")
            yield Result(Level.WARNING, t("validation.unused"), name, remedy)
        elif not torch.isfinite(gradient).all():
            remedy = t("validation.gradient_not_finite_remedy")
            yield Result(Level.ERROR, t("validation.gradient_not_finite"), name, remedy)
        elif (size := float(gradient.float().square().mean().sqrt())) == 0:
            remedy = t("validation.gradient_zero_remedy")
            yield Result(Level.WARNING, t("validation.gradient_zero"), name, remedy, 0.0)
        else:
            sizes[name] = size
    ran.network.zero_grad()
    middle = sorted(sizes.values())[len(sizes) // 2] if sizes else 0.0
    for name, size in sizes.items():
        if size > _LOPSIDED * middle:
            message = t("validation.gradient_explodes", ratio=size / middle)
            remedy = t("validation.gradient_explodes_remedy")
            yield Result(Level.WARNING, message, name, remedy, size)


@register_check(ModelSubject, Level.STRICT)
def gradients_flow_through_time(subject: ModelSubject) -> Iterator[Result]:
    """Find neurons whose gradient dies or explodes on its way back through time."""
    for path, layer in subject.ran.layers.items() if subject.ran else ():
        assert layer.current is not None
        if isinstance(layer.neuron, IntegerLifNeuron | ReluNeuron):
            continue  # a straight-through reset, and no memory at all, pass nothing on
        ratio = through_time(layer.neuron, layer.current)
        if ratio is None:
            continue
        if ratio < _VANISHED:
            message = t("validation.vanishing", ratio=ratio)
            yield Result(Level.WARNING, message, path, t("validation.vanishing_remedy"), ratio)
        elif ratio > _EXPLODED or math.isnan(ratio):
            message = t("validation.growing", ratio=ratio)
            yield Result(Level.WARNING, message, path, t("validation.growing_remedy"), ratio)


def through_time(neuron: SpikingNeuron, current: Tensor) -> float | None:
    """Return the gradient of the last spikes to the first current over that to the last current.

    Each is the largest of all neurons. None if there is but one timestep, or no gradient at all.

    Args:
        neuron: The layer.
        current: What flows into it, (batch, timesteps, features).
    """
    if current.shape[1] < 2:
        return None
    x = current.detach().clone().requires_grad_()
    with torch.enable_grad():
        spikes, _ = neuron.integrate(x, neuron.initial_state(x))
        if not spikes.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(spikes[:, -1].sum(), x)
    first, last = (float(gradient[:, t].abs().max()) for t in (0, -1))
    return first / last if last else None
