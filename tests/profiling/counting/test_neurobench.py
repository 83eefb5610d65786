"""Another library's counts of the same networks, made by `scripts/neurobench_counts.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from scripts.neurobench_counts import networks
from spikeformer.profiling import OperationCounter

THEIRS = json.loads(Path(__file__).with_name("neurobench.json").read_text())["networks"]


@pytest.mark.parametrize("name", THEIRS)
def test_neurobench_counts_the_same(name):
    network, inputs = networks()[name]
    with torch.no_grad(), OperationCounter() as counter:
        network(inputs)
    counts = counter.works[0].counts()
    ours = {
        "Effective_MACs": counts.per_sample("macs"),
        "Effective_ACs": counts.per_sample("acs"),
        "Dense": counts.per_sample("dense"),
    }
    assert ours == pytest.approx(THEIRS[name])


def test_no_network_is_left_out():
    assert set(THEIRS) == set(networks())
