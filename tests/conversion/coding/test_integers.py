from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from spikeformer.conversion import Activity, Coding, SpikeformerConverter
from spikeformer.conversion.coding import integers
from spikeformer.conversion.coding.integers import EXACT_STEPS, PackedWeight, PackedWeights
from tests.conversion.networks import images, relative, vit_classifier

needs_bytes = pytest.mark.skipif(
    not integers.takes(Coding()), reason="this CPU does not multiply bytes"
)


@pytest.fixture
def products(monkeypatch):
    """Let every linear layer multiply in integers, however small; list those that did."""
    seen = []
    accumulate = PackedWeight.accumulate

    def noted(self, events, before, first_step):
        seen.append(tuple(events.shape))
        return accumulate(self, events, before, first_step)

    monkeypatch.setattr(integers, "MIN_PRODUCTS", 1)
    monkeypatch.setattr(PackedWeight, "accumulate", noted)
    return seen


def some_events(steps, rows, inputs):
    sizes = 2.0 ** torch.randint(0, 8, (steps, rows, inputs))
    events = sizes * torch.randint(-1, 2, sizes.shape)
    return events, (events + 128).clamp(max=255).to(torch.uint8)


@needs_bytes
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (5, 67, 31), (70, 64, 96)])
def test_sums_of_events_are_those_of_real_numbers(rows, inputs, outputs):
    weight, theta = torch.randn(outputs, inputs), torch.rand(inputs) * 3 + 0.1
    bias = torch.randn(outputs)
    events, written = some_events(6, rows, inputs)
    assert inputs == 1 or (events == 128).any()
    steps = torch.arange(1, 7)[:, None, None]
    wanted = (events * theta / 128 / steps).double().cumsum(0) @ weight.double().T + bias
    packed = PackedWeight.of(weight, theta)
    first = packed.accumulate(written[:4], bias, 1)
    ours = torch.cat([first, packed.accumulate(written[4:], first[-1], 5)])
    scale = wanted.abs().amax()
    assert (ours - wanted)[:EXACT_STEPS].abs().amax() < 3e-6 * scale
    # Here later events are as large as the first, which costs what the last part is worth.
    assert (ours - wanted).abs().amax() < 1e-4 * scale


@needs_bytes
def test_three_parts_are_as_exact_as_float32():
    weight, theta = torch.randn(64, 256) * 0.02, torch.rand(256) + 0.5
    events, written = some_events(1, 32, 256)
    rates = events[0] * theta / 128
    wanted = rates.double() @ weight.double().T
    ours = PackedWeight.of(weight, theta).accumulate(written, torch.zeros(64), 1)[0]
    missing = (events[0] == 128).float() @ (theta / 128 * weight).T
    assert missing.norm() > 1e-4 * wanted.norm()
    single = nn.functional.linear(rates, weight)
    assert relative(ours, wanted) < 4 * relative(single.double(), wanted)


def test_only_whole_multiples_of_a_byte_are_taken():
    assert not integers.takes(Coding(levels=9))
    assert not integers.takes(Coding(mantissa=1))
    assert not integers.takes(Coding("binary"))


@needs_bytes
def test_weights_are_packed_once_and_again_when_they_change():
    weight, theta, kept = torch.randn(4, 8), torch.ones(8), PackedWeights()
    packed = kept.get("layer", weight, theta)
    assert kept.get("layer", weight, theta) is packed
    weight.mul_(2.0)
    changed = kept.get("layer", weight, theta)
    torch.testing.assert_close(changed.units[0], 2 * packed.units[0])
    torch.testing.assert_close(kept.get("layer", weight, theta * 2).units[0], 4 * packed.units[0])


@needs_bytes
@pytest.mark.parametrize("chunk", [3, 8])
def test_a_network_computes_the_same(products, chunk):
    network, example = vit_classifier(), images(3)
    snn = SpikeformerConverter(timesteps=8).convert(network, example)
    snn.chunk = chunk
    outputs, events = [], []
    for snn.integers in (False, True):
        activity = Activity(snn.plan, snn.coding)
        with torch.no_grad(), snn.recording(activity):
            snn(**example)
        with torch.no_grad():
            outputs.append(snn(**example).logits)
            assert bool(products) is snn.integers
        events.append(activity.events())
    assert sum(shape[0] for shape in products) == 2 * 8 * 13  # layers, recorded and not
    original = network(**example).logits
    assert events[1] == pytest.approx(events[0], rel=5e-3)
    # What rounding moves to the other side of a level is made up for later.
    assert relative(outputs[1], original) < relative(outputs[0], original) + 2e-3


@needs_bytes
def test_gradients_and_copies_do_without(products):
    example = images(2)
    snn = SpikeformerConverter(timesteps=2).convert(vit_classifier(), example)
    snn(**example).logits.sum().backward()
    assert not products
    with torch.no_grad():
        snn(**example)
    assert products
    assert not copy.deepcopy(snn)._weights._kept


@needs_bytes
def test_an_input_that_a_convolution_shares_stays_in_floating_point(products):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.linear = nn.Linear(8, 8), nn.Linear(8, 8)
            self.convolution = nn.Conv1d(8, 8, 1)

        def forward(self, x):
            x = self.first(x).relu()
            return self.linear(x) + self.convolution(x)

    x = torch.randn(3, 8, 8)
    network = Net().eval()
    snn = SpikeformerConverter(timesteps=8).convert(network, x)
    with torch.no_grad():
        assert relative(snn(x), network(x)) < 0.02
    assert not products
