from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.metrics import SynapticOperations, fan_out

CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 0)},
    {"kernel_size": 3, "dilation": 2, "padding": 2},
    {"kernel_size": 2, "stride": 3},
    {"kernel_size": 3, "padding": 1, "groups": 2},
    {"kernel_size": 1, "groups": 4},
]


def synapses(layer, channel, row, column, size):
    """Count, window by window, the outputs that one input pixel reaches."""
    (kh, kw), (sh, sw) = layer.kernel_size, layer.stride
    (ph, pw), (dh, dw) = layer.padding, layer.dilation
    height = (size[0] + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    width = (size[1] + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    reached = 0
    for i in range(height):
        for j in range(width):
            rows = [i * sh + a * dh - ph for a in range(kh)]
            columns = [j * sw + b * dw - pw for b in range(kw)]
            reached += rows.count(row) * columns.count(column)
    return reached * layer.out_channels // layer.groups


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_fan_out_of_convolutions_against_a_loop(options):
    layer, size = nn.Conv2d(4, 8, **options), (6, 7)
    x = torch.rand(2, 4, *size)
    reach = fan_out(layer, x).expand_as(x)
    for row in range(size[0]):
        for column in range(size[1]):
            for channel in range(4):
                expected = synapses(layer, channel, row, column, size)
                assert reach[1, channel, row, column].item() == expected


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_operations_of_convolutions_are_the_output_with_unit_weights(options):
    layer = nn.Conv2d(4, 8, bias=False, **options)
    nn.init.ones_(layer.weight)
    spikes = (torch.rand(3, 4, 6, 7) < 0.3).float()
    metric = SynapticOperations()
    metric.update(spikes, layer, num_samples=3)
    assert metric.compute().item() == pytest.approx(layer(spikes).sum().item() / 3)


def test_operations_of_a_dense_layer():
    layer = nn.Linear(5, 7)
    metric = SynapticOperations()
    spikes = (torch.rand(4, 3, 5) < 0.5).float()
    metric.update(spikes, layer, num_samples=4)
    metric.update(torch.zeros(2, 3, 5), layer, num_samples=2)
    assert metric.compute().item() == pytest.approx(spikes.sum().item() * 7 / 6)
    assert fan_out(layer, spikes).item() == 7


def test_two_spikes_at_once_and_signed_spikes_count():
    metric = SynapticOperations()
    metric.update(torch.tensor([[2.0, -1.0, 0.0]]), nn.Linear(3, 4), num_samples=1)
    assert metric.compute().item() == 12.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fractions_of_integer_neurons_are_as_many_spikes_as_they_say(dtype):
    metric = SynapticOperations(max_spikes=3)
    counts = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    metric.update((counts / 3).to(dtype), nn.Linear(4, 5), num_samples=1)
    assert metric.compute().item() == 6 * 5


def test_half_precision_loses_no_operation():
    metric = SynapticOperations()
    spikes = torch.ones(1, 3, dtype=torch.bfloat16)
    metric.update(spikes, nn.Linear(3, 1001, dtype=torch.bfloat16), num_samples=1)
    assert metric.compute().item() == 3003.0


def test_reset_and_nothing_seen():
    metric = SynapticOperations()
    metric.update(torch.ones(1, 3), nn.Linear(3, 4), num_samples=1)
    metric.reset()
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert metric.compute().item() == 0.0


def test_two_processes_add_up():
    layer, spikes = nn.Linear(3, 4), [torch.ones(2, 3), torch.eye(3)]
    parts = [SynapticOperations(), SynapticOperations()]
    whole = SynapticOperations()
    for part, s in zip(parts, spikes, strict=True):
        part.update(s, layer, num_samples=len(s))
        whole.update(s, layer, num_samples=len(s))
    operations = sum(part.operations for part in parts) / sum(part.samples for part in parts)
    assert whole.compute().item() == pytest.approx(operations.item())
    assert all(r(torch.tensor([1.0, 2.0])) == 3 for r in whole._reductions.values())


@pytest.mark.parametrize("layer", [nn.Conv1d(1, 1, 1), nn.Conv2d(1, 1, 3, padding="same"), F.relu])
def test_other_layers_are_refused(layer):
    with pytest.raises(ArgumentError, match=r"nn.Linear or nn.Conv2d"):
        fan_out(layer, torch.ones(1, 1, 4, 4))
