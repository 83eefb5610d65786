from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from spikeformer.instrument import copy_network, uncompiled


def pruned(layer):
    return prune.l1_unstructured(layer, "weight", 0.5)


class Cached(nn.Linear):
    def forward(self, x):
        self.cache = {"weight": self.weight * 2}
        return super().forward(x)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.utils.weight_norm(nn.Linear(6, 4)),
        lambda: parametrizations.weight_norm(nn.Linear(6, 4)),
        lambda: pruned(nn.Linear(6, 4)),
        lambda: Cached(6, 4),
    ],
    ids=["weight_norm", "parametrized", "pruned", "cached"],
)
def test_a_network_with_computed_weights_is_copied(make):
    network, x = nn.Sequential(make()), torch.randn(3, 6)
    expected = network(x)
    copied = copy_network(network)
    assert torch.equal(copied(x), expected)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1.0)
    assert torch.equal(network(x), expected)
    assert not torch.equal(copied(x), expected)


def test_what_is_shared_is_not_copied():
    network = nn.Linear(6, 4)
    copied = copy_network(network, {id(network.weight): network.weight})
    assert copied.weight is network.weight
    assert copied.bias is not network.bias


def test_compiled_modules_lose_their_wrappers():
    network = nn.Sequential(torch.compile(nn.Linear(6, 4), backend="eager"), nn.ReLU())
    plain = uncompiled(torch.compile(network, backend="eager"))
    assert plain is network
    assert [path for path, _ in plain.named_modules()] == ["", "0", "1"]
