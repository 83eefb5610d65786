from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import inf

import numpy as np
import pytest

from spikeformer.error_handling import ArgumentError, HardwareCompatibilityError, ToolchainError
from spikeformer.hardware import (
    HardwareModel,
    Loihi2Deployer,
    Population,
    Projection,
    SpikeGraph,
    compare,
    lower,
    quantise,
    record_reference,
    reference_spikes,
    simulate,
    simulate_integers,
)
from spikeformer.hardware.ir.operators import TokenLinear
from spikeformer.hardware.targets.loihi2.network import float_job, integer_job, split
from spikeformer.hardware.targets.loihi2.target import HOSTED, RUN
from spikeformer.hardware.targets.toolchain import find_toolchain, run_worker
from spikeformer.models import SpikformerStem, Stream
from spikeformer.models.mechanisms import SpikeDrivenAttention
from spikeformer.neurons import IntegerLifNeuron, LifNeuron
from tests.hardware.networks import (
    camera,
    heard,
    images,
    lasting,
    sentences,
    spikes_for,
    text,
    two_layers,
    vit,
)
from tests.hardware.toolchains import needs_toolchain

pytestmark = [pytest.mark.slow, needs_toolchain("loihi2")]


def deployed(graph: SpikeGraph):
    return Loihi2Deployer().deploy(HardwareModel("loihi2", graph, integers=quantise(graph)))


def assert_equal(graph, expected, recorded):
    assert sum(int(spikes.sum()) for spikes in expected.values()) > 0
    for name, spikes in expected.items():
        np.testing.assert_array_equal(recorded[name], spikes, err_msg=name)


@pytest.mark.parametrize(("kind", "current_decay"), [("spikes", 0.6), ("values", 0.0)])
def test_lava_fires_as_numpy_does(kind, current_decay):
    """Ten samples in a pipeline: every population starts each of them from zero."""
    graph = lasting(two_layers(6, kind=kind), current_decay)
    inputs = spikes_for(graph, 10)
    model = deployed(graph)
    assert_equal(graph, simulate(graph, inputs), model.execute_float(inputs))
    assert_equal(graph, simulate_integers(quantise(graph), inputs)[0], model.execute(inputs))


INTEGERS = {
    "neuron": partial(IntegerLifNeuron, tau_mem=2.0),
    "threshold": 0.5,
    "image": (1, 8, 8),
    "stem": partial(SpikformerStem, pool_spikes=True),
}


@pytest.mark.parametrize(
    "settings",
    [
        {"mechanism": SpikeDrivenAttention},
        {"neuron": partial(LifNeuron, reset="zero", tau_mem=inf)},
        {"mechanism": SpikeDrivenAttention, **INTEGERS},
    ],
    ids=["sdsa", "no leak", "integers and their maxima"],
)
def test_transformer_fires_as_in_pytorch(settings):
    net = vit(**settings)
    samples = images(6, settings.get("image", (1, 6, 6)))
    reference = record_reference(net, samples)
    model = Loihi2Deployer().deploy(net)
    graph = model.compiled.graph
    expected = reference_spikes(graph, reference)
    assert_equal(graph, expected, model.execute_float(reference.inputs))
    whole, _ = simulate_integers(model.compiled.integers, reference.inputs)
    recording = model.run(samples)
    assert compare(graph, whole, recording.spikes).mismatches == 0
    assert recording.outputs.shape == (6, 3)


def test_sentences_fire_as_in_pytorch():
    samples = sentences([7, 2, 5, 1])
    net = text(mechanism=SpikeDrivenAttention)
    model = Loihi2Deployer().deploy(net)
    graph, reference = model.compiled.graph, record_reference(net, samples)
    assert_equal(graph, reference_spikes(graph, reference), model.execute_float(reference.inputs))
    whole, _ = simulate_integers(model.compiled.integers, reference.inputs)
    assert compare(graph, whole, model.run(samples).spikes).mismatches == 0


def test_a_long_recording_of_events_fires_as_in_pytorch_in_parts():
    """The chip keeps its state over three times the timesteps that the network has."""
    net, _ = camera()
    _, events = camera(9)
    deployer = Loihi2Deployer()
    model = deployer.deploy(deployer.compile(lower(net, net.backbone.image_shape).lasting(9)))
    graph, recording = model.compiled.graph, model.compiled.encode(events)
    whole = model.execute_float(recording)
    assert_equal(graph, simulate(graph, recording), whole)
    outputs = graph.outputs(recording | whole)
    streamed = Stream(net.double()).run(events.double()).mean(dim=1)
    np.testing.assert_allclose(outputs, streamed.numpy(), atol=1e-12)


def test_learnt_delays_are_those_of_the_chips_synapses():
    """Those of more than 64 steps lead through relays."""
    net, events = heard(timesteps=90, samples=3, max_delay=70)
    reference = record_reference(net, events)
    model = Loihi2Deployer().deploy(net)
    graph = model.compiled.graph
    assert model.compiled.details["relay_neurons"] > 0
    expected = reference_spikes(graph, reference)
    assert expected[graph.neurons[-1].name].any()
    assert_equal(graph, expected, model.execute_float(reference.inputs))
    whole, _ = simulate_integers(model.compiled.integers, reference.inputs)
    assert_equal(graph, whole, model.execute(reference.inputs))


