"""Faults planted in data are found."""

from __future__ import annotations

import math

import pytest
import torch

from spikeformer.data.datamodule import Splits
from spikeformer.data.datasets import TensorBatches, TokenBatches
from spikeformer.encoding import RateCoding
from spikeformer.models import ClassificationHead, SpikingNetwork, SpikingTransformer
from spikeformer.validation import ComprehensiveValidator
from spikeformer.validation.data import fingerprints
from tests.validation.networks import vit

IMAGES = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(64) % 4


def changed(index, value):
    images = IMAGES.clone()
    images[index] = value
    return images


def rate_coded():
    return vit(encoding=RateCoding(4))


def text():
    backbone = SpikingTransformer(50, d_model=16, nhead=2, num_layers=1, timesteps=2)
    return SpikingNetwork(backbone, ClassificationHead(16, 2))


IDS = torch.arange(12).view(3, 4)
# Inputs, network, severity, level, message.
INPUTS = {
    "empty": (IMAGES[:0], None, "critical", "basic", "empty"),
    "nan": (changed(3, math.nan), None, "critical", "basic", "64 values in 1 samples are NaN"),
    "inf": (changed((0, 0, 0, 0), math.inf), None, "critical", "basic", "1 values in 1 samples"),
    "complex": (IMAGES.to(torch.complex64), None, "error", "basic", "complex64"),
    "double": (IMAGES.double(), None, "warning", "basic", "float64"),
    "bytes": ((IMAGES * 255).byte(), vit, "error", "basic", "these are uint8"),
    "shape": (IMAGES[:, :, :7], vit, "error", "basic", "the network takes (1, 8, 8)"),
    "unscaled": (IMAGES * 255, None, "warning", "standard", "look unscaled"),
    "range": (IMAGES * 2 - 1, rate_coded, "error", "standard", "the encoder takes 0 to 1"),
    "alike": (IMAGES[:1].expand(9, -1, -1, -1), None, "error", "standard", "the same"),
    "blank": (changed(slice(8), 0.5), None, "warning", "standard", "12.5% of the samples"),
    "constant": (changed((slice(None), 0, 0), 0), None, "info", "comprehensive", "12.5% of"),
    "tokens": ({"input_ids": IDS * 10}, text, "error", "basic", "Tokens go from 0 to 110"),
    "negative": ({"input_ids": IDS - 1}, text, "error", "basic", "Tokens go from -1"),
    "reals": ({"input_ids": IDS.float()}, text, "error", "basic", "whole-number tokens"),
    "mask": (
        {"input_ids": IDS, "mask": torch.tensor([[1], [0], [1]]).expand(-1, 4).bool()},
        text,
        "error",
        "standard",
        "1 sequences have no real token",
    ),
    "lengths": ({"a": IDS, "mask": IDS[:2]}, None, "critical", "basic", "2 and 3 samples"),
}
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
}  # fmt: skip
LEVELS = ["basic", "standard", "strict", "comprehensive"]


def hits(results, severity, message):
    return [r for r in results if r.level.value == severity and message in r.message]


@pytest.mark.parametrize("name", INPUTS)
def test_fault_in_inputs(name):
    data, make, severity, level, message = INPUTS[name]
    model = make and make()
    for each in LEVELS:
        results = ComprehensiveValidator(each).validate_input_data(data, model=model)
        expected = LEVELS.index(each) >= LEVELS.index(level)
        assert bool(hits(results, severity, message)) == expected, (each, results)


@pytest.mark.parametrize("name", TARGETS)
def test_fault_in_targets(name):
    data, targets, classes, severity, level, message = TARGETS[name]
    for each in LEVELS:
        validator = ComprehensiveValidator(each)
        results = validator.validate_input_data(data, targets=targets, num_classes=classes)
        expected = LEVELS.index(each) >= LEVELS.index(level)
        assert bool(hits(results, severity, message)) == expected, (each, results)


def test_healthy_data_have_no_faults():
    validator = ComprehensiveValidator("comprehensive")
    for model in (vit(), rate_coded()):
        found = validator.validate_input_data(IMAGES, targets=CLASSES, num_classes=4, model=model)
        assert found == []
    ids = {"input_ids": IDS, "mask": IDS >= 0}
    found = validator.validate_input_data(ids, targets=torch.tensor([0, 1, 0]), model=text())
    assert found == []


def test_the_network_validated_last_is_taken():
    validator, model = ComprehensiveValidator(), vit()
    assert validator.validate_input_data(IMAGES[:, :, :7]) == []
    validator.validate_model(model)
    assert hits(validator.validate_input_data(IMAGES[:, :, :7]), "error", "shape")


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
def test_fault_in_splits(name):
    data, severity, message = SPLITS[name]
    validator = ComprehensiveValidator("strict")
    results = validator.validate_splits(data, num_classes=4, batch_size=32)
    assert hits(results, severity, message), results


def test_healthy_splits_have_no_faults():
    validator = ComprehensiveValidator("comprehensive")
    assert validator.validate_splits(splits(), num_classes=4, batch_size=32, model=vit()) == []


def test_equal_samples_have_equal_fingerprints_in_every_batch():
    rows = torch.rand(50, 3, 5)
    alone = torch.cat([fingerprints(row[None]) for row in rows])
    assert torch.equal(fingerprints(rows), alone)
    assert len(alone.unique()) == 50
    changed = rows.clone()
    changed[7, 2, 4] += 1e-6
    assert (fingerprints(changed) != alone).nonzero().flatten().tolist() == [7]
    swapped = rows[:, :, [1, 0, 2, 3, 4]]
    assert not (fingerprints(swapped) == alone).any()


def test_padding_does_not_change_a_fingerprint():
    data = TokenBatches([[5, 0], [5, 0, 7, 9], [5]], torch.tensor([0, 1, 0]), pad_id=0)
    together = fingerprints(data.__getitems__([0, 1, 2])[0])
    alone = torch.cat([fingerprints(data.__getitems__([i])[0]) for i in range(3)])
    assert torch.equal(together, alone)
    assert len(alone.unique()) == 3


def test_every_modality_counts_in_a_fingerprint():
    seen, heard = torch.rand(6, 1, 4, 4), 2 * torch.rand(6, 50) - 1
    for named in ({"audio": heard}, {"vision": seen}, {"vision": seen, "audio": heard}):
        whole = fingerprints(named)
        assert len(set(whole.tolist())) == 6
        one = {name: x[2:3] for name, x in named.items()}
        assert torch.equal(fingerprints(one), whole[2:3])
        for name, x in named.items():
            changed = x.clone()
            changed[4] *= 0.999
            differs = fingerprints({**named, name: changed}) != whole
            assert differs.nonzero().flatten().tolist() == [4]
    # Equal values in two modalities do not cancel out.
    twice = {"left": heard, "right": heard}
    assert not torch.equal(
        fingerprints(twice), fingerprints({"left": heard, "right": heard.roll(1, 0)})
    )
