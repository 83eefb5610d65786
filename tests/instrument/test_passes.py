from __future__ import annotations

import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from spikeformer.instrument import PassWatcher, Trail


class Log(PassWatcher[str]):
    """Writes down what it hears."""

    def __init__(self, wanted=nn.Module):
        super().__init__()
        self.wanted, self.events = wanted, []

    def begin(self, network):
        return isinstance(network, self.wanted)

    def enter(self, module, args):
        self.events.append(f"enter {type(module).__name__}")
        return type(module).__name__

    def leave(self, frame, module, output):
        self.events.append(f"leave {frame}{'' if output is not None else ' in error'}")

    def end(self):
        self.events.append("end")


class Call(nn.Module):
    """Calls a function with its inner module."""

    def __init__(self, function, inner=None):
        super().__init__()
        self.inner, self.function = inner or nn.Identity(), function

    def forward(self, x):
        return self.function(self.inner, x)


def test_pass_watcher_hears_of_every_module_in_order():
    with Log() as log:
        nn.Sequential(nn.ReLU(), nn.Identity())(torch.rand(1))
    assert log.events == [
        "enter Sequential",
        "enter ReLU",
        "leave ReLU",
        "enter Identity",
        "leave Identity",
        "leave Sequential",
        "end",
    ]


def test_pass_watcher_follows_only_what_it_began():
    with Log(nn.Sequential) as log:
        nn.ReLU()(torch.rand(1))
    assert log.events == []


def test_pass_watcher_ends_a_pass_that_failed():
    def fail(inner, x):
        raise ValueError("no")

    with Log() as log:
        with pytest.raises(ValueError, match="no"):
            nn.Sequential(Call(fail))(torch.rand(1))
        nn.ReLU()(torch.rand(1))
    assert log.events[2:5] == ["leave Call in error", "leave Sequential in error", "end"]
    assert log.events[5:] == ["enter ReLU", "leave ReLU", "end"]


def test_pass_watcher_leaves_other_threads_alone_while_it_follows_one():
    def call_elsewhere(inner, x):
        thread = threading.Thread(target=nn.ReLU(), args=(x,))
        thread.start()
        thread.join()
        return inner(x)

    with Log() as log:
        Call(call_elsewhere)(torch.rand(1))
    assert log.events == ["enter Call", "enter Identity", "leave Identity", "leave Call", "end"]


def test_pass_watcher_leaves_recomputation_out():
    net = Call(lambda inner, x: checkpoint(inner, x, use_reentrant=False), nn.Linear(2, 2))
    with Log() as log:
        net(torch.rand(1, 2, requires_grad=True)).sum().backward()
    assert log.events == ["enter Call", "enter Linear", "leave Linear", "leave Call", "end"]


def test_trail_names_operations_by_module_and_turn():
    names = []

    def note(inner, x):
        names.append([trail.next_operation(f) for f in ("linear", "linear", "matmul")])
        return x

    shared = Call(note)
    net = nn.Sequential(shared, nn.Identity(), shared)
    with Trail(net) as trail:
        outside = trail.next_operation("matmul")
        net(torch.rand(1))
    assert outside == (":matmul", 0)
    assert names == [[("0", n), ("0:linear1", n), ("0:matmul", n)] for n in (0, 1)]


def test_trail_begins_anew_with_every_block():
    net = nn.Identity()
    trail = Trail(net)
    for _ in range(2):
        with trail:
            net(torch.rand(1))
            assert trail.next_operation("matmul") == (":matmul", 0)


def test_trail_keeps_the_path_at_which_an_error_happened():
    def fail(inner, x):
        raise ValueError("no")

    net = nn.Sequential(nn.Identity(), nn.Sequential(Call(fail)))
    trail = Trail(net)
    with pytest.raises(ValueError, match="no"), trail:
        net(torch.rand(1))
    assert trail.path == "1.0"


def test_trail_forgets_an_error_that_the_network_handled():
    def fail(inner, x):
        raise ValueError("no")

    def careful(inner, x):
        try:
            return inner(x)
        except ValueError:
            paths.append(trail.path)
            return x

    paths = []
    net = nn.Sequential(Call(careful, Call(fail)), Call(lambda inner, x: paths.append(trail.path)))
    with Trail(net) as trail:
        net(torch.rand(1))
    assert paths == ["0.inner", "1"]


def test_trail_follows_each_thread_by_itself():
    names, barrier = {}, threading.Barrier(2)

    def note(inner, x):
        barrier.wait()
        names[threading.current_thread().name] = trails[threading.current_thread().name].path
        return inner(x)

    net = nn.Sequential(nn.Sequential(Call(note)))
    trails = {}

    def run():
        name = threading.current_thread().name
        with Trail(net) as trails[name]:
            net(torch.rand(1))
            assert trails[name].path == ""

    threads = [threading.Thread(target=run, name=name) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == {"a": "0.0", "b": "0.0"}
