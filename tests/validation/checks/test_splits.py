from __future__ import annotations

import pytest
import torch

from spikeformer.data.datamodule import Splits
from spikeformer.data.datasets import TensorBatches
from spikeformer.validation import ComprehensiveValidator
from tests.validation.networks import vit
from tests.validation.samples import CLASSES, IMAGES, hits


def splits(train=slice(0, 40), val=slice(40, 48), test=slice(48, 64), images=IMAGES):
    parts = (TensorBatches(images[i], CLASSES[i]) for i in (train, val, test))
    return Splits(*parts)


SPLITS = {
    "leak": (splits(test=slice(39, 64)), "warning", "1 of 25 samples (4.0%)"),
    "large leak": (splits(test=slice(30, 60)), "error", "10 of 30 samples (33.3%)"),
    "validation": (splits(val=slice(36, 44)), "warning", "4 of 8 samples"),
    "empty": (splits(test=slice(0, 0)), "critical", "no samples"),
    "small": (splits(train=slice(0, 8)), "warning", "fewer than a batch of 32"),
    "classes": (
        splits(train=slice(0, 40, 2)),
        "warning",
        "that the training split has not",
    ),
    "scale": (splits(images=torch.cat([IMAGES[:48], IMAGES[48:] * 9])), "warning", "deviations"),
}


@pytest.mark.parametrize("name", SPLITS)
def test_splits_faults_are_found(name):
    data, severity, message = SPLITS[name]
    validator = ComprehensiveValidator("strict")
    results = validator.validate_splits(data, num_classes=4, batch_size=32)
    assert hits(results, severity, message), results


def test_healthy_splits_have_no_faults():
    validator = ComprehensiveValidator("comprehensive")
    assert validator.validate_splits(splits(), num_classes=4, batch_size=32, model=vit()) == []
