from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.error_handling import ConfigurationError
from spikeformer.pipeline.ranks import SameConfiguration


class Ranks:
    """A strategy of two ranks: this one, and one that was given other overrides."""

    root_device = torch.device("cpu")

    def __init__(self, *others):
        self.others = others
        self.asked = 0

    def reduce(self, tensor, reduce_op):
        self.asked += 1
        assert reduce_op == "max"
        sign = 1 if tensor > 0 else -1
        return max(tensor, *(sign * other.fingerprint for other in self.others))


def setup(mine, *others):
    trainer = SimpleNamespace(world_size=1 + len(others), strategy=Ranks(*others))
    mine.setup(trainer, None, "fit")
    return trainer.strategy.asked


def test_ranks_with_the_same_values_train():
    alone = SameConfiguration(composed("seed=1"))
    assert setup(alone) == 0  # there is nobody to ask
    # Where a rank logs and keeps its files is its own affair.
    other = SameConfiguration(composed("seed=1", "logger=none"))
    assert setup(alone, other) == 2  # the highest and the lowest
    assert alone.fingerprint == other.fingerprint


@pytest.mark.parametrize("other", ["seed=2", "optimizer.lr=3e-3", "neuron=plif"])
def test_ranks_with_different_values_are_refused(other):
    one, two = SameConfiguration(composed("seed=1")), SameConfiguration(composed("seed=1", other))
    for mine, others in ((one, two), (two, one)):
        with pytest.raises(ConfigurationError, match="different values"):
            setup(mine, others)
