from __future__ import annotations

import builtins
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.encoding import DeltaCoding, DirectCoding, EventCoding
from spikeformer.error_handling import (
    ArgumentError,
    HardwareCompatibilityError,
    MissingDependencyError,
)
from spikeformer.hardware import (
    Population,
    Projection,
    Readout,
    SpikeGraph,
    import_nir,
    lower,
    record_reference,
    simulate,
)
from spikeformer.hardware.ir.operators import TokenLinear
from spikeformer.hardware.nir import export as nir_module
from spikeformer.hardware.nir.export import export_nir
from spikeformer.models import CausalLMHead
from spikeformer.models.mechanisms import QKTokenAttention, SpikeDrivenAttention
from spikeformer.neurons import IntegerLifNeuron
from tests.hardware.lowering.layers import Function
from tests.hardware.networks import (
    HARD,
    heard,
    hosted,
    images,
    lasting,
    late,
    multimodal,
    seen_and_heard,
    sentences,
    spikes_for,
    text,
    two_layers,
    vit,
)
from tests.hardware.nir.files import reread

nir = pytest.importorskip("nir", reason="the extra `nir` is not installed")


def run_in_norse(path, inputs, timesteps):
    """Run a NIR file step by step with Norse's neurons, (samples, timesteps, outputs)."""
    nirtorch = pytest.importorskip("nirtorch", reason="nirtorch is not installed")
    reader = pytest.importorskip("norse.torch.utils.import_nir", reason="Norse is not installed")
    # nirtorch 2.6 loses the bias of an affine node and swaps a convolution's channels, so Norse
    # makes these too; both count a sample's axes with the batch.
    made = dict.fromkeys(
        (nir.LIF, nir.CubaLIF, nir.Affine, nir.Conv2d), reader._import_norse_module
    )
    made[nir.Flatten] = lambda node: torch.nn.Flatten()
    file = nir.read(path)
    network = nirtorch.nir_to_torch(file, made)
    frames = torch.tensor(inputs, dtype=torch.float32)
    if frames.ndim == 2:
        frames = frames[:, None].expand(-1, timesteps, -1)
    (shape,) = (x.input_type["input"] for x in file.nodes.values() if isinstance(x, nir.Input))
    frames = frames.unflatten(2, shape.tolist())
    outputs, state = [], None
    for step in range(timesteps):
        output, state = network(frames[:, step], *([] if state is None else [state]))
        outputs.append(output)
    return torch.stack(outputs, dim=1).detach().numpy()


@pytest.mark.parametrize(
    ("kind", "current_decay"), [("spikes", 0.0), ("values", 0.0), ("spikes", 0.6)]
)
def test_file_runs_in_norse(tmp_path, kind, current_decay):
    graph = lasting(two_layers(kind=kind), current_decay)
    inputs = spikes_for(graph, 20)
    export_nir(graph, tmp_path / "graph.nir")
    found = run_in_norse(tmp_path / "graph.nir", inputs["in"], graph.timesteps)
    expected = graph.outputs(inputs | simulate(graph, inputs))
    np.testing.assert_allclose(found.mean(axis=1), expected, atol=1e-5)


@pytest.mark.parametrize("mechanism", [None, SpikeDrivenAttention])
def test_transformer_runs_in_norse_as_in_pytorch(tmp_path, mechanism):
    net = vit(mechanism=mechanism) if mechanism else vit()
    reference = record_reference(net, images(8))
    graph = lower(net, (1, 6, 6)).graph
    export_nir(graph, tmp_path / "net.nir")
    found = run_in_norse(tmp_path / "net.nir", reference.inputs["input"], graph.timesteps)
    assert sum(spikes.sum() for spikes in reference.spikes.values()) > 100
    np.testing.assert_allclose(found.mean(axis=1), reference.outputs, atol=1e-5)


def test_readers_step_is_respected(tmp_path):
    """tau dv/dt = -v + I, by an Euler step: v (1 - dt/tau) + I dt/tau."""
    graph = two_layers()
    export_nir(graph, tmp_path / "graph.nir", dt=1e-4)
    nodes = nir.read(tmp_path / "graph.nir").nodes.values()
    neurons = [node for node in nodes if isinstance(node, nir.LIF)]
    for node, population in zip(neurons, graph.neurons, strict=True):
        np.testing.assert_allclose(1 - 1e-4 / node.tau, population.decay, atol=1e-12)
        np.testing.assert_allclose(
            node.v_threshold / (1 - population.decay), population.threshold, rtol=1e-12
        )


