"""The record of where and from what a run was made."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import torch
from packaging.version import Version

from spikeformer.cross_platform import get_platform_info
from spikeformer.pipeline.environment import _git_state, describe_environment


def test_describe_environment_names_machine_versions_and_command(monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["/some/where/train.py", "neuron=lif", "logger.api_key=s3cr3t"]
    )
    found = json.loads(json.dumps(describe_environment(7)))
    assert found["seed"] == 7
    assert found["python"] == platform.python_version()
    assert Version(found["packages"]["torch"]).public == Version(torch.__version__).public
    assert found["cores"] == get_platform_info().cores
    assert found["threads"] == torch.get_num_threads()
    assert found["command"] == "train.py neuron=lif 'logger.api_key=***'"


def test_git_state_is_that_of_this_package_s_repository_alone(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    inside = tmp_path / "site-packages"
    inside.mkdir()
    assert _git_state(inside) is None  # installed inside somebody else's repository
    assert _git_state(tmp_path / "absent") is None
    (tmp_path / "spikeformer").mkdir()
    (tmp_path / "file").write_text("x")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    state = _git_state(inside)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "file").write_text("y")
    changed = _git_state(inside)
    assert changed is not None
    assert changed["dirty"] is True