def test_ties_with_the_threshold_fire():
    """Lava fires above its threshold, the network at it."""
    populations = [
        Population("in", (2,), "spikes"),
        Population("and", (1,), decay=0.0, threshold=2.0, depth=1),
    ]
    weights = Projection("in", "and", TokenLinear(np.ones((1, 2))))
    graph = SpikeGraph(4, {p.name: p for p in populations}, (weights,))
    inputs = {"in": np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]], np.uint8)}
    model = deployed(graph)
    for spikes in (model.execute(inputs), model.execute_float(inputs)):
        assert spikes["and"].ravel().tolist() == [0, 0, 0, 1]


def test_graded_spikes_by_hand():
    """Counts with ties, negative membranes and a decay, thresholds beside them, and minima."""
    populations = [
        Population("in", (4,), "spikes"),
        Population("one", (6,), decay=0.5, threshold=2.0, depth=1, rule="count", levels=4),
        Population("two", (6,), decay=0.0, threshold=3.0, depth=2, rule="count", levels=4),
        Population("least", (6,), depth=3, rule="minimum", levels=4),
        Population("fires", (6,), decay=0.5, threshold=3.0, depth=4),
    ]
    rng = np.random.default_rng(0)

    def weights(out, into):
        return TokenLinear(rng.integers(-2, 5, size=(out, into)).astype(float))

    same = TokenLinear(np.eye(6))
    projections = (
        Projection("in", "one", weights(6, 4)),
        Projection("one", "two", weights(6, 6)),
        Projection("one", "least", same, 2),
        Projection("two", "least", TokenLinear(8 * np.eye(6))),
        Projection("least", "fires", weights(6, 6)),
    )
    graph = SpikeGraph(5, {p.name: p for p in populations}, projections)
    inputs = spikes_for(graph, 8)
    expected = simulate(graph, inputs)
    assert set(np.unique(expected["least"])) >= set(range(4))
    assert set(np.unique(expected["one"])) == set(range(5))
    model = deployed(graph)
    assert_equal(graph, expected, model.execute_float(inputs))
    whole, _ = simulate_integers(quantise(graph), inputs)
    assert_equal(graph, whole, model.execute(inputs))
    np.testing.assert_array_equal(whole["two"], expected["two"])


def test_longest_delay_of_the_chip():
    """64 steps: 63 of a delayed synapse and one of its own."""
    line = [Population("in", (3,), "spikes")]
    line += [Population(str(d), (3,), decay=0.0, threshold=0.5, depth=d) for d in range(1, 65)]
    one = TokenLinear(np.eye(3))
    projections = [Projection(a.name, b.name, one) for a, b in pairwise(line)]
    last = Population("last", (3,), decay=0.0, threshold=1.5, depth=65)
    projections += [Projection("1", "last", one, 64), Projection("64", "last", one, 1)]
    graph = SpikeGraph(2, {p.name: p for p in [*line, last]}, tuple(projections))
    inputs = spikes_for(graph, 3)
    spikes = deployed(graph).execute(inputs)
    np.testing.assert_array_equal(spikes["last"], inputs["in"])


def run(*job):
    return run_worker(find_toolchain("loihi2"), RUN, *job, timeout=120, facts=dict, modules=HOSTED)


@pytest.mark.parametrize("kind", ["spikes", "values"])
def test_block_of_neurons_equals_lavas_own_processes(kind):
    """The merged network against one LIFReset and one DelaySparse for each layer."""
    graph = two_layers(kind=kind, seed=3)
    inputs = spikes_for(graph, 5)
    # Each kind of input once, each arithmetic once: how layers are merged depends on neither.
    network = graph if kind == "values" else quantise(graph)
    make = float_job if kind == "values" else integer_job
    block, layers = (
        run(job.arrays, job.settings).arrays["spikes"]
        for job in (make(network, inputs, form) for form in ("block", "layers"))
    )
    assert block.sum() > 0
    # What a population fires before its first sample is nobody's.
    for name, spikes in split(block, graph, 5).items():
        np.testing.assert_array_equal(split(layers, graph, 5)[name], spikes)


def test_failing_process_of_lava_ends_the_run_with_its_traceback():
    """By itself Lava would wait for ever for a process that failed."""
    graph = two_layers()
    job = float_job(graph, spikes_for(graph, 1))
    job.arrays["starts"] = job.arrays["starts"][:-1]
    with pytest.raises(ToolchainError, match=r"(?s)status 143.*processes.py.*IndexError"):
        run(job.arrays, job.settings)


def test_chip_without_its_software_is_refused():
    with pytest.raises(HardwareCompatibilityError, match=r"lava-loihi.*backend='simulator'"):
        Loihi2Deployer(backend="chip").check()


def test_arguments_are_checked():
    with pytest.raises(ArgumentError, match="backend"):
        Loihi2Deployer(backend="cloud")
    with pytest.raises(ArgumentError, match="timeout"):
        Loihi2Deployer(timeout=0)
    with pytest.raises(HardwareCompatibilityError, match="compiled for 'simulation'"):
        Loihi2Deployer().deploy(HardwareModel("simulation", two_layers()))
