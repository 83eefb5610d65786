"""Samples and timesteps of the networks of all libraries, against loops that count by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError, ProfilingError
from spikeformer.neurons import LifNeuron
from spikeformer.profiling import EnergyProfiler, OperationCounts
from tests.instrument import libraries as lib
from tests.profiling.brute_force import conv_products, spikes_like

T, B = 4, 2
X = torch.rand(T, B, 5) * 2


class Call(nn.Module):
    """A module that calls a function of its children and its inputs."""

    def __init__(self, function, *children):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(children)

    def forward(self, *inputs):
        return self.function(*self.parts, *inputs)


def measured(run, **time) -> OperationCounts:
    with torch.no_grad(), EnergyProfiler().measure(**time) as recording:
        run()
    return recording.counts


def layers(counts: OperationCounts) -> dict[str, tuple[float, ...]]:
    """Return what is independent of how time is arranged."""
    return {
        layer.name.rpartition(".")[2]: (
            layer.dense,
            layer.acs,
            layer.macs,
            layer.neuron_updates,
            layer.spikes,
            *layer.timeline,
        )
        for layer in counts.layers
    }


def two_layers(mode: str) -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Linear(5, 6), lib.BaseNode(mode), nn.Linear(6, 3), lib.MyNode(mode)]
    return nn.Sequential(*parts)


def reset(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, lib.BaseNode):
            module.reset()


def by_hand() -> tuple[OperationCounts, dict[str, tuple[float, ...]]]:
    """Step through time outside of the profiler and count spikes and products one by one."""
    net = two_layers("s")
    spikes = {"0": [], "1": [], "2": [], "3": []}
    with torch.no_grad():
        for x in X:
            for name, module in net.named_children():
                spikes[name].append(int((x != 0).sum()))
                x = module(x)
                if name in "13":
                    spikes[name][-1] = int(x.sum())
    first, second = [n * 6 for n in spikes["0"]], [n * 3 for n in spikes["2"]]
    return {
        "0": (T * B * 30, 0, sum(first), 0, 0, *first),
        "1": (0, 0, 0, T * B * 6, sum(spikes["1"]), *spikes["1"]),
        "2": (T * B * 18, sum(second), 0, 0, 0, *second),
        "3": (0, 0, 0, T * B * 3, sum(spikes["3"]), *spikes["3"]),
    }


def stepped(net, x=X):
    reset(net)
    for step in x:
        net(step)


def arrangements():
    multi, single = two_layers("m"), two_layers("s")

    def unroll(net, x):
        reset(net)
        return torch.stack([net(step) for step in x])

    def fold(net, x):
        reset(net)
        return net(x.unflatten(0, (T, B)))

    return {
        "time first": (lambda: multi(X), multi),
        "loop outside": (lambda: stepped(single), single),
        "loop inside": (lambda: Call(unroll, single)(X), single),
        "one axis": (lambda: Call(fold, multi)(X.flatten(0, 1)), multi),
        "batch first": (
            lambda: Call(lambda net, x: unroll(net, x.transpose(0, 1)), single)(X.transpose(0, 1)),
            single,
        ),
    }


@pytest.mark.parametrize("name", arrangements())
@pytest.mark.parametrize("declared", [False, True])
def test_however_time_is_arranged_the_counts_are_those_by_hand(name, declared):
    run, net = arrangements()[name]
    reset(net)
    counts = measured(run, **({"timesteps": T} if declared else {}))
    assert (counts.samples, counts.timesteps) == (B, T)
    assert layers(counts) == by_hand()


def test_samples_of_several_batches_are_told_from_timesteps():
    net = two_layers("s")
    once = measured(lambda: stepped(net))
    twice = measured(lambda: (stepped(net), stepped(net)))
    assert (twice.samples, twice.timesteps) == (2 * B, T)
    assert twice.per_sample("acs") == once.per_sample("acs") > 0
    assert twice.firing_rate == once.firing_rate


def test_states_that_are_handed_in_and_out():
    net = Call(lambda fc, cell, x, state: cell(fc(x), state), nn.Linear(5, 6), lib.SNNCell())

    def run():
        for _ in range(2):
            state = None
            for x in X:
                _, state = net(x, state)

    counts = measured(run)
    assert (counts.samples, counts.timesteps) == (2 * B, T)


def test_hidden_states():
    net = nn.Sequential(nn.Linear(5, 6), lib.Synaptic(init_hidden=True))

    def run():
        for _ in range(2):
            net[1].reset()
            for x in X:
                net(x)

    counts = measured(run)
    assert (counts.samples, counts.timesteps) == (2 * B, T)
    assert next(x for x in counts.layers if x.kind == "neuron").membranes == 2 * 6


def test_an_input_that_a_network_repeats_over_time():
    def repeat(net, x):
        reset(net)
        return net(x.expand(T, -1, -1))

    counts = measured(lambda: Call(repeat, two_layers("m"))(X[0]))
    assert (counts.samples, counts.timesteps) == (B, T)


def test_convolutions_over_time_first_rows():
    conv, x = nn.Conv2d(2, 3, 3, padding=1), spikes_like(T, B, 2, 5, 5)
    net = Call(
        lambda conv, node, x: node(conv(x.flatten(0, 1)).unflatten(0, (T, B))),
        conv,
        lib.SNN(),
    )
    counts = measured(lambda: net(x))
    effective, dense = conv_products(x.flatten(0, 1), conv)
    layer = next(layer for layer in counts.layers if layer.kind == "conv")
    assert (layer.acs, layer.dense) == (sum(effective), dense)
    assert layer.timeline == tuple(torch.tensor(effective).view(T, B).sum(1).tolist())


def test_rows_of_tokens_beside_those_of_samples():
    x = torch.rand(T, B, 7, 5)
    net = Call(lambda fc, node, x: node(fc(x.flatten(1, 2))), nn.Linear(5, 6), lib.BaseNode("m"))
    with pytest.raises(ProfilingError, match=r"\(4, 2, 7, 5\).*14 rows.*time_axis"):
        measured(lambda: net(x))
    reset(net)
    counts = measured(lambda: net(x), time_axis=0)
    assert (counts.samples, counts.timesteps) == (B, T)
    assert next(x for x in counts.layers if x.kind == "linear").steps == T


def test_samples_and_timesteps_as_one_axis():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), lib.IAFSqueeze(B), nn.Flatten(), nn.Linear(18, 2))
    counts = measured(lambda: net(torch.rand(B * T, 1, 5, 5)))
    assert (counts.samples, counts.timesteps) == (B, T)
    assert [x.steps for x in counts.layers] == [T, T, T]


def test_a_network_without_neurons_takes_what_is_said():
    fc = nn.Linear(5, 3)
    assert measured(lambda: fc(X)).samples == T  # nothing shows a time axis
    for time in ({"time_axis": 0}, {"time_axis": 0, "timesteps": T}):
        counts = measured(lambda: fc(X), **time)
        assert (counts.samples, counts.timesteps) == (B, T)
    counts = measured(lambda: fc(X.flatten(0, 1)), time_axis=0, timesteps=T)
    assert (counts.samples, counts.timesteps) == (B, T)


def test_readouts_are_updated_and_have_no_firing_rate():
    net = Call(lambda fc, snn, li, x: li(snn(fc(x))[0]), nn.Linear(5, 3), lib.SNN(), lib.LI())
    counts = measured(lambda: net(X))
    spikes = next(layer for layer in counts.layers if layer.kind == "neuron").spikes
    assert counts.per_sample("neuron_updates") * B == 2 * T * B * 3
    assert counts.firing_rate == spikes / (T * B * 3)


@pytest.mark.parametrize(
    ("mode", "time"),
    [
        ("m", {"time_axis": 1}),
        ("m", {"timesteps": 3}),
        ("m", {"timesteps": 8}),
        ("s", {"time_axis": 0}),
    ],
)
def test_what_is_said_of_time_must_fit(mode, time):
    net = two_layers(mode)
    with pytest.raises(ProfilingError, match="does not fit"):
        measured(lambda: net(X), **time)


def test_axes_that_are_not_there():
    for time in ({"time_axis": 3}, {"time_axis": 0, "timesteps": 3}):
        with pytest.raises(ProfilingError, match=r"\(4, 2, 5\)"):
            measured(lambda time=time: nn.Linear(5, 3)(X), **time)
    with pytest.raises(ArgumentError, match="timesteps"):
        EnergyProfiler().measure(timesteps=0)
    with pytest.raises(ArgumentError, match="time_axis"):
        EnergyProfiler().measure(time_axis=-1)


def test_a_sample_that_lacks_timesteps():
    net = two_layers("s")
    with pytest.raises(ProfilingError, match="1 of 3 timesteps"):
        measured(lambda: stepped(net), timesteps=3)


def test_neurons_that_run_differently_often_ask_for_timesteps():
    shared = lib.BaseNode("s")

    def forward(a, b, once, shared, x):
        reset(net)
        for step in x:
            out = once(shared(b(shared(a(step)))))
        return out

    net = Call(forward, nn.Linear(5, 6), nn.Linear(6, 6), lib.BaseNode("s"), shared)
    with pytest.raises(ProfilingError, match=r"parts\.3: 8, parts\.2: 4"):
        measured(lambda: net(X))
    counts = measured(lambda: net(X), timesteps=T)
    assert (counts.samples, counts.timesteps) == (B, T)
    assert {layer.steps for layer in counts.layers} == {T}


def test_layers_that_a_script_calls_one_by_one():
    fc, cell = nn.Linear(5, 6), lib.SNNCell()
    with pytest.raises(ProfilingError, match=r"one torch\.nn\.Module"):
        measured(lambda: [cell(fc(x)) for x in X])


def test_what_changes_in_place_before_the_first_neurons():
    def forward(fc, node, x):
        out = fc(x)
        x.zero_()
        return node(out)

    net = Call(forward, nn.Linear(5, 6), lib.SNN())
    counts = measured(lambda: net(X.clone()))
    assert counts.layers[0].macs == T * B * 30


def test_ours_without_a_word_on_time():
    net = nn.Sequential(nn.Linear(5, 6), LifNeuron())
    counts = measured(lambda: net(X))  # batch first
    assert (counts.samples, counts.timesteps) == (T, B)
    with pytest.raises(ProfilingError, match="does not fit"):
        measured(lambda: net(X), time_axis=0)
