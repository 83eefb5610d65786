"""What a search improves, and whether it gives trials up."""

from __future__ import annotations

import pytest

from spikeformer.cli.search import named_direction, prunes
from spikeformer.error_handling import ArgumentError


def test_named_direction():
    assert named_direction("maximize fit.val/accuracy") == ("fit.val/accuracy", "maximize")
    assert named_direction("minimize  profile.energy") == ("profile.energy", "minimize")


@pytest.mark.parametrize("item", ["fit.val/loss", "most fit.val/loss", "maximize accuracy", ""])
def test_named_direction_refuses(item):
    with pytest.raises(ArgumentError, match=r"maximize STAGE\.NUMBER"):
        named_direction(item)


def test_prunes_unless_the_pruner_never_does():
    assert prunes({"pruner": {"_target_": "optuna.pruners.MedianPruner"}})
    assert not prunes({"pruner": {"_target_": "optuna.pruners.NopPruner"}})
