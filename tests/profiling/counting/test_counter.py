from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import AdLifNeuron, IntegerLifNeuron, LifNeuron, ParametricLifNeuron
from spikeformer.profiling import LayerCounts, OperationCounter
from tests.profiling.brute_force import conv_products, matmul_products, spikes_like


class Call(nn.Module):
    """A module that calls a function."""

    def __init__(self, function, *children):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(children)

    def forward(self, *inputs):
        return self.function(*self.parts, *inputs)


def counted(model, *inputs, samples=None) -> dict[str, LayerCounts]:
    with torch.no_grad(), OperationCounter() as counter:
        model(*inputs)
    (work,) = counter.works
    assert work.samples == (samples or inputs[0].shape[0])
    return {f"{layer.name}:{layer.kind}": layer for layer in work.counts().layers}


CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 0)},
    {"kernel_size": 3, "dilation": 2, "padding": 2},
    {"kernel_size": 3, "padding": 1, "groups": 2},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("spiking", [True, False])
def test_convolutions_against_a_loop(options, spiking):
    layer = nn.Conv2d(4, 6, **options)
    x = spikes_like(2, 4, 5, 6)
    x = x if spiking else x * torch.randn_like(x)
    effective, dense = conv_products(x, layer)
    counts = counted(nn.Sequential(layer), x)["0:conv"]
    assert counts.dense == dense
    if spiking:
        assert (counts.acs, counts.macs, counts.events) == (sum(effective), 0, x.sum())
    else:
        assert (counts.macs, counts.acs) == (sum(effective), 0)
        assert counts.skipped_macs == dense - sum(effective)
        assert counts.weight_reads == counts.activation_reads == dense


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


@pytest.mark.parametrize("bias", [True, False])
def test_dense_layers_against_a_loop(bias):
    layer = nn.Linear(5, 7, bias=bias)
    spikes, values = spikes_like(3, 5), torch.randn(3, 5) * spikes_like(3, 5)
    effective, dense = matmul_products(spikes, torch.ones(5, 7))
    counts = counted(nn.Sequential(layer), spikes)["0:linear"]
    assert (counts.acs, counts.macs, counts.dense) == (effective, 0, dense)
    effective, _ = matmul_products(values, torch.ones(5, 7))
    counts = counted(nn.Sequential(layer), values)["0:linear"]
    assert (counts.acs, counts.macs, counts.dense) == (0, effective, dense)
    assert (counts.activation_reads, counts.activation_writes) == (15, 21)


def test_negative_spikes_count_as_spikes():
    counts = counted(nn.Sequential(nn.Linear(4, 3)), torch.tensor([[1.0, -1, 0, 1]]))
    assert counts["0:linear"].acs == 9


def test_two_spikes_at_once_count_twice_in_a_spiking_network():
    sums = torch.tensor([[[2.0, 0, 1, 3]]])
    spiking = Call(lambda linear, neuron, x: neuron(linear(x)), nn.Linear(4, 3), LifNeuron())
    assert counted(spiking, sums)["parts.0:linear"].acs == 18
    # In an ordinary network whole numbers are numbers like others.
    assert counted(nn.Sequential(nn.Linear(4, 3)), sums)["0:linear"].macs == 9


def test_integer_spikes_are_graded_events():
    neuron, layer = IntegerLifNeuron(max_spikes=4), nn.Linear(6, 3)
    current = torch.rand(2, 3, 6) * 3
    fired = (neuron(current) != 0).sum().item()
    counts = counted(nn.Sequential(neuron, layer), current)
    assert counts["1:linear"].macs == counts["1:linear"].synaptic_operations == 3 * fired
    assert counts["1:linear"].acs == 0
    assert counts["0:neuron"].spikes == fired


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("kind", [LifNeuron, ParametricLifNeuron, AdLifNeuron])
def test_neurons_are_updated_at_each_timestep(kind, backend):
    neuron, current = kind(backend=backend), torch.rand(2, 3, 4, 5) * 2
    spikes = neuron(current)
    counts = counted(nn.Sequential(neuron), current)["0:neuron"]
    assert (counts.neuron_updates, counts.spikes) == (120, spikes.sum())
    assert counts.timeline == tuple(spikes.sum((0, 2, 3)).tolist())
    assert counts.steps == 3
    assert counts.membranes == (40 if kind is AdLifNeuron else 20)


def test_products_of_functions_against_a_loop():
    spikes, more, values = spikes_like(4, 5), spikes_like(5, 6), torch.randn(5, 6)
    model = Call(lambda a, b: a @ b)
    both = counted(model, spikes, more)["Call:matmul"]
    assert (both.acs, both.dense) == matmul_products(spikes, more)
    one = counted(model, spikes, values)["Call:matmul"]
    assert (one.acs, one.dense) == matmul_products(spikes, values)
    assert counted(model, more.t(), spikes.t())["Call:matmul"].acs == both.acs
    other = counted(model, values.t(), spikes.t())["Call:matmul"]
    assert other.acs == one.acs
    none = counted(model, torch.randn(4, 5), values)["Call:matmul"]
    assert (none.macs, none.acs) == (120, 0)


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


