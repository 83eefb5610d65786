"""Fine-tuning sees the weights that quantisation makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.hardware import RoundedWeights, lower, quantise
from spikeformer.hardware.rounding import RoundedWeight
from spikeformer.models import DelayLinear
from spikeformer.models.mechanisms import QKTokenAttention, SpikeDrivenAttention
from tests.hardware.networks import heard, images, vit


@pytest.mark.parametrize("mechanism", [QKTokenAttention, SpikeDrivenAttention])
@pytest.mark.parametrize("residual", ["membrane", "sew"])
def test_rounded_weights_lie_on_the_chips_grid(mechanism, residual):
    net = vit(mechanism=mechanism, residual=residual, blocks=2)
    with RoundedWeights(net, (1, 6, 6)) as rounding:
        lowered = lower(net, (1, 6, 6))
        checked = set()
        for projection in lowered.graph.synapses:
            place = (projection.source, projection.target)
            if place in lowered.layers:
                layer, _ = lowered.layers[place]
                units = projection.operator.weights * float(rounding.layers[layer].scale)
                np.testing.assert_allclose(units, np.rint(units), atol=1e-3)
                checked.add(layer)
    assert checked == set(rounding.layers) or not rounding.layers
    assert len(checked) == 2 + 2 * 4


def test_scale_is_the_coarsest_of_the_populations_it_reaches():
    net = vit(blocks=2)
    neurons = quantise(lower(net, (1, 6, 6)).graph).neurons
    layers = lower(net, (1, 6, 6)).layers
    with RoundedWeights(net, (1, 6, 6)) as rounding:
        for layer, found in rounding.layers.items():
            reached = [neurons[t].scale for (_, t), (name, _) in layers.items() if name == layer]
            assert float(found.scale) == pytest.approx(min(reached))


def test_leaving_gives_the_trained_weights_back():
    net = vit()
    names = [name for name, _ in net.named_parameters()]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with RoundedWeights(net, (1, 6, 6)):
        outputs = net(images(4))
    assert [name for name, _ in net.named_parameters()] == names
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert outputs.shape == net(images(4)).shape


def test_first_layer_of_direct_coding_stays_on_the_host():
    net = vit()
    with RoundedWeights(net, (1, 6, 6)) as rounding:
        assert "backbone.stem.convs.0.conv" not in rounding.layers


def test_gradient_passes_the_rounding():
    weight = torch.tensor([[0.3, -0.7], [0.11, 0.0]], requires_grad=True)
    rounding = RoundedWeight(None, 255)
    assert rounding(weight) is weight
    rounding.scale.fill_(10.0)
    rounded = rounding(weight)
    torch.testing.assert_close(rounded, torch.tensor([[0.3, -0.7], [0.1, 0.0]]))
    (rounded * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    torch.testing.assert_close(weight.grad, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))


def test_rounding_happens_behind_the_norm():
    norm = nn.BatchNorm1d(2, eps=0.0).eval()
    norm.weight.data = torch.tensor([2.0, 0.0])
    norm.running_var.data = torch.tensor([4.0, 1.0])
    rounding = RoundedWeight(norm, 255)
    rounding.scale.fill_(4.0)
    weight = torch.tensor([[0.3, 0.4], [0.3, 0.4]])
    # The first channel's factor is 2 / sqrt(4) = 1; the second is switched off.
    torch.testing.assert_close(rounding(weight)[0], torch.tensor([0.25, 0.5]))
    assert torch.isfinite(rounding(weight)).all()


def test_synapses_with_delays_are_rounded_and_go_on_learning():
    net, events = heard(max_delay=6)
    shape = tuple(events.shape[1:])
    layers = [layer for layer in net.modules() if isinstance(layer, DelayLinear)]
    with RoundedWeights(net, shape) as rounding:
        lowered, lags = lower(net, shape), set()
        for projection in lowered.graph.synapses:
            place = (projection.source, projection.target)
            if place in lowered.layers:
                layer, _ = lowered.layers[place]
                units = projection.operator.weights * float(rounding.layers[layer].scale)
                np.testing.assert_allclose(units, np.rint(units), atol=1e-3)
                lags.add(projection.lag)
        assert lags == set(range(7))
        assert {f"backbone.layers.{i}" for i in range(2)} <= set(rounding.layers)
        before = [
            (layer.weight.detach().clone(), layer.position.detach().clone()) for layer in layers
        ]
        optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        loss = nn.functional.cross_entropy(net.train()(events).mean(dim=1), torch.arange(5) % 3)
        loss.backward()
        optimizer.step()
        rounding.fit_scales()
        after = [(layer.weight.detach(), layer.position.detach()) for layer in layers]
    for old, new in zip(before, after, strict=True):
        assert not torch.equal(old[0], new[0])
        assert not torch.equal(old[1], new[1])
