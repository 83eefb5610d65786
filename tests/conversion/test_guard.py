"""Nothing reached through a converted network runs the original without saying so."""

from __future__ import annotations

import copy
import functools
import threading

import pytest
import torch
from torch import nn

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import ConversionError

ENTERED, DONE = threading.Event(), threading.Event()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.width = nn.Linear(6, 3), 6
        self.blocks = nn.ModuleList([nn.Linear(6, 6)])
        self.alias = self.features

    def forward(self, x):
        return self.body(self.blocks[0](x))

    def generate(self, x):
        return self(x)

    def past_the_hooks(self, x):
        return self.forward(x)

    def features(self, x):
        return self.body(x)

    def by_hand(self, x):
        return x @ self.body.weight.t()

    def stream(self, x):
        yield self.body(x)

    def encoder(self):
        return self.blocks[0]

    @property
    def embedding(self):
        return self.body(torch.ones(1, 6))

    @functools.cached_property
    def kept(self):
        return self.body(torch.ones(1, 6))

    @property
    def head(self):
        return lambda x: self.body(x)

    @staticmethod
    def run(network, x):
        return network(x)

    @property
    def broken(self):
        raise ValueError("nothing there")

    def sizes(self, factor):
        return factor * self.width

    def norm(self):
        return (self.body.weight @ self.body.weight.t()).trace()

    def counts(self, number):
        yield from range(number)

    def wait(self):
        ENTERED.set()
        return DONE.wait(30)

    def __deepcopy__(self, memo):
        made = type(self)()
        made.load_state_dict(self.state_dict())
        return made


@pytest.fixture(scope="module")
def x():
    return torch.randn(4, 6)


@pytest.fixture
def snn(x):
    return SpikeformerConverter(2).convert(Net().eval(), x)


@pytest.mark.parametrize(
    "use",
    [
        lambda snn, x: snn.generate(x),
        lambda snn, x: snn.past_the_hooks(x),
        lambda snn, x: snn.features(x),
        lambda snn, x: snn.alias(x),
        lambda snn, x: snn.by_hand(x),
        lambda snn, x: list(snn.stream(x)),
        lambda snn, x: snn.embedding,
        lambda snn, x: snn.kept,
        lambda snn, x: snn.head(x),
        lambda snn, x: snn.run(snn.original, x),
        lambda snn, x: snn.body(x),
        lambda snn, x: snn.body.forward(x),
        lambda snn, x: snn.blocks[0](x),
        lambda snn, x: snn.encoder()(x),
    ],
)
def test_what_would_run_the_original_is_refused(snn, x, use):
    with pytest.raises(ConversionError, match="runs the original network, without spikes"):
        use(snn, x)


def test_what_runs_nothing_is_handed_out(snn, x):
    assert snn.sizes(2) == 12
    assert list(snn.counts(3)) == [0, 1, 2]
    assert snn.norm() == snn.original.norm()
    assert snn.body.weight is snn.original.body.weight
    assert isinstance(snn.blocks, nn.ModuleList)
    assert torch.equal(snn.run(snn, x), snn(x))
    assert torch.equal(snn.original.generate(x), snn.original(x))


def test_an_attribute_that_would_run_the_original_is_absent(snn):
    assert not hasattr(snn, "embedding")
    with pytest.raises(ValueError, match="nothing there"):
        _ = snn.broken


def test_a_copy_is_not_made_by_the_original(snn, x):
    other = copy.deepcopy(snn)
    assert type(other) is type(snn)
    assert torch.equal(other(x), snn(x))


def test_a_refused_method_leaves_other_threads_alone(snn, x):
    thread = threading.Thread(target=snn.wait)
    thread.start()
    ENTERED.wait(30)
    assert torch.equal(snn(x), snn(x))
    DONE.set()
    thread.join()
