from __future__ import annotations

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.error_handling import ConfigurationError
from spikeformer.pipeline import build, build_network
from spikeformer.pipeline.build import dry_run
from spikeformer.runs import load_weights
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


def test_weights_of_another_network_are_refused(tmp_path):
    file = tmp_path / "last.ckpt"
    network = build_network(composed(*QUIET))
    state = {f"net.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state}, file)
    load_weights(network, file)
    with pytest.raises(ConfigurationError, match="another network"):
        load_weights(build_network(composed(*QUIET, "model.d_model=32")), file)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_file_that_is_no_checkpoint(tmp_path, content):
    file = tmp_path / "last.ckpt"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="no readable checkpoint"):
        load_weights(build_network(composed(*QUIET)), file)
    with pytest.raises(ConfigurationError, match="no such file"):
        load_weights(build_network(composed(*QUIET)), tmp_path / "absent.ckpt")
