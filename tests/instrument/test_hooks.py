from __future__ import annotations

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from spikeformer.instrument import ModuleWatch, eager, module_paths, unfused
from spikeformer.instrument.hooks import Switch


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=False)


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


def compiled():
    """Return a compiled network, and how often its graph has run."""
    runs = []

    def backend(graph, inputs):
        def run(*args):
            runs.append(1)
            return graph(*args)

        return run

    net = Doubled()
    net.compile(backend=backend)
    net(torch.rand(2, 3))
    return net, runs


def test_switch_holds_until_the_last_has_left_in_any_order():
    states = ["off"]

    def set_():
        states.append("on")
        return lambda: states.append("off")

    switch = Switch(set_)
    first, second = switch.__enter__(), switch.__enter__()
    assert states == ["off", "on"]
    first.__exit__()
    assert states == ["off", "on"]
    second.__exit__()
    assert states == ["off", "on", "off"]


def test_unfused_restores_what_was():
    with unfused, unfused:
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with unfused:
            pass
        assert not torch.backends.mha.get_fastpath_enabled()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_eager_lasts_as_long_as_one_of_two_watches():
    net, runs = compiled()
    seen = []
    first, second = (ModuleWatch(net, lambda *call: seen.append(call)) for _ in range(2))
    first.close()
    net(torch.rand(2, 3))
    assert (len(seen), len(runs)) == (1, 1)
    second.close()
    net(torch.rand(2, 3))
    assert (len(seen), len(runs)) == (1, 2)


def test_eager_runs_the_module_itself():
    net, runs = compiled()
    with eager:
        net(torch.rand(2, 3))
    assert len(runs) == 1


def test_module_watch_hands_over_path_arguments_and_output():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Bilinear(2, 2, 1)

        def forward(self, x):
            return self.inner(x, input2=x)

    net, seen = Net(), []
    with ModuleWatch(net, lambda *call: seen.append(call), nn.Bilinear):
        out = net(x := torch.rand(1, 2))
    ((path, module, args, kwargs, output),) = seen
    assert (path, module, output) == ("inner", net.inner, out)
    assert args[0] is x
    assert kwargs["input2"] is x
    net(x)
    assert len(seen) == 1


def test_module_watch_leaves_recomputation_out():
    net, seen = Checkpointed(), []
    with ModuleWatch(net, lambda path, *call: seen.append(path)):
        net(torch.rand(2, 3, requires_grad=True)).sum().backward()
    assert seen == ["inner", ""]


def test_module_paths_of_a_shared_module_are_its_first():
    inner = nn.ReLU()
    net = nn.Sequential(inner, inner)
    assert module_paths(net) == {id(net): "", id(inner): "0"}


def test_module_watch_watches_the_paths_that_it_is_given():
    net, seen = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU())), []
    with ModuleWatch(net, lambda path, *call: seen.append(path), paths=("", "1.0")):
        net(torch.rand(1))
    assert seen == ["1.0", ""]
