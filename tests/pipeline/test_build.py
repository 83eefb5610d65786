from __future__ import annotations

import torch

from spikeformer.cli import compose as composed
from spikeformer.pipeline import build
from spikeformer.pipeline.build import dry_run
from tests.commands import SMALL

QUIET = ("logger=none", "trainer.accelerator=cpu", *SMALL)


def test_the_dry_run_changes_nothing(tmp_path):
    parts = build(composed(*QUIET), tmp_path)
    before = {key: value.clone() for key, value in parts.module.state_dict().items()}
    random = torch.random.get_rng_state()
    dry_run(parts.module, parts.data)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert parts.module.training
    for key, value in parts.module.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_makes_the_same_network(tmp_path):
    first, second, other = (
        build(composed(*QUIET, f"seed={seed}"), tmp_path).module.net.state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)