def test_what_nir_cannot_express_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ArgumentError, match="dt"):
        export_nir(two_layers(), tmp_path / "graph.nir", dt=0)
    populations = [Population("in", (2,), "spikes"), Population("alone", (1,), bias=np.ones(1))]
    alone = SpikeGraph(3, {p.name: p for p in populations}, ())
    with pytest.raises(HardwareCompatibilityError, match="'alone' has a bias and no input"):
        export_nir(alone, tmp_path / "graph.nir")
    forever = replace(two_layers().neurons[0], decay=1.0, current_decay=0.5)
    populations = {**two_layers().populations, "one": forever}
    with pytest.raises(HardwareCompatibilityError, match="one has currents that last and no leak"):
        export_nir(replace(two_layers(), populations=populations), tmp_path / "graph.nir")
    padded = lower(text(), {"input_ids": (7,), "mask": (7,)}).graph
    with pytest.raises(HardwareCompatibilityError, match="divide by their number"):
        export_nir(padded, tmp_path / "graph.nir")
    with pytest.raises(HardwareCompatibilityError, match="host between its populations"):
        export_nir(hosted()[0], tmp_path / "graph.nir")
    monkeypatch.setattr(nir_module, "MAX_WEIGHTS", 10)
    with pytest.raises(HardwareCompatibilityError, match=r"would be 47 numbers.*up to 10"):
        export_nir(two_layers(), tmp_path / "graph.nir")
    assert not list(tmp_path.iterdir())


def test_missing_package_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "nir":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match="'nir'"):
        export_nir(two_layers(), tmp_path / "graph.nir")


def test_neurons_without_a_leak_become_integrate_and_fire(tmp_path):
    graph = two_layers()
    populations = {
        name: replace(p, decay=1.0) if p.kind == "lif" else p
        for name, p in graph.populations.items()
    }
    graph = replace(graph, populations=populations)
    inputs = spikes_for(graph, 5)
    export_nir(graph, tmp_path / "graph.nir")
    found = import_nir(tmp_path / "graph.nir")(torch.tensor(inputs["in"], dtype=torch.float32))
    expected = graph.outputs(inputs | simulate(graph, inputs))
    np.testing.assert_allclose(found.detach().mean(1), expected, atol=1e-5)


def outputs_here(network, inputs, timesteps):
    """Run a file that was read here on arrays of a graph's sources, averaged over time."""
    frames = {
        name: torch.tensor(x, dtype=torch.float64)
        for name, x in zip(network.input_shapes, inputs, strict=True)
    }
    held = {
        name: x if x.ndim == 3 else x[:, None].expand(-1, timesteps, -1)
        for name, x in frames.items()
    }
    found = network(**held)
    if isinstance(found, torch.Tensor):
        return found.detach().mean(1).numpy()
    return np.concatenate([x.detach().mean(1).numpy() for x in found.values()], axis=1)


@pytest.mark.parametrize("dt", [1e-3, 1e-4])
def test_learnt_delays_come_back(tmp_path, dt):
    graph = late(6)
    inputs = spikes_for(graph, 8)
    network = reread(graph, tmp_path / "graph.nir", dt=dt)
    delays = [
        x for x in nir.read(tmp_path / "graph.nir").nodes.values() if isinstance(x, nir.Delay)
    ]
    assert sorted(x.delay.max() for x in delays) == pytest.approx([dt, 2 * dt, 3 * dt])
    expected = graph.outputs(inputs | simulate(graph, inputs))
    np.testing.assert_allclose(outputs_here(network, [inputs["in"]], 6), expected, atol=1e-12)

    again = reread(graph, tmp_path / "graph.nir", EventCoding(6), dt=dt)
    second = lower(again, again.expected_shape).graph
    assert second.lag == graph.lag
    spikes = simulate(second, {"input": inputs["in"]})
    np.testing.assert_allclose(second.outputs(spikes), expected, atol=1e-12)


def test_a_network_of_learnt_delays_comes_back(tmp_path):
    net, events = heard()
    lowered = lower(net, net.backbone.image_shape)
    network = reread(lowered.graph, tmp_path / "net.nir", EventCoding(10))
    reference = record_reference(net, events)
    found = outputs_here(network, [reference.inputs["input"]], 10)
    np.testing.assert_allclose(found, reference.outputs, atol=1e-12)
    second = lower(network, network.expected_shape).graph
    spikes = simulate(second, reference.inputs)
    np.testing.assert_allclose(second.outputs(spikes), reference.outputs, atol=1e-12)


def test_another_step_than_the_files_is_refused(tmp_path):
    export_nir(two_layers(), tmp_path / "graph.nir", dt=1e-4)
    with pytest.raises(HardwareCompatibilityError, match=r"steps of 0\.0001 s, but dt=0\.001"):
        import_nir(tmp_path / "graph.nir", dt=1e-3)
    x = torch.tensor(spikes_for(two_layers(), 4)["in"], dtype=torch.float32)
    given, found = (import_nir(tmp_path / "graph.nir", dt=dt)(x) for dt in (1e-4, None))
    assert torch.equal(given, found)


