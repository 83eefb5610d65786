from __future__ import annotations

import math

import pytest
import torch

from spikeformer.validation import ComprehensiveValidator
from tests.validation.samples import CLASSES, IMAGES, LEVELS, changed, hits

# Inputs, targets, classes, severity, level, message.
TARGETS = {
    "count": (IMAGES, CLASSES[:5], 4, "critical", "basic", "5 targets for 64 samples"),
    "nan": (IMAGES, torch.full((64, 1), math.nan), None, "critical", "basic", "NaN or Inf"),
    "high": (IMAGES, CLASSES + 1, 4, "critical", "basic", "go from 1 to 4"),
    "low": (IMAGES, CLASSES - 1, 4, "critical", "basic", "go from -1 to 2"),
    "single": (IMAGES, CLASSES * 0, 4, "error", "standard", "All 64 samples are of class 0"),
    "missing": (IMAGES, CLASSES, 6, "warning", "standard", "no samples of 2 classes: 4, 5"),
    "imbalance": (IMAGES, (torch.arange(64) > 61).long(), 2, "warning", "strict", "31 times"),
    "repeated": (changed(slice(32), IMAGES[0]), CLASSES * 0 + (torch.arange(64) > 31), 2,
                 "warning", "strict", "48.4% of the samples repeat"),
    "conflict": (changed(1, IMAGES[0]), CLASSES, 4, "warning", "strict", "1 inputs occur with"),
}  # fmt: skip  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_targets_faults_are_found(name):
    data, targets, classes, severity, level, message = TARGETS[name]
    for each in LEVELS:
        validator = ComprehensiveValidator(each)
        results = validator.validate_input_data(data, targets=targets, num_classes=classes)
        expected = LEVELS.index(each) >= LEVELS.index(level)
        assert bool(hits(results, severity, message)) == expected, (each, results)
