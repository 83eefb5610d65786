"""A run's network is built from its configuration; a checkpoint is read by one function."""

from __future__ import annotations

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.error_handling import ConfigurationError
from spikeformer.runs import build_network, load_weights
from spikeformer.runs.network import put_weights, read_weights
from tests.commands import SMALL

QUIET = ("logger=none", "trainer.accelerator=cpu", *SMALL)


def test_load_weights_refuses_those_of_another_network(tmp_path):
    file = tmp_path / "last.ckpt"
    network = build_network(composed(*QUIET))
    state = {f"net.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state}, file)
    load_weights(network, file)
    with pytest.raises(ConfigurationError, match="another network"):
        load_weights(build_network(composed(*QUIET, "model.d_model=32")), file)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_load_weights_refuses_a_file_that_is_no_checkpoint(tmp_path, content):
    file = tmp_path / "last.ckpt"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="no readable checkpoint"):
        load_weights(build_network(composed(*QUIET)), file)
    with pytest.raises(ConfigurationError, match="no such file"):
        load_weights(build_network(composed(*QUIET)), tmp_path / "absent.ckpt")


def test_put_weights_leaves_a_network_alone_that_has_them(tmp_path):
    file, network = tmp_path / "last.ckpt", build_network(composed(*QUIET))
    torch.save({"state_dict": {f"net.{k}": x for k, x in network.state_dict().items()}}, file)
    weights = read_weights(file)
    before = [x._version for x in network.parameters()]
    put_weights(network, weights, file)
    assert [x._version for x in network.parameters()] == before
    with torch.no_grad():
        next(network.parameters()).add_(1)
    put_weights(network, weights, file)
    assert all(torch.equal(x, weights[key]) for key, x in network.state_dict().items())
