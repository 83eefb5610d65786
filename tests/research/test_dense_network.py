from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.research import DenseSpikingNetwork, MetaplasticHead, MetaplasticSynapses


def test_dense_spiking_network_and_metaplastic_head():
    network = DenseSpikingNetwork(2, [3, 4], 16, 3, timesteps=5, synapses=MetaplasticSynapses)
    images = torch.rand(7, 2, 3, 4)
    features = network(images)
    assert features.shape == (7, 5, 1, 16)
    assert sum(isinstance(m, MetaplasticSynapses) for m in network.modules()) == 3
    assert MetaplasticHead(16, 10)(features).shape == (7, 5, 10)
    with pytest.raises(SpikingDynamicsError, match=r"\(batch, 2, 3, 4\)"):
        network(torch.rand(7, 3, 4))
    with pytest.raises(ArgumentError, match="image_size"):
        DenseSpikingNetwork(2, [3, 0])
