"""Checks of a batch of inputs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

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
            message = f"It is empty: shape {tuple(x.shape)}."
            yield Result(Level.CRITICAL, message, name, "Check where the data come from.", 0.0)
    if len(lengths) > 1:
        message = f"Its tensors have {' and '.join(map(str, sorted(lengths)))} samples."
        yield Result(Level.CRITICAL, message, "", "All must have one row for each sample.")


@register_check(InputSubject, Level.BASIC)
def have_numbers_that_networks_take(subject: InputSubject) -> Iterator[Result]:
    """Find types that a network refuses, or that cost more than they are worth."""
    takes_tokens = subject.vocab_size is not None
    for name, x in subject.tensors.items():
        if name == "mask":
            continue
        if x.is_complex() or x.dtype == torch.bool:
            message = f"It holds {str(x.dtype)[6:]} values."
            yield Result(Level.ERROR, message, name, "Convert it to float32.")
        elif x.dtype == torch.float64:
            message = "It holds float64: twice the memory, and only the slow kernels compute in it."
            yield Result(Level.WARNING, message, name, "Convert it to float32.")
        elif takes_tokens and x.is_floating_point():
            message = "The network takes whole-number tokens, but these are real values."
            yield Result(Level.ERROR, message, name, "Convert them with .long().")
        elif subject.image_shape is not None and not x.is_floating_point():
            message = f"The network takes real values, but these are {str(x.dtype)[6:]}."
            yield Result(Level.ERROR, message, name, "Convert them: x.float() / 255.")


@register_check(InputSubject, Level.BASIC)
def are_finite(subject: InputSubject) -> Iterator[Result]:
    """Find NaN and Inf."""
    for name, x in subject.tensors.items():
        if x.is_floating_point() and not torch.isfinite(x).all():
            bad = ~torch.isfinite(x.flatten(1))
            kind = "NaN" if torch.isnan(x).any() else "Inf"
            rows = int(bad.any(dim=1).sum())
            message = f"{int(bad.sum()):,} values in {rows:,} samples are {kind}."
            remedy = "Leave these samples out, or mend the preprocessing."
            yield Result(Level.CRITICAL, message, name, remedy, float(bad.sum()))


@register_check(InputSubject, Level.BASIC)
def have_the_networks_shape(subject: InputSubject) -> Iterator[Result]:
    """Find samples of another shape than the network was built for."""
    expected, values = subject.image_shape, subject.values
    if expected is not None and values is not None and tuple(values.shape[1:]) != expected:
        message = f"Samples have the shape {tuple(values.shape[1:])}, the network takes {expected}."
        remedy = "Resize the samples, or build the network for them."
        yield Result(Level.ERROR, message, "", remedy)


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
            message = (
                f"Values go from {low:.3g} to {high:.3g}; the encoder takes {least:g} to {most:g}."
            )
            yield Result(Level.ERROR, message, "", "Scale them, or set encoding.clamp=true.", high)
            return
    if max(-low, high) > _UNSCALED:
        message = f"Values go from {low:.3g} to {high:.3g}: they look unscaled."
        yield Result(Level.WARNING, message, "", "Scale them to [0, 1], as in x / 255.", high)


@register_check(InputSubject, Level.BASIC)
def tokens_are_known(subject: InputSubject) -> Iterator[Result]:
    """Find tokens outside of the vocabulary."""
    for name, x in subject.tensors.items():
        if name == "mask" or x.is_floating_point() or subject.vocab_size is None:
            continue
        low, high = int(x.min()), int(x.max())
        if low < 0 or high >= subject.vocab_size:
            message = f"Tokens go from {low} to {high}, the vocabulary from 0 to "
            message += f"{subject.vocab_size - 1}."
            remedy = "Use the tokenizer that the network was built for."
            yield Result(Level.ERROR, message, name, remedy, float(high))


@register_check(InputSubject, Level.STANDARD)
def masks_leave_something(subject: InputSubject) -> Iterator[Result]:
    """Find sequences that consist of padding."""
    mask = subject.tensors.get("mask")
    if mask is not None and (hidden := int((~mask.bool().any(dim=1)).sum())):
        message = f"{hidden:,} sequences have no real token."
        yield Result(Level.ERROR, message, "mask", "Leave empty texts out.", float(hidden))


@register_check(InputSubject, Level.STANDARD)
def samples_differ(subject: InputSubject) -> Iterator[Result]:
    """Find samples that say nothing: all alike, or blank."""
    values = subject.values
    if values is None:
        return
    flat = values.flatten(1)
    if len(flat) > 1 and bool((flat == flat[:1]).all()):
        message = "All samples are the same."
        yield Result(Level.ERROR, message, "", "Check how they are read and decoded.")
        return
    blank = _share(flat == flat[:, :1]) if flat.shape[1] > 1 else 0.0
    if blank > _BLANK_SHARE:
        message = f"{blank:.1%} of the samples are blank: one value throughout."
        yield Result(Level.WARNING, message, "", "Leave them out.", blank)


@register_check(InputSubject, Level.COMPREHENSIVE)
def features_vary(subject: InputSubject) -> Iterator[Result]:
    """Tell of features that are the same in all samples."""
    values = subject.values
    if values is None or len(values) < 2:
        return
    flat = values.flatten(1)
    constant = float((flat == flat[:1]).all(dim=0).float().mean())
    if constant > 0:
        message = f"{constant:.1%} of the features are the same in all samples."
        yield Result(Level.INFO, message, "", "They cost operations and tell nothing.", constant)


def _share(holds: Tensor) -> float:
    """Return the share of rows in which a condition holds everywhere."""
    return float(holds.all(dim=1).float().mean())
