"""Checks of weights, buffers and normalisations."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from spikeformer.i18n import t
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
            message, remedy = t("validation.no_values"), t("validation.no_values_remedy")
            yield Result(Level.CRITICAL, message, name, remedy)
    if len(devices) > 1:
        places = [t("validation.on_device", name=n, device=device) for device, n in devices.items()]
        message = t("validation.several_devices", listed=", ".join(places))
        yield Result(Level.ERROR, message, "", t("validation.several_devices_remedy"))


@register_check(ModelSubject, Level.BASIC)
def are_finite(subject: ModelSubject) -> Iterator[Result]:
    """Find NaN and Inf in parameters and buffers."""
    for name, tensor in (*subject.model.named_parameters(), *subject.model.named_buffers()):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            kind = "NaN" if torch.isnan(tensor).any() else "Inf"
            message = t("validation.values_not_finite", bad=bad, total=tensor.numel(), kind=kind)
            remedy = t("validation.values_not_finite_remedy")
            yield Result(Level.CRITICAL, message, name, remedy, float(bad))


@register_check(ModelSubject, Level.BASIC)
def have_one_precision(subject: ModelSubject) -> Iterator[Result]:
    """Find parameters of different floating-point types."""
    kinds: dict[torch.dtype, str] = {}
    for name, tensor in subject.model.named_parameters():
        if tensor.is_floating_point():
            kinds.setdefault(tensor.dtype, name)
    if len(kinds) > 1:
        types = {name: str(kind).removeprefix("torch.") for kind, name in kinds.items()}
        each = [t("validation.is_dtype", name=name, dtype=kind) for name, kind in types.items()]
        message = t("validation.several_precisions", listed=", ".join(each))
        yield Result(Level.WARNING, message, "", t("validation.several_precisions_remedy"))


@register_check(ModelSubject, Level.BASIC)
def can_be_trained(subject: ModelSubject) -> Iterator[Result]:
    """Find a network of which nothing is trained."""
    parameters = list(subject.model.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        remedy = t("validation.frozen_remedy")
        yield Result(Level.WARNING, t("validation.frozen"), "", remedy)


@register_check(ModelSubject, Level.BASIC)
def weights_tell_inputs_apart(subject: ModelSubject) -> Iterator[Result]:
    """Find weights that are all zero, alike for all outputs, or very large."""
    for name, module in subject.model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or weight.ndim < 2 or isinstance(module, nn.Embedding):
            continue
        largest = float(weight.detach().abs().max())
        if largest == 0:
            remedy = t("validation.zero_weights_remedy")
            yield Result(Level.WARNING, t("validation.zero_weights"), name, remedy, 0.0)
        elif weight.shape[0] > 1 and bool((weight.detach() == weight.detach()[:1]).all()):
            remedy = t("validation.same_weights_remedy")
            yield Result(Level.WARNING, t("validation.same_weights"), name, remedy)
        elif largest > _LARGE_WEIGHT:
            remedy = t("validation.large_weights_remedy")
            message = t("validation.large_weights", size=largest)
            yield Result(Level.WARNING, message, name, remedy, largest)


@register_check(ModelSubject, Level.BASIC)
def batch_norms_have_statistics(subject: ModelSubject) -> Iterator[Result]:
    """Find batch norms whose running statistics cannot be."""
    for name, module in subject.model.named_modules():
        if not isinstance(module, nn.modules.batchnorm._BatchNorm):
            continue
        if module.affine and not bool(module.weight.detach().any()):
            remedy = t("validation.scales_by_zero_remedy")
            yield Result(Level.WARNING, t("validation.scales_by_zero"), name, remedy)
        if module.running_var is None:
            continue
        lowest = float(module.running_var.min())
        if lowest < 0:
            message = t("validation.negative_variance", lowest=lowest)
            remedy = t("validation.negative_variance_remedy")
            yield Result(Level.ERROR, message, name, remedy, lowest)
        elif lowest == 0 and int(module.num_batches_tracked or 0):
            dead = int((module.running_var == 0).sum())
            remedy = t("validation.never_varied_remedy")
            message = t("validation.never_varied", dead=dead, total=module.num_features)
            yield Result(Level.WARNING, message, name, remedy, float(dead))


@register_check(ModelSubject, Level.STRICT)
def norms_fold(subject: ModelSubject) -> Iterator[Result]:
    """Find normalisations that do not become part of the weights at inference."""
    run_time = (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.RMSNorm)
    for name, module in subject.model.named_modules():
        if isinstance(module, run_time):
            message = t("validation.needs_statistics", norm=type(module).__name__)
            yield Result(Level.INFO, message, name, t("validation.needs_statistics_remedy"))
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and not module.track_running_stats:
            message = t("validation.no_running_statistics")
            remedy = t("validation.no_running_statistics_remedy")
            yield Result(Level.WARNING, message, name, remedy)
