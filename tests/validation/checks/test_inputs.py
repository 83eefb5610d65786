from __future__ import annotations

import math

import pytest
import torch

from spikeformer.validation import ComprehensiveValidator
from tests.validation.networks import vit
from tests.validation.samples import CLASSES, IDS, IMAGES, LEVELS, changed, hits, rate_coded, text

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
    "reals": ({"input_ids": IDS.float()}, text, "error", "basic", "integer tokens"),
    "mask": (
        {"input_ids": IDS, "mask": torch.tensor([[1], [0], [1]]).expand(-1, 4).bool()},
        text,
        "error",
        "standard",
        "1 sequences have no real token",
    ),
    "lengths": ({"a": IDS, "mask": IDS[:2]}, None, "critical", "basic", "2 and 3 samples"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_faults_are_found(name):
    data, make, severity, level, message = INPUTS[name]
    model = make and make()
    for each in LEVELS:
        results = ComprehensiveValidator(each).validate_input_data(data, model=model)
        expected = LEVELS.index(each) >= LEVELS.index(level)
        assert bool(hits(results, severity, message)) == expected, (each, results)


def test_healthy_inputs_and_targets_have_no_faults():
    validator = ComprehensiveValidator("comprehensive")
    for model in (vit(), rate_coded()):
        found = validator.validate_input_data(IMAGES, targets=CLASSES, num_classes=4, model=model)
        assert found == []
    ids = {"input_ids": IDS, "mask": IDS >= 0}
    found = validator.validate_input_data(ids, targets=torch.tensor([0, 1, 0]), model=text())
    assert found == []
