from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import torch

from spikeformer.cli import main
from spikeformer.cli.energy import energy
from spikeformer.error_handling import ConfigurationError, ProfilingError

SOURCE = """
import torch
from torch import nn
from tests.instrument import libraries as lib

class Net(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.fc, self.node, self.out = nn.Linear(6, 5), lib.BaseNode(mode), nn.Linear(5, 2)
        nn.init.constant_(self.fc.weight, 0.5)

    def forward(self, x):
        return self.out(self.node(self.fc(x)))

def build():
    return Net("m")

def step():
    return Net("s")

class Named(nn.Module):
    def forward(self, left, right):
        return torch.cdist(left, right) @ right

def ann():
    return nn.Linear(6, 3)
"""


@pytest.fixture
def net(tmp_path, monkeypatch):
    path = tmp_path / "net_of_mine.py"
    path.write_text(SOURCE)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield path
    sys.modules.pop("net_of_mine", None)


def cells(out: str, layer: str) -> list[str]:
    line = next(line for line in out.splitlines() if line.startswith(f"{layer} "))
    return re.split(r" {2,}", line)


def test_it_counts_a_network_of_another_library(net, capsys):
    assert energy([f"{net}:build", "--input", "4,3,6"]) == 0
    out = capsys.readouterr().out
    assert "Net: batch of 3, T = 4" in out
    assert "random" in out
    assert cells(out, "fc")[1] == str(4 * 6 * 5)
    assert cells(out, "node")[4] == str(4 * 5)
    assert "On simulation, spikes" in out
    assert "Horowitz" in out


def test_data_from_a_file_and_a_page(net, tmp_path, capsys):
    x = np.zeros((4, 3, 6))
    x[:, :, :2] = 1.0
    np.savez(tmp_path / "batch.npz", x=x)
    page = tmp_path / "energy.html"
    data = ["--data", str(tmp_path / "batch.npz"), "--input", "4,3,6", "--time-axis", "0"]
    energy([f"{net}:build", *data, "--hardware", "loihi2", "--html", str(page)])
    out = capsys.readouterr().out
    assert "batch.npz" in out
    assert "random" not in out
    assert cells(out, "fc")[3] == str(4 * 2 * 5)  # two spikes reach five neurons
    html = page.read_text()
    assert "<h1>" in html
    assert "net_of_" in html
    assert html.count("<svg") >= 3
    assert not re.findall(r"(?:src|href)=[\"']https?:", html)


def test_the_same_network_step_by_step(net, capsys):
    energy([f"{net}:build", "--input", "4,3,6"])
    at_once = capsys.readouterr().out
    energy([f"{net}:step", "--input", "4,3,6", "--time-axis", "0", "--loop"])
    assert capsys.readouterr().out == at_once
    energy([f"{net}:step", "--input", "3,6", "--timesteps", "4", "--loop"])
    assert "batch of 3, T = 4" in capsys.readouterr().out


def test_arguments_by_name_and_what_is_not_counted(net, tmp_path, capsys):
    left, right = np.ones((2, 3)), np.eye(3)
    np.savez(tmp_path / "two.npz", left=left, right=right)
    energy([f"{net}:Named", "--data", str(tmp_path / "two.npz")])
    out = capsys.readouterr().out
    assert "Named (_cdist_forward)" in out
    assert "% of the time" in out


def test_an_ann_has_no_firing_rate(net, capsys):
    energy([f"{net}:ann", "--input", "2,6"])
    out = capsys.readouterr().out
    assert "Firing rate" not in out
    assert "ANN" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--input 8,3,32,32", "--data"]),
        (["--input", "4,3,7"], ["(4, 3, 7)", "mat1 and mat2", "net_of_mine.py:13"]),
        (["--data", "absent.npz"], ["absent.npz"]),
        (["--data", "{folder}/x.npz", "--input", "1,2"], ["(2, 6)", "(1, 2)"]),
        (["--input", "4,3,6", "--loop"], ["--timesteps"]),
        (["--input", "4,3,6", "--loop", "--time-axis", "3"], ["axis 3", "(4, 3, 6)"]),
    ],
)
def test_mistakes_are_named(net, tmp_path, arguments, words):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 6)))
    given = [argument.format(folder=tmp_path) for argument in arguments]
    with pytest.raises(ConfigurationError) as error:
        energy([f"{net}:build", *given])
    for word in words:
        assert word in str(error.value)


def test_a_wrong_time_axis_is_refused(net):
    with pytest.raises(ProfilingError, match="does not fit Net"):
        energy([f"{net}:build", "--input", "4,3,6", "--time-axis", "1"])


def test_no_pickle_is_read(net, tmp_path):
    np.savez(tmp_path / "bad.npz", x=np.array([torch.nn.Linear(1, 1)], dtype=object))
    with pytest.raises(ValueError, match=r"bad\.npz"):
        energy([f"{net}:build", "--data", str(tmp_path / "bad.npz")])


@pytest.mark.parametrize("shape", ["4,x", "0,2", ""])
def test_a_shape_that_is_none(net, shape, capsys):
    with pytest.raises(SystemExit) as stop:
        energy([f"{net}:build", "--input", shape])
    assert stop.value.code == 2
    assert "is no shape" in capsys.readouterr().err


def test_the_command_line_has_it(net, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spikeformer", "energy", f"{net}:ann", "--input", "2,6"])
    main()
    assert "Energy of a sample" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["spikeformer", "energy", f"{net}:nothing", "--input", "2,6"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "error: " in capsys.readouterr().err
