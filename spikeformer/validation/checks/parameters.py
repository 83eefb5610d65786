"""Checks of weights, buffers and normalisations."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from spikeformer.validation.probe import ModelSubject
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result

_LARGE_WEIGHT = 1e3


@register_check(ModelSubject, Level.BASIC)
def are_materialised(subject: ModelSubject) -> Iterator[Result]:
    """Find parameters without values, and parameters on different devices."""
    devices: dict[str, str] = {}
    for name, tensor in subject.model.named_parameters():
        devices.setdefault(tensor.device.type, name)
        if tensor.is_meta:
            yield Result(
                Level.CRITICAL,
                "It has a shape, but no values.",
                name,
                "Call model.to_empty() first.",
            )
    if len(devices) > 1:
        listed = ", ".join(f"{name} on {device}" for device, name in devices.items())
        remedy = "Move the whole network with model.to(device)."
        yield Result(Level.ERROR, f"Parameters lie on several devices: {listed}.", "", remedy)


@register_check(ModelSubject, Level.BASIC)
def are_finite(subject: ModelSubject) -> Iterator[Result]:
    """Find NaN and Inf in parameters and buffers."""
    for name, tensor in (*subject.model.named_parameters(), *subject.model.named_buffers()):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            kind = "NaN" if torch.isnan(tensor).any() else "Inf"
            yield Result(
                Level.CRITICAL,
                f"{bad:,} of {tensor.numel():,} values are {kind}.",
                name,
                "Go back to an earlier checkpoint, lower optimizer.lr or clip gradients.",
                float(bad),
            )


@register_check(ModelSubject, Level.BASIC)
def have_one_precision(subject: ModelSubject) -> Iterator[Result]:
    """Find parameters of different floating-point types."""
    kinds: dict[torch.dtype, str] = {}
    for name, tensor in subject.model.named_parameters():
        if tensor.is_floating_point():
            kinds.setdefault(tensor.dtype, name)
    if len(kinds) > 1:
        listed = ", ".join(f"{name} is {str(kind)[6:]}" for kind, name in kinds.items())
        remedy = "Convert all with model.float(); mixed precision is the trainer's affair."
        yield Result(Level.WARNING, f"Parameters have several precisions: {listed}.", "", remedy)


@register_check(ModelSubject, Level.BASIC)
def can_be_trained(subject: ModelSubject) -> Iterator[Result]:
    """Find a network of which nothing is trained."""
    parameters = list(subject.model.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        remedy = "Set requires_grad on what should learn."
        yield Result(Level.WARNING, "All parameters are frozen.", "", remedy)


@register_check(ModelSubject, Level.BASIC)
def weights_tell_inputs_apart(subject: ModelSubject) -> Iterator[Result]:
    """Find weights that are all zero, alike for all outputs, or very large."""
    for name, module in subject.model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or weight.ndim < 2 or isinstance(module, nn.Embedding):
            continue
        largest = float(weight.detach().abs().max())
        if largest == 0:
            remedy = "Initialise it, unless a residual branch is meant to start silent."
            yield Result(Level.WARNING, "All weights are zero.", name, remedy, 0.0)
        elif weight.shape[0] > 1 and bool((weight.detach() == weight.detach()[:1]).all()):
            remedy = "Initialise them at random, or they will learn the same for ever."
            yield Result(Level.WARNING, "All outputs have the same weights.", name, remedy)
        elif largest > _LARGE_WEIGHT:
            remedy = "Check the initialisation, or train with weight decay."
            message = f"Weights reach {largest:.3g}."
            yield Result(Level.WARNING, message, name, remedy, largest)


@register_check(ModelSubject, Level.BASIC)
def batch_norms_have_statistics(subject: ModelSubject) -> Iterator[Result]:
    """Find batch norms whose running statistics cannot be."""
    for name, module in subject.model.named_modules():
        if not isinstance(module, nn.modules.batchnorm._BatchNorm):
            continue
        if module.affine and not bool(module.weight.detach().any()):
            remedy = "Set its weight to one, unless a residual branch is meant to start silent."
            yield Result(Level.WARNING, "It scales all channels by zero.", name, remedy)
        if module.running_var is None:
            continue
        lowest = float(module.running_var.min())
        if lowest < 0:
            message = f"A running variance is {lowest:.3g}; none can be below zero."
            yield Result(Level.ERROR, message, name, "The checkpoint is damaged.", lowest)
        elif lowest == 0 and int(module.num_batches_tracked or 0):
            dead = int((module.running_var == 0).sum())
            remedy = "What comes before fires never or always."
            message = f"{dead:,} of {module.num_features:,} channels have never varied."
            yield Result(Level.WARNING, message, name, remedy, float(dead))


@register_check(ModelSubject, Level.STRICT)
def norms_fold(subject: ModelSubject) -> Iterator[Result]:
    """Find normalisations that do not become part of the weights at inference."""
    run_time = (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.RMSNorm)
    for name, module in subject.model.named_modules():
        if isinstance(module, run_time):
            message = f"{type(module).__name__} needs each input's statistics: no chip can run it."
            remedy = "Use model.norm=batch for a network that should reach one."
            yield Result(Level.INFO, message, name, remedy)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and not module.track_running_stats:
            message = "It keeps no running statistics, so an output depends on its batch."
            yield Result(Level.WARNING, message, name, "Use track_running_stats=True.")
