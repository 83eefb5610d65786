"""States of models, kept and restored."""

from __future__ import annotations

import pytest
import torch

from spikeformer.caching import (
    ModelStateCache,
)
from spikeformer.error_handling import ArgumentError


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_model_returns_to_its_state_or_stays(tmp_path, on_disk):
    tiers = {"memory_mib": 0, "folder": tmp_path} if on_disk else {}
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    states = ModelStateCache(**tiers)
    key = states.cache_model_state(model, 2, 30)
    assert key.startswith("epoch2-step30-")
    assert states.cache_model_state(model, 2, 30) == key
    before = {name: x.clone() for name, x in model.state_dict().items()}
    model(torch.randn(8, 2))
    torch.nn.init.zeros_(model[0].weight)
    assert states.restore_model_state(model, key) is True
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert states.restore_model_state(model, "epoch9-step9-none") is False
    other = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU())
    other.append(torch.nn.Linear(3, 1))
    kept = other[0].weight.clone()
    with pytest.raises(ArgumentError, match="absent in the state"):
        states.restore_model_state(other, key)
    assert torch.equal(other[0].weight, kept)
