"""Which features work on a machine, and what the others need."""

from __future__ import annotations

import pytest

from spikeformer.cli import features
from spikeformer.cli.features import find_features
from tests.cross_platform.trees import H100, platform


def by_name(info):
    return {feature.name: feature for feature in find_features(info)}


@pytest.fixture
def bare(monkeypatch):
    """A machine on which nothing is installed."""
    monkeypatch.setattr(features, "_version", lambda package: None)
    monkeypatch.setattr(features.shutil, "which", lambda tool: None)
    monkeypatch.setenv("WANDB_MODE", "offline")
    return platform(packages={})


def test_features_of_a_bare_machine_are_missing_and_have_a_remedy(bare):
    for feature in find_features(bare):
        assert not feature.ready, feature
        assert feature.detail, feature
        assert feature.remedy, feature


def test_features_of_a_machine_with_everything_are_ready(monkeypatch):
    monkeypatch.setattr(features, "_version", lambda package: "1.0")
    monkeypatch.setattr(features.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setenv("WANDB_MODE", "online")
    everything = ["cuda_gpu", "cpu_kernels", "triton_kernels", "cpp_compiler"]
    info = platform(
        H100,
        capabilities=everything,
        toolchains=dict.fromkeys(("loihi2", "sanafe", "spinnaker"), "/python"),
        energy_counters=("rapl", "nvml"),
    )
    for feature in find_features(info):
        assert feature.ready, feature
        assert not feature.remedy, feature


def test_each_feature_depends_on_its_own_cause(bare, monkeypatch):
    # Counters that this user may not read, and a driver that torch cannot use.
    monkeypatch.setattr(features.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    assert "torch cannot use it" in by_name(bare)["GPU (trainer=gpu)"].detail
    name = "Measured energy of CPUs (profiler=pyjoules)"
    readable = platform(energy_counters=("rapl",))
    assert by_name(readable)[name].detail == "pyJoules is not installed"
    triton = platform(packages={"triton": "3.7"})
    assert "no GPU" in by_name(triton)["Kernels for GPUs (ops=triton)"].detail
