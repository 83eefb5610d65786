from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spikeformer.cross_platform import FOLDER_VARIABLE
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import Loihi2Deployer, SpiNNakerDeployer
from spikeformer.hardware.targets.toolchain import find_toolchain


def test_missing_toolchain_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    for deployer in (Loihi2Deployer(), SpiNNakerDeployer()):
        with pytest.raises(HardwareCompatibilityError, match=r"(?s)looked in.*make toolchains"):
            deployer.check()


def test_half_installed_toolchain_is_missing(monkeypatch, tmp_path):
    (tmp_path / "loihi2" / "bin").mkdir(parents=True)
    (tmp_path / "loihi2" / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(HardwareCompatibilityError, match="not installed"):
        find_toolchain("loihi2")
    (tmp_path / "loihi2" / ".installed").touch()
    assert find_toolchain("loihi2") == tmp_path / "loihi2" / "bin" / "python"


def test_toolchain_of_the_current_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    environment = tmp_path / ".toolchains" / "mine"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (environment / ".installed").touch()
    assert find_toolchain("mine") == environment / "bin" / "python"


def test_given_interpreter_is_taken_as_it_is():
    python = Path(sys.executable)
    assert find_toolchain("loihi2", sys.executable) == python
    Loihi2Deployer(python=sys.executable).check()


def test_given_interpreter_must_be_there(tmp_path):
    with pytest.raises(HardwareCompatibilityError, match="nothing there can be run"):
        find_toolchain("loihi2", tmp_path / "python")
