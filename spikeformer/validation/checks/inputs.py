"""Checks of a batch of inputs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from spikeformer.i18n import format_list, t
from spikeformer.validation.data import InputSubject
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result

_UNSCALED = 10.0
_BLANK_SHARE = 0.01


@register_check(InputSubject, Level.BASIC)
def are_there(subject: InputSubject) -> Iterator[Result]:
    """Find batches without samples or values, and those whose parts differ in length."""
    lengths = set()
    for name, x in subject.tensors.items():
        lengths.add(len(x) if x.ndim else 0)
        if not x.numel():
            message = t("validation.empty", shape=tuple(x.shape))
            yield Result(Level.CRITICAL, message, name, t("validation.empty_remedy"), 0.0)
    if len(lengths) > 1:
        message = t("validation.uneven", lengths=format_list(map(str, sorted(lengths))))
        yield Result(Level.CRITICAL, message, "", t("validation.uneven_remedy"))


@register_check(InputSubject, Level.BASIC)
def have_numbers_that_networks_take(subject: InputSubject) -> Iterator[Result]:
    """Find types that a network refuses, or that cost more than they are worth."""
    takes_tokens = subject.vocab_size is not None
    for name, x in subject.tensors.items():
        if name == "mask":
            continue
        if x.is_complex() or x.dtype == torch.bool:
            message = t("validation.holds", dtype=_type_name(x))
            yield Result(Level.ERROR, message, name, t("validation.to_float32"))
        elif x.dtype == torch.float64:
            message = t("validation.holds_float64")
            yield Result(Level.WARNING, message, name, t("validation.to_float32"))
        elif takes_tokens and x.is_floating_point():
            message = t("validation.real_tokens")
            yield Result(Level.ERROR, message, name, t("validation.to_long"))
        elif subject.image_shape is not None and not x.is_floating_point():
            message = t("validation.whole_values", dtype=_type_name(x))
            yield Result(Level.ERROR, message, name, t("validation.to_float"))


@register_check(InputSubject, Level.BASIC)
def are_finite(subject: InputSubject) -> Iterator[Result]:
    """Find NaN and Inf."""
    for name, x in subject.tensors.items():
        if x.is_floating_point() and not torch.isfinite(x).all():
            bad = ~torch.isfinite(x.flatten(1))
            kind = "NaN" if torch.isnan(x).any() else "Inf"
            counts = {"bad": int(bad.sum()), "samples": int(bad.any(dim=1).sum())}
            message = t("validation.inputs_not_finite", **counts, kind=kind)
            remedy = t("validation.inputs_not_finite_remedy")
            yield Result(Level.CRITICAL, message, name, remedy, float(bad.sum()))


@register_check(InputSubject, Level.BASIC)
def have_the_networks_shape(subject: InputSubject) -> Iterator[Result]:
    """Find samples of another shape than the network was built for."""
    expected, values = subject.image_shape, subject.values
    if expected is not None and values is not None and tuple(values.shape[1:]) != expected:
        shape = tuple(values.shape[1:])
        message = t("validation.other_shape", shape=shape, expected=expected)
        yield Result(Level.ERROR, message, "", t("validation.other_shape_remedy"))


@register_check(InputSubject, Level.STANDARD)
def lie_in_range(subject: InputSubject) -> Iterator[Result]:
    """Find values that the encoder refuses, and values that nobody has scaled."""
    values = subject.values
    if values is None:
        return
    low, high = float(values.min()), float(values.max())
    if subject.encoder is not None and not subject.encoder.clamp:
        least, most = subject.encoder.valid_range
        if low < least or high > most:
            message = t("validation.out_of_range", low=low, high=high, least=least, most=most)
            yield Result(Level.ERROR, message, "", t("validation.out_of_range_remedy"), high)
            return
    if max(-low, high) > _UNSCALED:
        message = t("validation.unscaled", low=low, high=high)
        yield Result(Level.WARNING, message, "", t("validation.unscaled_remedy"), high)


@register_check(InputSubject, Level.BASIC)
def tokens_are_known(subject: InputSubject) -> Iterator[Result]:
    """Find tokens outside of the vocabulary."""
    for name, x in subject.tensors.items():
        if name == "mask" or x.is_floating_point() or subject.vocab_size is None:
            continue
        low, high = int(x.min()), int(x.max())
        if low < 0 or high >= subject.vocab_size:
            last = subject.vocab_size - 1
            message = t("validation.tokens_outside", low=low, high=high, last=last)
            remedy = t("validation.tokens_outside_remedy")
            yield Result(Level.ERROR, message, name, remedy, float(high))


@register_check(InputSubject, Level.STANDARD)
def masks_leave_something(subject: InputSubject) -> Iterator[Result]:
    """Find sequences that consist of padding."""
    mask = subject.tensors.get("mask")
    if mask is not None and (hidden := int((~mask.bool().any(dim=1)).sum())):
        message = t("validation.only_padding", sequences=hidden)
        remedy = t("validation.only_padding_remedy")
        yield Result(Level.ERROR, message, "mask", remedy, float(hidden))


@register_check(InputSubject, Level.STANDARD)
def samples_differ(subject: InputSubject) -> Iterator[Result]:
    """Find samples that say nothing: all alike, or blank."""
    values = subject.values
    if values is None:
        return
    flat = values.flatten(1)
    if len(flat) > 1 and bool((flat == flat[:1]).all()):
        message = t("validation.same_samples")
        yield Result(Level.ERROR, message, "", t("validation.same_samples_remedy"))
        return
    blank = _share(flat == flat[:, :1]) if flat.shape[1] > 1 else 0.0
    if blank > _BLANK_SHARE:
        message = t("validation.blank", share=blank)
        yield Result(Level.WARNING, message, "", t("validation.leave_out"), blank)


@register_check(InputSubject, Level.COMPREHENSIVE)
def features_vary(subject: InputSubject) -> Iterator[Result]:
    """Tell of features that are the same in all samples."""
    values = subject.values
    if values is None or len(values) < 2:
        return
    flat = values.flatten(1)
    constant = float((flat == flat[:1]).all(dim=0).float().mean())
    if constant > 0:
        message = t("validation.constant", share=constant)
        yield Result(Level.INFO, message, "", t("validation.constant_remedy"), constant)


def _type_name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _share(holds: Tensor) -> float:
    """Return the share of rows in which a condition holds everywhere."""
    return float(holds.all(dim=1).float().mean())
