from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.instrument import NeuronKind, recognises
from spikeformer.neurons import LifNeuron
from spikeformer.profiling import EnergyProfiler, LayerCounts, OperationCounter
from tests.profiling.networks import Call, counted, measured


@pytest.mark.parametrize("training", [True, False])
def test_torchs_own_attention_layer_hides_nothing(training):
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).train(training)
    layers = counted(model, torch.randn(2, 5, 8))
    macs = sum(x.macs + x.skipped_macs for x in layers.values() if x.kind != "norm")
    projections, attention, mlp = 2 * 5 * 8 * 32, 2 * 2 * 5 * 5 * 8, 2 * 2 * 5 * 8 * 16
    assert macs == projections + attention + mlp


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


class Turns(nn.Module):
    """Takes another way through its layers for large inputs."""

    def __init__(self):
        super().__init__()
        self.stem, self.deep, self.head = nn.Linear(6, 20), nn.Linear(20, 20), nn.Linear(20, 4)
        self.neuron, self.deep_neuron = LifNeuron(), LifNeuron()

    def forward(self, x):
        spikes = self.neuron(self.stem(x))
        if x.mean() > 1.5:
            spikes = self.deep_neuron(spikes @ spikes.mT @ self.deep(spikes))
        return self.head(spikes)


def test_passes_of_other_shapes_and_ways_add_up_to_their_single_counts():
    torch.manual_seed(0)
    model = Turns()
    low, other, high = 2 * torch.rand(2, 5, 6), torch.rand(3, 3, 6), 3 + torch.rand(2, 5, 6)
    passes = [low, other, low, high, 0.5 * low, other.double().float(), high]
    singles = [counted(model, x) for x in passes]
    with torch.no_grad(), OperationCounter(model) as counter:
        for x in passes:
            model(x)
    (work,) = counter.works
    assert work.samples == sum(len(x) for x in passes)
    layers = work.counts().layers
    assert len(layers) == len(singles[3])
    for layer in layers:
        key = f"{layer.name}:{layer.kind}"
        assert layer == LayerCounts.merged([each[key] for each in singles if key in each])
    with torch.no_grad():
        spikes = [model.neuron(model.stem(x)).sum() for x in (low, other, low, 0.5 * low, other)]
    shallow = [singles[i]["head:linear"].acs for i in (0, 1, 2, 4, 5)]
    assert shallow == [4 * fired for fired in spikes]
    assert len(set(shallow)) > 2


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda spikes: spikes[:, 2:].zero_(),
        lambda spikes: torch.mul(spikes, spikes.roll(1, -1), out=spikes),
        lambda spikes: torch.sigmoid_(spikes[1:]),
        lambda spikes: spikes[:1].expand_as(spikes),
    ],
)
def test_spikes_are_counted_as_they_arrive(change, inference):
    arrived = []

    def changed(linear, neuron, readout, x):
        spikes = neuron(linear(x))
        out = change(spikes)
        arrived.append(spikes if out.shape != spikes.shape else out)
        return readout(arrived[-1])

    torch.manual_seed(0)
    model = Call(changed, nn.Linear(6, 20), LifNeuron(), nn.Linear(20, 4))
    with torch.inference_mode(inference), torch.no_grad():
        layer = counted(model, 3 * torch.rand(2, 5, 6))["parts.2:linear"]
    (x,) = arrived
    assert layer.acs + layer.macs == 4 * x.count_nonzero()
    assert sum(layer.timeline) == 4 * x.count_nonzero()


def test_only_the_models_asked_for():
    one, two = nn.Linear(3, 3), nn.Linear(3, 3)
    with OperationCounter(one) as counter:
        two(one(torch.randn(2, 3)))
    assert [work.model for work in counter.works] == [one]
    with pytest.raises(ArgumentError, match=r"torch\.nn\.Module"):
        OperationCounter("model")


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


def test_neurons_that_nobody_knows_are_named_with_the_remedy():
    class Lif(nn.Module):
        """Fires at one of (batch, features), a timestep for each call."""

        def forward(self, x):
            self.membrane = getattr(self, "membrane", 0) / 2 + x
            spikes = (self.membrane > 1).float()
            self.membrane = self.membrane - spikes
            return spikes

    Lif.__module__, Lif.__qualname__ = "nobodys_lab.neurons", "Lif"
    model, x = nn.Sequential(nn.Linear(6, 20), Lif(), nn.Linear(20, 4)), 9 * torch.rand(3, 6)
    profiler = EnergyProfiler("simulation")
    message = r"1 \(nobodys_lab\.neurons\.Lif\).*recognises\("
    with pytest.warns(UserWarning, match=message) as told:
        recording = measured(profiler, model, x, x)
    assert len(told) == 1
    assert list(recording.uncounted) == ["1 (nobodys_lab.neurons.Lif)"]
    assert 0 < recording.uncounted["1 (nobodys_lab.neurons.Lif)"] < 1

    recognises("nobodys_lab.*", kind=NeuronKind(time_axis=None))
    recording = measured(profiler, model, x)
    assert recording.uncounted == {}
    assert recording.get_metrics()["neuron_updates"] == 20
