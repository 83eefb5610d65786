"""`spikeformer doctor` tells what is there and what is missing."""

from __future__ import annotations

import json
import sys

import pytest

from spikeformer.cli import features, main
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


def test_on_a_bare_machine_everything_is_missing_and_has_a_remedy(bare):
    for feature in find_features(bare):
        assert not feature.ready, feature
        assert feature.detail, feature
        assert feature.remedy, feature


def test_a_machine_with_everything(monkeypatch):
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


def test_each_finding_depends_on_its_own_cause(bare, monkeypatch):
    # Counters that this user may not read, and a driver that torch cannot use.
    monkeypatch.setattr(features.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    assert "torch cannot use it" in by_name(bare)["GPU (trainer=gpu)"].detail
    name = "Measured energy of CPUs (profiler=pyjoules)"
    readable = platform(energy_counters=("rapl",))
    assert by_name(readable)[name].detail == "pyJoules is not installed"
    triton = platform(packages={"triton": "3.7"})
    assert "no GPU" in by_name(triton)["Kernels for GPUs (ops=triton)"].detail


def test_the_table(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spikeformer", "doctor"])
    main()
    text = capsys.readouterr().out
    assert "Memory" in text
    assert "Loihi 2 (hardware=loihi2)" in text
    assert " ready " in text


def test_json(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spikeformer", "doctor", "--json"])
    main()
    content = json.loads(capsys.readouterr().out)
    assert content["platform"]["cores"] >= 1
    assert {"name", "ready", "detail", "remedy"} == set(content["features"][0])


def test_an_unknown_argument(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spikeformer", "doctor", "--everything"])
    with pytest.raises(SystemExit):
        main()
    assert "unrecognized arguments" in capsys.readouterr().err
