from __future__ import annotations

import pytest
import torch

from tests.conversion.networks import mlp


@pytest.fixture
def network():
    """Weights that tell classes well apart, as training leaves them."""
    net = mlp()
    with torch.no_grad():
        net[-1].weight.mul_(10)
    return net
