"""Checks of targets."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from spikeformer.i18n import t
from spikeformer.validation.data import TargetSubject
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result

_IMBALANCE = 10.0
_DUPLICATES = 0.05
_IGNORED = -100
"""What losses leave out, as padding in language modelling."""


@register_check(TargetSubject, Level.BASIC)
def belong_to_the_inputs(subject: TargetSubject) -> Iterator[Result]:
    """Find targets that are not one for each sample."""
    if subject.num_samples is not None and len(subject.targets) != subject.num_samples:
        counts = {"targets": len(subject.targets), "samples": subject.num_samples}
        message = t("validation.unpaired", **counts)
        yield Result(Level.CRITICAL, message, subject.location, t("validation.unpaired_remedy"))


@register_check(TargetSubject, Level.BASIC)
def are_finite(subject: TargetSubject) -> Iterator[Result]:
    """Find NaN and Inf in targets."""
    if subject.targets.is_floating_point() and not torch.isfinite(subject.targets).all():
        bad = int((~torch.isfinite(subject.targets)).sum())
        message, remedy = t("validation.targets_not_finite", bad=bad), t("validation.leave_out")
        yield Result(Level.CRITICAL, message, subject.location, remedy, float(bad))


@register_check(TargetSubject, Level.BASIC)
def are_known_classes(subject: TargetSubject) -> Iterator[Result]:
    """Find classes outside of 0 to num_classes - 1."""
    if not subject.are_classes or not len(subject.targets):
        return
    low, high = int(subject.targets.min()), int(subject.targets.max())
    if low < 0 or (subject.num_classes is not None and high >= subject.num_classes):
        message = t("validation.negative_class", low=low, high=high)
        if subject.num_classes is not None:
            last = subject.num_classes - 1
            message = t("validation.class_outside", low=low, high=high, last=last)
        remedy = t("validation.class_outside_remedy")
        yield Result(Level.CRITICAL, message, subject.location, remedy, float(high))


@register_check(TargetSubject, Level.STANDARD)
def are_several_classes(subject: TargetSubject) -> Iterator[Result]:
    """Find a single class, and classes without samples."""
    if not subject.are_classes or len(subject.targets) < 2:
        return
    counts = torch.bincount(subject.targets, minlength=subject.num_classes or 0)
    present = int((counts > 0).sum())
    if present == 1:
        only = {"samples": len(subject.targets), "label": int(counts.argmax())}
        message = t("validation.one_class", **only)
        yield Result(Level.ERROR, message, subject.location, t("validation.one_class_remedy"))
    elif subject.num_classes is not None and present < subject.num_classes:
        missing = [str(i) for i, count in enumerate(counts.tolist()) if not count]
        names = ", ".join(missing[:10])
        message = t("validation.empty_classes", number=len(missing), names=names)
        remedy = t("validation.empty_classes_remedy")
        yield Result(Level.WARNING, message, subject.location, remedy, float(len(missing)))


@register_check(TargetSubject, Level.STRICT)
def are_balanced(subject: TargetSubject) -> Iterator[Result]:
    """Find classes that are much rarer than others."""
    if not subject.are_classes or len(subject.targets) < 2:
        return
    counts = torch.bincount(subject.targets)
    present = counts[counts > 0]
    ratio = float(present.max() / present.min())
    if ratio > _IMBALANCE:
        message = t("validation.imbalance", ratio=ratio)
        remedy = t("validation.imbalance_remedy")
        yield Result(Level.WARNING, message, subject.location, remedy, ratio)


@register_check(TargetSubject, Level.STRICT)
def agree_on_equal_inputs(subject: TargetSubject) -> Iterator[Result]:
    """Find equal inputs, and those with different targets."""
    prints = subject.fingerprints
    if prints is None or not subject.are_classes or len(prints) != len(subject.targets):
        return
    _, group, sizes = torch.unique(prints, return_inverse=True, return_counts=True)
    repeated = (len(prints) - len(sizes)) / max(len(prints), 1)
    if repeated > _DUPLICATES:
        message = t("validation.repeated", share=repeated)
        remedy = t("validation.repeated_remedy")
        yield Result(Level.WARNING, message, subject.location, remedy, repeated)
    lowest, highest = torch.full_like(sizes, 2**62), torch.full_like(sizes, -(2**62))
    lowest.scatter_reduce_(0, group, subject.targets.long(), "amin")
    highest.scatter_reduce_(0, group, subject.targets.long(), "amax")
    if conflicts := int((lowest != highest).sum()):
        message = t("validation.conflicts", inputs=conflicts)
        remedy = t("validation.conflicts_remedy")
        yield Result(Level.WARNING, message, subject.location, remedy, float(conflicts))
