from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import HardwareCompatibilityError, ToolchainError
from spikeformer.hardware import HardwareModel, Loihi2Deployer, quantise
from spikeformer.hardware.measurement import measure
from spikeformer.hardware.reference import record_reference
from spikeformer.hardware.targets.loihi2.hosted import hosted_job, split_events
from spikeformer.hardware.targets.toolchain import WorkerResult
from tests.hardware.networks import converted, hosted
from tests.hardware.toolchains import needs_toolchain


@pytest.mark.slow
@needs_toolchain("loihi2")
@pytest.mark.parametrize("kind", ["vit_classifier", "bert_classifier"])
def test_lava_sends_what_numpy_and_pytorch_send(kind):
    """Two samples in a pipeline, the host in between: no event differs, in either arithmetic."""
    snn, inputs = converted(kind, levels=10)
    reference = record_reference(snn, inputs)
    deployer = Loihi2Deployer()
    shapes = {name: tuple(x.shape[1:]) for name, x in inputs.items()}
    with deployer.deploy(deployer.compile(snn, input_shape=shapes)) as chip:
        classes = reference.outputs.argmax(axis=-1)
        found = measure(chip, reference, classes, prices=deployer.target.prices)
    names = [(c.expected, c.recorded) for c in found.comparisons]
    assert names == [
        ("pytorch_float64", "reals_lava"),
        ("integers_numpy", "integers_lava"),
        ("pytorch_float64", "integers_lava"),
    ]
    assert found.comparisons[0].mismatches == found.comparisons[1].mismatches == 0
    assert found.comparisons[0].compared == 2 * 3 * chip.compiled.graph.num_neurons
    sums = sum(p.size for p in chip.compiled.graph.neurons if p.rule == "sum")
    events = found.comparisons[2]
    assert events.compared == found.comparisons[0].compared - 2 * 3 * sums
    assert 0 < events.mismatches < events.compared / 2
    assert found.accuracy == {"pytorch": 1.0, "float": 1.0, "chip": 1.0}
    assert found.placement.num_cores == len(chip.compiled.graph.neurons)


def test_a_job_holds_the_neurons_side_by_side():
    graph, inputs = hosted()
    job = hosted_job(quantise(graph).graph, inputs)
    assert job.settings["arithmetic"] == "fixed_pt"
    assert job.settings["steps"] == 2 * graph.timesteps + graph.depth
    assert job.arrays["unit"].shape == (graph.num_neurons,)
    assert job.arrays["starts"].tolist() == [p.depth for p in graph.neurons for _ in range(p.size)]
    assert job.arrays["inputs/pixel_values"].shape == (2, 3, 16, 16)
    weights = [job.arrays[f"{group['name']}/data"] for group in job.settings["synapses"]]
    assert sum(map(len, weights)) == quantise(graph).graph.num_synapses


def test_a_network_compiled_for_the_simulator_does_not_go_to_the_chip():
    graph, _ = hosted()
    compiled = HardwareModel("loihi2", graph, integers=quantise(graph))
    assert Loihi2Deployer().compiled(compiled) is compiled
    with pytest.raises(HardwareCompatibilityError, match="takes plain spikes only"):
        Loihi2Deployer(backend="chip").compiled(compiled)


def test_a_result_of_another_shape_or_with_strange_events_is_refused():
    graph, _ = hosted()
    shape = (2 * graph.timesteps + graph.depth, graph.num_neurons)
    for events in (
        np.zeros((3, 3)),
        np.full(shape, np.nan),
        np.full(shape, 0.5),
        np.full(shape, 129),
    ):
        with pytest.raises(ToolchainError, match="damaged"):
            split_events(WorkerResult("w", {"events": events}, {}, ""), graph, 2)
    found = split_events(WorkerResult("w", {"events": np.ones(shape)}, {}, ""), graph, 2)
    assert found[graph.neurons[0].name].shape == (2, graph.timesteps, graph.neurons[0].size)
