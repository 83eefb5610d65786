from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.neurons import AdLifNeuron, CubaLifNeuron, LifNeuron, ParametricLifNeuron
from spikeformer.profiling import OperationCounter
from tests.profiling.brute_force import conv_products, spikes_like
from tests.profiling.networks import Call, counted


@pytest.mark.parametrize("dimensions", [1, 3])
def test_convolutions_of_other_dimensions_are_unit_weights(dimensions):
    kind = {1: nn.Conv1d, 3: nn.Conv3d}[dimensions]
    layer = kind(3, 4, 3, stride=2, padding=1, bias=False)
    nn.init.ones_(layer.weight)
    x = spikes_like(2, 3, *[5] * dimensions)
    counts = counted(nn.Sequential(layer), x)["0:conv"]
    assert counts.acs == layer(x).sum().item()
    assert counts.dense == layer(torch.ones_like(x)).sum().item()


def test_a_transposed_convolution_is_unit_weights():
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1, bias=False)
    nn.init.ones_(layer.weight)
    x = spikes_like(2, 3, 4, 5)
    counts = counted(nn.Sequential(layer), x)["0:conv"]
    assert counts.acs == layer(x).sum().item()
    assert counts.dense == layer(torch.ones_like(x)).sum().item()


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("kind", [LifNeuron, ParametricLifNeuron, AdLifNeuron, CubaLifNeuron])
def test_neurons_are_updated_at_each_timestep(kind, backend):
    neuron, current = kind(backend=backend), torch.rand(2, 3, 4, 5) * 2
    spikes = neuron(current)
    counts = counted(nn.Sequential(neuron), current)["0:neuron"]
    assert (counts.neuron_updates, counts.spikes) == (120, spikes.sum())
    assert counts.timeline == tuple(spikes.sum((0, 2, 3)).tolist())
    assert counts.steps == 3
    assert counts.membranes == (40 if kind in (AdLifNeuron, CubaLifNeuron) else 20)


def test_the_ways_to_write_a_product_count_alike():
    a, b = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    ways = [
        torch.bmm,
        torch.matmul,
        lambda x, y: torch.einsum("bij,bjk->bik", x, y),
        lambda x, y: torch.baddbmm(torch.zeros(2, 3, 5), x, y),
    ]
    assert {counted(Call(way), a, b)["Call:matmul"].macs for way in ways} == {120}
    assert counted(Call(torch.mv), a[0], b[0, :, 0], samples=3)["Call:matmul"].macs == 12


def test_norms_and_embeddings():
    model = nn.Sequential(nn.Embedding(10, 6), nn.LayerNorm(6))
    layers = counted(model, torch.randint(10, (2, 3)))
    table, norm = layers["0:embedding"], layers["1:norm"]
    assert (table.weight_reads, table.activation_writes, table.weights, table.macs) == (
        36,
        36,
        60,
        0,
    )
    assert (norm.macs, norm.acs, norm.foldable_macs) == (72, 36, 0)
    batch = counted(nn.Sequential(nn.BatchNorm2d(3)), torch.randn(2, 3, 4, 4))["0:norm"]
    assert (batch.macs, batch.foldable_macs) == (0, 96)


def gates_by_hand(rnn: nn.RNNBase, x: torch.Tensor) -> int:
    """Return the products of all timesteps, layers and directions; x is (batch, steps, inputs)."""
    weights = [w for name, w in rnn.named_parameters() if name.startswith("weight")]
    return sum(w.numel() for w in weights) * x.shape[0] * x.shape[1]


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("inference", [False, True])
def test_recurrent_layers(kind, inference):
    rnn, x = kind(5, 4, num_layers=2, batch_first=True, bidirectional=True), torch.rand(2, 3, 5)
    with torch.inference_mode(inference), OperationCounter() as counter:
        rnn(x)
    counts = counter.works[0].counts()
    assert sum(layer.dense for layer in counts.layers) == gates_by_hand(rnn, x)
    assert (counts.samples, counts.timesteps) == (2, 1)  # a sequence is no simulated time
    assert counter.works[0].uncounted() == {}


def test_an_lstm_spares_what_spikes_spare():
    rnn, x = nn.LSTM(5, 4, batch_first=True), spikes_like(2, 3, 5)
    with torch.no_grad(), OperationCounter() as counter:
        rnn(x)
    (layer,) = counter.works[0].counts().layers
    assert layer.acs == 16 * x.sum()
    assert layer.macs == 2 * 2 * 4 * 16  # the first timestep has no output before it
    assert layer.skipped_macs == 2 * 1 * 4 * 16


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_recurrent_cells(kind):
    cell, x = kind(5, 4), torch.rand(2, 5)
    counts = counted(cell, x)
    assert sum(x.dense for x in counts.values()) == 2 * sum(
        w.numel() for n, w in cell.named_parameters() if n.startswith("weight")
    )


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers():
    quantisation = torch.ao.quantization
    net = nn.Sequential(
        quantisation.QuantStub(), nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 5)
    ).eval()
    net.qconfig = quantisation.get_default_qconfig(torch.backends.quantized.engine)
    x = torch.rand(2, 2, 4, 4)
    prepared = quantisation.prepare(net)
    prepared(x)
    counts = counted(quantisation.convert(prepared), x)
    _, dense = conv_products(x, nn.Conv2d(2, 3, 3, padding=1))
    assert [layer.dense for layer in counts.values()] == [dense, 2 * 48 * 5]

    dynamic = quantisation.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)), {nn.Linear})
    assert counted(dynamic, spikes_like(2, 4))["0:matmul"].dense == 2 * 4 * 3


def test_what_nobody_counts_is_named_with_its_share_of_the_time():
    @torch.library.custom_op("a_lab::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x @ x

    class Lab(nn.Module):
        def forward(self, x):
            return torch.cdist(twice(x), x).relu().sum(1, keepdim=True)

    class Raw(nn.Module):
        """Computes where torch does not see it."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return torch.from_numpy(x.numpy() * self.weight.detach().numpy())

    net = nn.Sequential(nn.Linear(4, 4), Lab(), Raw())
    with torch.no_grad(), OperationCounter() as counter:
        net(torch.rand(4, 4))
    uncounted = counter.works[0].uncounted()
    assert set(uncounted) == {"1 (_cdist_forward)", "1 (a_lab::twice)", "2"}
    assert all(0 < share < 1 for share in uncounted.values())
    assert sum(uncounted.values()) <= 1


def test_a_network_of_which_nothing_is_counted_is_still_named():
    class Distance(nn.Module):
        def forward(self, x):
            return torch.cdist(x, x)

    with OperationCounter() as counter:
        Distance()(torch.rand(3, 4))
    assert list(counter.works[0].uncounted()) == ["Distance (_cdist_forward)"]