@pytest.mark.parametrize("fusion", ["cross_attention", "late"])
def test_several_modalities_are_inputs_by_name(tmp_path, fusion):
    """The host's part stays out: log-mel frames come in, late fusion averages what comes out."""
    net, samples = multimodal(fusion), seen_and_heard(4)
    lowered = lower(net, {name: tuple(x.shape[1:]) for name, x in samples.items()})
    graph, reference = lowered.graph, record_reference(net, samples)
    network = reread(graph, tmp_path / "net.nir")
    names = {name.replace(".", "__"): name for name in graph.populations}
    inputs = [reference.inputs[names[name]] for name in network.input_shapes]
    found = outputs_here(network, inputs, graph.timesteps)
    assert len(inputs) == 2
    assert found.shape == (4, 3 * graph.readout.branches)
    np.testing.assert_allclose(graph.readout.averaged(found), reference.outputs, atol=1e-12)


def test_both_signs_of_a_difference_are_inputs(tmp_path):
    net, samples = vit(encoding=DeltaCoding(3, 0.3)), images(4)
    graph, reference = lower(net, (1, 6, 6)).graph, record_reference(net, samples)
    network = reread(graph, tmp_path / "net.nir")
    assert [*network.input_shapes] == ["input__up", "input__down"]
    inputs = [reference.inputs[name.replace("__", ".")] for name in network.input_shapes]
    np.testing.assert_allclose(outputs_here(network, inputs, 3), reference.outputs, atol=1e-12)


def test_a_mask_and_tokens_are_inputs(tmp_path):
    net = text(mechanism=SpikeDrivenAttention, head=CausalLMHead, causal=True)
    samples = sentences([7, 2, 5])
    graph = lower(net, {"input_ids": (7,), "mask": (7,)}).graph
    reference = record_reference(net, samples)
    network = reread(graph, tmp_path / "net.nir")
    assert [*network.input_shapes] == ["mask", "backbone__token_embedding"]
    inputs = [reference.inputs[name.replace("__", ".")] for name in network.input_shapes]
    found = outputs_here(network, inputs, 3).reshape(reference.outputs.shape)
    np.testing.assert_allclose(found, reference.outputs, atol=1e-12)


@pytest.mark.parametrize("mechanism", [QKTokenAttention, SpikeDrivenAttention])
def test_integer_neurons_are_thresholds_with_a_loop(tmp_path, mechanism):
    """Counts are numbers of levels that fire, minima of counts are coincidences of levels."""
    neuron = partial(IntegerLifNeuron, tau_mem=2.0, max_spikes=3)
    net, samples = vit(mechanism=mechanism, neuron=neuron, threshold=0.5), images(4)
    graph, reference = lower(net, (1, 6, 6)).graph, record_reference(net, samples)
    assert {"count", "minimum"} <= {p.rule for p in graph.neurons}
    network = reread(graph, tmp_path / "net.nir")
    assert max(x.max() for x in reference.spikes.values()) == 3
    found = outputs_here(network, [reference.inputs["input"]], 3)
    np.testing.assert_allclose(found, reference.outputs, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_counts_round_ties_to_the_even_number(tmp_path, decay):
    count = Population("one", (2,), decay=decay, rule="count", levels=4, depth=1)
    weights = TokenLinear(np.array([[0.5, 1.0], [1.5, 2.0]]))
    readout = Readout((2,), (("one", TokenLinear(np.eye(2))),), np.zeros(2))
    graph = SpikeGraph(
        12,
        {"in": Population("in", (2,), "spikes"), "one": count},
        (Projection("in", "one", weights),),
        readout,
    )
    inputs = spikes_for(graph, 20)
    network = reread(graph, tmp_path / "graph.nir")
    found = network(torch.tensor(inputs["in"], dtype=torch.float64))
    np.testing.assert_array_equal(found.detach(), simulate(graph, inputs)["one"])


def test_convolutions_stay_convolutions(tmp_path):
    net = nn.Sequential(
        DirectCoding(4),
        Function(lambda x: x.flatten(0, 1)),
        nn.Conv2d(2, 4, 3, 2, 1),
        Function(lambda x: x.unflatten(0, (-1, 4))),
        HARD(0.3),
        Function(lambda x: x.flatten(0, 1)),
        nn.Conv2d(4, 4, 2, groups=2, bias=False),
        Function(lambda x: x.unflatten(0, (-1, 4))),
        HARD(0.2),
        nn.Flatten(2),
        nn.Linear(16, 3),
    )
    samples = images(4, (2, 6, 6))
    graph, reference = lower(net, (2, 6, 6)).graph, record_reference(net, samples)
    network = reread(graph, tmp_path / "net.nir")
    kinds = [type(x).__name__ for x in nir.read(tmp_path / "net.nir").nodes.values()]
    assert kinds.count("Conv2d") == 2
    assert kinds.count("Flatten") == 1
    found = outputs_here(network, [reference.inputs["input"]], 4)
    np.testing.assert_allclose(found, reference.outputs, atol=1e-12)
    there = run_in_norse(tmp_path / "net.nir", reference.inputs["input"], 4)
    np.testing.assert_allclose(there.mean(axis=1), reference.outputs, atol=1e-5)
