"""Checks of the splits of a data set, side by side."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from spikeformer.i18n import t
from spikeformer.validation.data import SplitSample, SplitsSubject, TargetSubject
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result

_LEAKAGE = 0.1
"""Share of test samples in the training split from which a test says nothing."""


@register_check(SplitsSubject, Level.BASIC)
def have_samples(subject: SplitsSubject) -> Iterator[Result]:
    """Find splits that are empty, or smaller than a batch."""
    for name in ("train", "test"):
        if name not in subject.samples:
            message, remedy = t("validation.no_samples"), t("validation.no_samples_remedy")
            yield Result(Level.CRITICAL, message, name, remedy, 0.0)
    train = subject.samples.get("train")
    if train is not None and train.size < subject.batch_size:
        sizes = {"samples": train.size, "batch": subject.batch_size}
        message = t("validation.fewer_than_batch", **sizes)
        remedy = t("validation.fewer_than_batch_remedy")
        yield Result(Level.WARNING, message, "train", remedy, float(train.size))


@register_check(SplitsSubject, Level.STANDARD)
def do_not_overlap(subject: SplitsSubject) -> Iterator[Result]:
    """Find test and validation samples that are in the training split too."""
    samples = subject.samples
    for name in ("val", "test"):
        if name not in samples or "train" not in samples:
            continue
        seen = torch.isin(samples[name].fingerprints, samples["train"].fingerprints)
        share = float(seen.float().mean())
        if share == 0:
            continue
        counts = {"seen": int(seen.sum()), "samples": len(seen)}
        message = t("validation.leakage", **counts, share=share)
        remedy = t("validation.leakage_remedy")
        level = Level.ERROR if name == "test" and share >= _LEAKAGE else Level.WARNING
        yield Result(level, message, name, remedy, share)


@register_check(SplitsSubject, Level.STANDARD)
def have_the_same_classes(subject: SplitsSubject) -> Iterator[Result]:
    """Find classes that are tested and never trained."""
    samples = subject.samples
    if "train" not in samples or not _are_classes(samples["train"].targets):
        return
    trained = set(samples["train"].targets.tolist())
    for name in ("val", "test"):
        if name in samples and _are_classes(samples[name].targets):
            unknown = sorted(set(samples[name].targets.tolist()) - trained)
            if unknown:
                listed = ", ".join(map(str, unknown[:10]))
                message = t("validation.unknown_classes", listed=listed)
                remedy = t("validation.unknown_classes_remedy")
                yield Result(Level.WARNING, message, name, remedy, float(len(unknown)))


@register_check(SplitsSubject, Level.STRICT)
def come_from_one_distribution(subject: SplitsSubject) -> Iterator[Result]:
    """Find splits whose values lie on another scale than those of the training split."""
    samples = subject.samples
    reference = _values(samples, "train")
    for name in ("val", "test"):
        values = _values(samples, name)
        if reference is None or values is None or reference.std() == 0:
            continue
        shift = float((values.mean() - reference.mean()).abs() / reference.std())
        if shift > 1:
            message = t("validation.shifted", shift=shift)
            yield Result(Level.WARNING, message, name, t("validation.shifted_remedy"), shift)


def targets_of(subject: SplitsSubject, num_classes: int | None) -> list[TargetSubject]:
    """Return the targets of all splits, each a subject of its own."""
    return [
        TargetSubject(sample.targets, None, num_classes, sample.fingerprints, name)
        for name, sample in subject.samples.items()
    ]


def _values(samples: dict[str, SplitSample], name: str) -> Tensor | None:
    inputs = samples[name].inputs if name in samples else None
    return inputs if isinstance(inputs, Tensor) and inputs.is_floating_point() else None


def _are_classes(targets: Tensor) -> bool:
    return targets.ndim == 1 and not targets.is_floating_point()
