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

    def reduce(self, tensor, reduce_op):
        assert reduce_op == "max"
        sign = 1 if tensor > 0 else -1
        return max(tensor, *(sign * other.fingerprint for other in self.others))


def setup(mine, *others):
    trainer = SimpleNamespace(world_size=1 + len(others), strategy=Ranks(*others))
    mine.setup(trainer, None, "fit")


def test_ranks_with_the_same_values_train():
    setup(SameConfiguration(composed("seed=1")))
    # Where a rank logs and keeps its files is its own affair.
    setup(
        SameConfiguration(composed("seed=1")), SameConfiguration(composed("seed=1", "logger=none"))
    )


@pytest.mark.parametrize("other", ["seed=2", "optimizer.lr=3e-3", "neuron=plif"])
def test_ranks_with_different_values_are_refused(other):
    one, two = SameConfiguration(composed("seed=1")), SameConfiguration(composed("seed=1", other))
    for mine, others in ((one, two), (two, one)):
        with pytest.raises(ConfigurationError, match="different values"):
            setup(mine, others)
