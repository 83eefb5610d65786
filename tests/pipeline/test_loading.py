"""A run folder may be a stranger's."""

from __future__ import annotations

import pickle

import pytest
import torch
import yaml

from spikeformer.cli import compose
from spikeformer.config import recorded
from spikeformer.error_handling import ConfigurationError
from spikeformer.pipeline import build_network, load_run
from tests.runs import SMALL


@pytest.fixture
def folder(tmp_path):
    """What a run of a small network leaves, as far as `load_run` needs it."""
    config = recorded(compose(*SMALL))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    net = build_network(compose(*SMALL))
    (tmp_path / "checkpoints").mkdir()
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "checkpoints" / "last.ckpt")
    return tmp_path


def change(folder, group, value):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config[group] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_load_run_reads_a_plain_folder(folder):
    assert load_run(folder).config.timesteps == 2


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "torch.load", "f": "evil.pt", "weights_only": False},
        {"_target_": "torch.hub.load", "repo_or_dir": "evil", "model": "x", "source": "local"},
        {"_target_": "torch.utils.collect_env.run", "command": "touch evil"},
        {"_target_": "stranger.Model"},
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.load", "f": "evil.pt"}]},
    ],
)
def test_load_run_runs_nothing_of_a_stranger(folder, node, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    (folder / "evil.pt").write_bytes(pickle.dumps(Evil()))
    (folder / "hubconf.py").write_text("open('evil', 'w')\ndef x(): pass")
    (folder / "stranger.py").write_text("open('evil', 'w')\nModel = dict")
    change(folder, "model", node)
    change(folder, "trusted_packages", ["stranger", "torch"])
    with pytest.raises(ConfigurationError, match=r"may not create|not trusted"):
        load_run(folder)
    assert not (folder / "evil").exists()


class Evil:
    def __reduce__(self):
        return open, ("evil", "w")


def test_load_run_looks_up_nothing_in_the_environment(folder, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "s3cr3t")
    change(folder, "name", "${oc.env:MY_TOKEN}")
    assert load_run(folder).config.name == "${oc.env:MY_TOKEN}"


@pytest.mark.parametrize("state", [[], {}, {"state_dict": []}, {"state_dict": {"net.a": {}}}, 3])
def test_load_run_refuses_states_that_are_none(folder, state):
    torch.save(state, folder / "checkpoints" / "last.ckpt")
    with pytest.raises(ConfigurationError, match=r"last\.ckpt"):
        load_run(folder)


@pytest.mark.parametrize("content", [b"", b"- 1", b"\0\0", b"a: {b: 1}", b"seed: x"])
def test_load_run_refuses_configs_that_are_none(folder, content):
    (folder / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigurationError):
        load_run(folder)
