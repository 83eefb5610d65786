"""Weights are loaded whole or not at all."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spikeformer.error_handling import ConfigurationError
from spikeformer.models.weights import put_file, refuse_keys, save_weights


class Tied(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(width)


def test_a_file_gives_back_every_tensor_in_its_precision(tmp_path):
    net = Tied().to(torch.bfloat16)
    save_weights(net, tmp_path / "w.safetensors")
    other = Tied()
    put_file(other, tmp_path / "w.safetensors")
    for name, tensor in net.state_dict().items():
        found = other.state_dict()[name]
        assert found.dtype == tensor.dtype
        assert torch.equal(found, tensor)
    assert other.first.weight is other.second.weight


def test_tied_weights_are_written_once(tmp_path):
    from safetensors import safe_open

    save_weights(Tied(), tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert len({"first.weight", "second.weight"} & set(file.keys())) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("norm.bias"), "absent: norm.bias"),
        (lambda s: s.update({"head.bias": torch.zeros(1)}), "unknown: head.bias"),
        (
            lambda s: s.update({"norm.bias": torch.zeros(5)}),
            r"of another shape: norm.bias \[5\] for \[4\]",
        ),
    ],
)
def test_other_weights_are_named_and_nothing_is_loaded(tmp_path, change, message):
    state = {key: value.clone() for key, value in Tied().state_dict().items()}
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    net = Tied()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(ConfigurationError, match=message):
        put_file(net, tmp_path / "w.safetensors")
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_long_lists_of_keys_are_cut():
    with pytest.raises(ConfigurationError, match=r"k5, \.\.\. \(9 in all\)"):
        refuse_keys("x", [f"k{i}" for i in range(9)], [], [])
    refuse_keys("x", [], [], [])
