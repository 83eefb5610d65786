"""Synapses with delays against their equation, and the gradient that moves them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import DelayLinear

DCLS = json.loads(Path(__file__).with_name("dcls.json").read_text())["kernels"]


def by_hand(layer: DelayLinear, x: torch.Tensor) -> torch.Tensor:
    """Compute y[t, o] = sum_i w[o, i] x[t - d[o, i], i] in loops."""
    y = torch.zeros(x.shape[0], x.shape[1], layer.out_features)
    for t in range(x.shape[1]):
        for o in range(layer.out_features):
            for i in range(layer.in_features):
                before = t - int(layer.delays[o, i])
                if before >= 0:
                    y[:, t, o] += layer.weight[o, i].detach() * x[:, before, i]
    return y


@pytest.mark.parametrize("max_delay", [0, 1, 4, 9])
@pytest.mark.parametrize("training", [True, False])
def test_currents_are_those_of_the_equation(max_delay, training):
    torch.manual_seed(0)
    layer = DelayLinear(3, 2, max_delay).train(training)
    x = torch.randint(2, (2, 7, 3)).float()
    torch.testing.assert_close(layer(x), by_hand(layer, x))
    assert 0 <= layer.delays.min() <= layer.delays.max() <= max_delay


def test_without_delays_it_is_a_dense_layer():
    layer, x = DelayLinear(5, 4, 0), torch.rand(3, 6, 5)
    torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, layer.weight))
    assert not layer.position.requires_grad


@pytest.mark.parametrize("parts", [[1] * 9, [4, 5], [9]])
def test_parts_with_their_history_give_the_whole(parts):
    torch.manual_seed(0)
    layer, x = DelayLinear(3, 2, 4), torch.rand(2, 9, 3)
    history, found = layer.initial_history(x), []
    for part in x.split(parts, dim=1):
        y, history = layer(part, history)
        found.append(y)
    torch.testing.assert_close(torch.cat(found, dim=1), layer(x))


def test_the_gradients_are_those_of_the_gaussian_kernel():
    torch.manual_seed(0)
    layer, x = DelayLinear(2, 3, 5, width=1.5), torch.rand(2, 8, 2)
    wanted = torch.rand(2, 8, 3)
    (layer(x) * wanted).sum().backward()
    weight, position = (p.detach().clone().requires_grad_() for p in layer.parameters())
    steps = torch.arange(6.0)
    near = torch.exp(-((steps - position[..., None]) ** 2) / (2 * 1.5**2))
    near = near / near.sum(dim=-1, keepdim=True)
    late = torch.stack([torch.nn.functional.pad(x, (0, 0, d, 0))[:, :8] for d in range(6)])
    # Of positions through the Gaussian; of weights through where the spikes really arrive.
    smooth = torch.einsum("oi,oid,dbti->bto", weight.detach(), near, late)
    (smooth * wanted).sum().backward()
    torch.testing.assert_close(layer.position.grad, position.grad)
    whole = (layer.delays[..., None] == steps).float()
    hard = torch.einsum("oi,oid,dbti->bto", weight, whole, late)
    (hard * wanted).sum().backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad)


@pytest.mark.parametrize("case", DCLS, ids=lambda case: f"{case['max_delay']}-{case['width']}")
def test_positions_learn_as_in_the_authors_package(case):
    """`scripts/dcls_kernels.py` wrote what DCLS makes; it adds 1e-7 to the sum of a Gaussian."""
    given = {name: torch.tensor(case[name]).double() for name in case}
    layer = DelayLinear(2, 3, case["max_delay"], width=case["width"]).double()
    layer.weight.data, layer.position.data = given["weight"], given["position"]
    (layer.kernel() * given["upstream"]).sum().backward()
    close = {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(layer.position.grad, given["position_gradient"], **close)
    # What is whole here is where the authors' kernel, which is rounded in the end, is largest.
    assert torch.equal(layer.delays, given["kernel"].abs().argmax(dim=-1))
    narrow = given["kernel"].sum(dim=-1)
    torch.testing.assert_close(layer.kernel().sum(dim=-1), narrow, **close)


def test_a_delay_is_found_by_its_gradient():
    """One spike in, wanted five steps later: the position goes there from two."""
    layer = DelayLinear(1, 1, 8, width=2.0)
    layer.weight.data.fill_(1.0)
    layer.position.data.fill_(2.0)
    layer.weight.requires_grad_(False)
    x = torch.zeros(1, 12, 1)
    x[0, 1] = 1
    optimizer = torch.optim.Adam([layer.position], lr=0.1)
    for _ in range(80):
        optimizer.zero_grad()
        (-layer(x)[0, 6, 0]).backward()
        optimizer.step()
    assert layer.delays.item() == 5
    assert layer(x)[0, :, 0].detach().argmax() == 6


@pytest.mark.parametrize("options", [{"max_delay": -1}, {"max_delay": 3, "width": 0.0}])
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ArgumentError):
        DelayLinear(2, 2, **options)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (1, 2, 3, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(SpikingDynamicsError, match="in_features=2"):
        DelayLinear(2, 2, 3)(torch.rand(shape))
