"""The wheel holds everything, and runs where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import spikeformer
from tests.commands import CONF, REPOSITORY


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what the wheel brings, as in `site-packages`."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(REPOSITORY)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def files(folder):
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_of_the_package(installed):
    package = Path(spikeformer.__file__).parent
    got = files(installed / "spikeformer")
    assert {path for path in got if path.parts[0] != "conf"} == files(package)
    assert files(installed / "spikeformer" / "conf") == files(CONF)
    (metadata,) = installed.glob("spikeformer-*.dist-info")
    assert metadata.name == f"spikeformer-{spikeformer.__version__}.dist-info"


def test_the_wheel_runs_outside_of_the_checkout(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "spikeformer", "train", "neuron=plif", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "plif *" in done.stdout
    assert list(tmp_path.iterdir()) == []
