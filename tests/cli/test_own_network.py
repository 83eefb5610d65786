from __future__ import annotations

import sys

import pytest
from torch import nn

from spikeformer.cli.own_network import own_network
from spikeformer.error_handling import ConfigurationError, ProfilingError

SOURCE = """
from torch import nn
from helper_of_mine import WIDTH
from spikeformer.error_handling import ProfilingError

net = nn.Linear(2, WIDTH).train()
number = 3

class Net(nn.Sequential):
    pass

def build():
    return nn.Linear(2, WIDTH + 1)

def needs(size):
    return nn.Linear(size, size)

def breaks():
    return 1 / 0

def refuses():
    raise ProfilingError("not today")

def gives():
    return 5
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of nets beside one that it imports; what they leave in the process is taken back."""
    (tmp_path / "helper_of_mine.py").write_text("WIDTH = 4")
    path = tmp_path / "nets_of_mine.py"
    path.write_text(SOURCE)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield path
    for name in ("helper_of_mine", "nets_of_mine"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("name", "width"), [("net", 4), ("build", 5)])
def test_networks_and_what_makes_them(file, name, width):
    net = own_network(f"{file}:{name}")
    assert net.out_features == width
    assert not net.training
    assert type(own_network(f"{file}:Net")).__name__ == "Net"
    assert isinstance(own_network(f"{file}:Net"), nn.Sequential)


def test_a_module_that_can_be_imported(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert own_network("nets_of_mine:net").out_features == 4


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("{file}", ["names no network", "my_net.py:build"]),
        ("{file}:", ["names no network"]),
        ("{folder}/absent.py:build", ["absent.py"]),
        ("{file}:bild", ["has no `bild`", "build", "net"]),
        ("{file}:number", ["gives a int"]),
        ("{file}:gives", ["gives a int"]),
        ("{file}:needs", ["needs failed", "missing 1 required positional argument"]),
        ("{file}:breaks", ["ZeroDivisionError: division by zero", "nets_of_mine.py:19"]),
        ("{folder}/wrong.py:net", ["wrong.py failed", "SyntaxError"]),
        ("no_such_lab.nets:build", ["no_such_lab", "ModuleNotFoundError"]),
    ],
)
def test_mistakes_are_named(file, target, words):
    (file.parent / "wrong.py").write_text("net = (")
    with pytest.raises(ConfigurationError) as error:
        own_network(target.format(file=file, folder=file.parent))
    for word in words:
        assert word in str(error.value)


def test_our_own_errors_stay_as_they_are(file):
    with pytest.raises(ProfilingError, match="not today"):
        own_network(f"{file}:refuses")