@pytest.mark.parametrize("causal", [False, True])
def test_softmax_attention_is_two_products(causal):
    query, key, value = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 6)
    model = Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal))
    layers = counted(model, query, key, value)
    pairs = 15 if causal else 25
    # What torch fuses it counts as attention, what it composes as products (and masks afterwards).
    macs = sum(layer.macs + layer.skipped_macs for layer in layers.values())
    assert macs in {2 * 3 * pairs * (4 + 6), 2 * 3 * 25 * (4 + 6)}


@pytest.mark.parametrize("training", [True, False])
def test_torchs_own_attention_layer_hides_nothing(training):
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).train(training)
    layers = counted(model, torch.randn(2, 5, 8))
    macs = sum(x.macs + x.skipped_macs for x in layers.values() if x.kind != "norm")
    projections, attention, mlp = 2 * 5 * 8 * 32, 2 * 2 * 5 * 5 * 8, 2 * 2 * 5 * 8 * 16
    assert macs == projections + attention + mlp


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


def test_a_network_that_is_stepped_through_time_has_a_timeline():
    layer, x = nn.Linear(4, 2), spikes_like(3, 5, 4)
    model = Call(
        lambda linear, x: torch.stack([linear(x[:, t]) for t in range(x.shape[1])], 1), layer
    )
    counts = counted(model, x)["parts.0:linear"]
    assert counts.steps == 5
    assert counts.timeline == tuple(2 * x.sum((0, 2)))
    assert counts.acs == 2 * x.sum()


def test_counts_of_batches_add_up():
    model, x = nn.Sequential(nn.Linear(4, 2)), spikes_like(600, 4)
    with OperationCounter() as counter:
        for row in x:
            model(row[None])
    counts = counter.works[0].counts()
    assert counts.samples == 600
    assert counts.per_sample("acs") == pytest.approx(2 * x.sum().item() / 600)
    assert counts.layers[0].weights == 8


def test_counting_changes_nothing():
    model = nn.Sequential(nn.Linear(4, 8), LifNeuron(), nn.Linear(8, 2))
    x = torch.randn(2, 3, 4, requires_grad=True)
    plain = model(x)
    with OperationCounter() as counter:
        watched = model(x)
        watched.sum().backward()
    assert torch.equal(plain, watched)
    gradient, x.grad = x.grad, None
    model(x).sum().backward()
    assert torch.equal(gradient, x.grad)
    forward = counter.works[0].counts()
    with torch.inference_mode(), OperationCounter() as again:
        model(x)
    assert again.works[0].counts() == forward


def test_backward_passes_are_not_counted():
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))
    x = torch.randn(2, 4)

    def checkpointed(model, x):
        return torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False)

    wrapped = Call(checkpointed, model)
    with OperationCounter() as counter:
        wrapped(x).sum().backward()
    assert sum(layer.macs for layer in counter.works[0].counts().layers) == 2 * (32 + 16)
    assert counter.works[0].unpriced == {"gelu": 16}


def test_losses_are_no_networks_and_layers_unknown_are_named():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x * self.scale

    model, loss = nn.Sequential(nn.Linear(3, 3), Odd()), nn.MSELoss()
    with OperationCounter() as counter:
        loss(model(torch.randn(2, 3)), torch.zeros(2, 3))
    (work,) = counter.works
    assert work.uncounted() == ["1"]


def test_only_the_models_asked_for():
    one, two = nn.Linear(3, 3), nn.Linear(3, 3)
    with OperationCounter(one) as counter:
        two(one(torch.randn(2, 3)))
    assert [work.model for work in counter.works] == [one]
    with pytest.raises(ArgumentError, match=r"torch\.nn\.Module"):
        OperationCounter("model")


def test_samples_go_on_when_counting_stops():
    model = nn.Linear(3, 3)
    with OperationCounter(passes=1) as counter:
        for _ in range(3):
            model(torch.randn(2, 3))
    work = counter.works[0]
    assert (work.samples, work.counted_samples, work.counts().per_sample("macs")) == (6, 2, 9)


def test_inputs_by_name_or_in_a_mapping():
    model = Call(lambda linear, batch: linear(batch["x"]), nn.Linear(3, 2))
    with OperationCounter() as counter:
        model({"x": torch.randn(5, 3)})
    assert counter.works[0].samples == 5
    inner = nn.Linear(3, 2)

    class ByName(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, *, x):
            return self.inner(x)

    with OperationCounter() as counter:
        ByName()(x=torch.randn(4, 3))
    assert counter.works[0].samples == 4


def hooks() -> int:
    module = torch.nn.modules.module
    return len(module._global_forward_hooks) + len(module._global_forward_pre_hooks)


def test_nothing_stays_behind_after_an_error():
    def fail(linear, x):
        linear(x)
        raise RuntimeError("no")

    before, modes = hooks(), torch.utils._python_dispatch._len_torch_dispatch_stack()
    model = Call(fail, nn.Linear(3, 3))
    with pytest.raises(RuntimeError, match="no"), OperationCounter():
        model(torch.randn(2, 3))
    assert hooks() == before
    assert torch.utils._python_dispatch._len_torch_dispatch_stack() == modes
    assert torch.backends.mha.get_fastpath_enabled()
