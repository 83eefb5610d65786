"""Checks of targets."""

from __future__ import annotations

from collections.abc import Iterator

import torch

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
        message = f"There are {len(subject.targets):,} targets for {subject.num_samples:,} samples."
        yield Result(Level.CRITICAL, message, subject.location, "Pair them before loading.")


@register_check(TargetSubject, Level.BASIC)
def are_finite(subject: TargetSubject) -> Iterator[Result]:
    """Find NaN and Inf in targets."""
    if subject.targets.is_floating_point() and not torch.isfinite(subject.targets).all():
        bad = int((~torch.isfinite(subject.targets)).sum())
        message = f"{bad:,} targets are NaN or Inf."
        yield Result(Level.CRITICAL, message, subject.location, "Leave them out.", float(bad))


@register_check(TargetSubject, Level.BASIC)
def are_known_classes(subject: TargetSubject) -> Iterator[Result]:
    """Find classes outside of 0 to num_classes - 1."""
    if not subject.are_classes or not len(subject.targets):
        return
    low, high = int(subject.targets.min()), int(subject.targets.max())
    if low < 0 or (subject.num_classes is not None and high >= subject.num_classes):
        most = "" if subject.num_classes is None else f" to {subject.num_classes - 1}"
        message = f"Classes go from {low} to {high}, but should from 0{most}."
        remedy = "Count classes from 0, or raise data.num_classes."
        yield Result(Level.CRITICAL, message, subject.location, remedy, float(high))


@register_check(TargetSubject, Level.STANDARD)
def are_several_classes(subject: TargetSubject) -> Iterator[Result]:
    """Find a single class, and classes without samples."""
    if not subject.are_classes or len(subject.targets) < 2:
        return
    counts = torch.bincount(subject.targets, minlength=subject.num_classes or 0)
    present = int((counts > 0).sum())
    if present == 1:
        message = f"All {len(subject.targets):,} samples are of class {int(counts.argmax())}."
        yield Result(Level.ERROR, message, subject.location, "There is nothing to tell apart.")
    elif subject.num_classes is not None and present < subject.num_classes:
        missing = [str(i) for i, count in enumerate(counts.tolist()) if not count]
        message = f"There are no samples of {len(missing)} classes: {', '.join(missing[:10])}."
        remedy = "Lower data.num_classes, or bring samples of them."
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
        message = f"The largest class has {ratio:.3g} times the samples of the smallest."
        remedy = "Weight the loss, or draw samples by class; accuracy alone will mislead."
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
        message = f"{repeated:.1%} of the samples repeat another one."
        remedy = "They count several times; leave the copies out."
        yield Result(Level.WARNING, message, subject.location, remedy, repeated)
    lowest, highest = torch.full_like(sizes, 2**62), torch.full_like(sizes, -(2**62))
    lowest.scatter_reduce_(0, group, subject.targets.long(), "amin")
    highest.scatter_reduce_(0, group, subject.targets.long(), "amax")
    if conflicts := int((lowest != highest).sum()):
        message = f"{conflicts:,} inputs occur with different classes."
        remedy = "No network can be right about both; look at the labels."
        yield Result(Level.WARNING, message, subject.location, remedy, float(conflicts))
