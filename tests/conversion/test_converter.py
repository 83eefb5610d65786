from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import ArgumentError, ConversionError, SpikingDynamicsError
from tests.conversion.networks import mlp, relative


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        y = torch.zeros(x.shape)
        y[:, 1:] = self.outer(torch.tanh(self.inner(x)))[:, :1]
        return self.outer(y)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        y = self.outer(torch.tanh(self.inner(x)))
        return y if y.sum() > 0 else -y


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.calls = nn.Linear(8, 2), 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x) * self.calls


@pytest.mark.parametrize(
    ("network", "says"),
    [(InPlace(), "in place"), (Branching(), "data-dependent"), (Counting(), "keeps a state")],
)
def test_what_cannot_run_over_timesteps_is_found_while_converting(network, says):
    with pytest.raises(ConversionError, match=says):
        SpikeformerConverter().convert(network, torch.randn(4, 8))


def test_weights_must_be_numbers():
    network = mlp()
    with torch.no_grad():
        network[3].weight[0, 0] = float("nan")
    with pytest.raises(ConversionError, match=r"`3\.weight` of Sequential holds NaN"):
        SpikeformerConverter().convert(network)


def test_inputs_must_be_numbers():
    with pytest.raises(ConversionError, match=r"NaN or Inf on the example"):
        SpikeformerConverter().convert(mlp(), torch.full((2, 6), float("nan")))
    snn = SpikeformerConverter(timesteps=2).convert(mlp())
    with pytest.raises(SpikingDynamicsError, match=r"`3` \(Linear\).*NaN or Inf"):
        snn(torch.full((2, 6), float("nan")))


@pytest.mark.parametrize(
    "example", [torch.randn(2, 7), (torch.randn(2, 6),) * 2, {"y": torch.ones(1)}]
)
def test_examples_must_fit(example):
    with pytest.raises(ConversionError, match=r"cannot run on this example.*as the network takes"):
        SpikeformerConverter().convert(mlp(), example)


def test_calls_must_take_the_path_that_was_converted():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x, twice=False):
            y = self.a(x)
            return self.b(y) if twice else y

    snn = SpikeformerConverter(timesteps=2).convert(Net())
    with pytest.raises(ConversionError, match=r"`b` \(Linear\) runs linear, which it did not"):
        snn(torch.randn(1, 4), twice=True)


def test_activations_must_have_the_calibrated_channels():
    class Net(nn.Module):
        def forward(self, x):
            y = torch.tanh(x) * self.scale
            return y.transpose(-1, -2) @ y

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

    snn = SpikeformerConverter(timesteps=2).convert(Net(), torch.randn(2, 3, 4))
    with pytest.raises(ConversionError, match="expected an activation with channels"):
        snn(torch.randn(2, 5, 7))


def test_the_threshold_scales_every_level():
    levels = [
        SpikeformerConverter(threshold=scale).convert(mlp_()).thresholds.by_site()["3"]
        for scale in (1.0, 2.0)
    ]
    torch.testing.assert_close(2 * levels[0], levels[1])


def mlp_():
    torch.manual_seed(1)
    return mlp()


@pytest.mark.parametrize("encoding", ["rate", "radix", "binary"])
@pytest.mark.parametrize("neuron_model", ["LIF", "IF"])
def test_every_encoding_and_neuron(encoding, neuron_model):
    timesteps = 64 if encoding == "binary" else 8
    network, example = mlp(), torch.randn(32, 6)
    converter = SpikeformerConverter(timesteps, 1.0, encoding, neuron_model)
    snn = converter.convert(network, example)
    with torch.no_grad():
        error = relative(snn(example), network(example))
        assert len(list(snn.readouts(example))) == (1 if encoding == "radix" else timesteps)
    assert error < 0.06


def test_the_defaults_are_the_published_ones():
    converter = SpikeformerConverter()
    assert (converter.timesteps, converter.threshold) == (32, 1.0)
    assert (converter.coding.encoding, converter.coding.neuron_model) == ("rate", "LIF")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"timesteps": 0}, "timesteps"),
        ({"threshold": 0.0}, "threshold"),
        ({"spike_encoding": "x"}, "spike_encoding"),
    ],
)
def test_arguments_are_checked(arguments, name):
    with pytest.raises(ArgumentError, match=name):
        SpikeformerConverter(**arguments)


def test_what_is_no_network_is_told():
    with pytest.raises(ArgumentError, match="ann_model"):
        SpikeformerConverter().convert("vit")
    with pytest.raises(ConversionError, match="converted already"):
        SpikeformerConverter().convert(SpikeformerConverter().convert(mlp()))
    with pytest.raises(ConversionError, match="convert"):
        SpikeformerConverter().report()


@pytest.mark.parametrize("compiled", [torch.compile, lambda net, **_: net], ids=["yes", "no"])
def test_compiled_networks_and_computed_weights_are_converted(compiled):
    network, x = mlp(), torch.randn(4, 6)
    expected = SpikeformerConverter(4).convert(network, x)(x)
    nn.utils.parametrizations.weight_norm(network[0])
    snn = SpikeformerConverter(4).convert(compiled(network, backend="eager"), x)
    torch.testing.assert_close(snn(x), expected, atol=1e-4, rtol=1e-3)


def test_torchscript_is_refused():
    network = torch.jit.trace(mlp(), torch.randn(4, 6))
    with pytest.raises(ConversionError, match="TorchScript"):
        SpikeformerConverter(4).convert(network, torch.randn(4, 6))
