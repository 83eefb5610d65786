from __future__ import annotations

import numpy as np

from spikeformer.hardware import (
    SimulationDeployer,
    quantise,
    record_reference,
    simulate_integers,
    spike_bytes,
)
from spikeformer.hardware.targets.simulation.hosted import HostedRun
from tests.hardware.networks import converted, hosted


def test_samples_run_one_by_one_give_what_they_give_together():
    graph, inputs = hosted()
    together = HostedRun(graph).run(inputs)
    for sample in range(2):
        alone = HostedRun(graph).run({name: x[sample : sample + 1] for name, x in inputs.items()})
        np.testing.assert_array_equal(alone.outputs[0], together.outputs[sample])
        for name, events in alone.events.items():
            np.testing.assert_array_equal(events[0], together.events[name][sample])
    np.testing.assert_array_equal(together.outputs, graph.outputs({**inputs, **together.events}))
    driven = sum(p.size for p in graph.differential if p.source is not None)
    assert 0 < together.sent <= 2 * graph.timesteps * driven
    assert together.host_seconds > 0
    assert spike_bytes(graph) == sum(events[0].nbytes for events in together.events.values())


def test_integers_stay_near_real_numbers_and_in_range():
    graph, inputs = hosted()
    integers = quantise(graph)
    events, extremes = simulate_integers(integers, inputs)
    outputs = integers.graph.outputs({**inputs, **events})
    expected = HostedRun(graph).run(inputs).outputs
    assert np.linalg.norm(outputs - expected) < 0.02 * np.linalg.norm(expected)
    for p in integers.graph.differential:
        assert events[p.name].dtype == np.int32
        assert p.unit.dtype == p.start.dtype == np.int64
        assert extremes[p.name].clipped == 0
        assert extremes[p.name].high <= integers.format.max_state
    for projection in integers.graph.projections:
        weights = projection.operator.weights
        assert weights.dtype == np.int32
        # Every neuron's weights use the range that they have.
        assert np.abs(weights).max() == 255


def test_a_deployed_network_predicts_what_pytorch_does():
    snn, inputs = converted()
    with SimulationDeployer().deploy(snn) as deployed:
        outputs = deployed.run(inputs["pixel_values"]).outputs
        predicted = deployed.predict(inputs)
    np.testing.assert_allclose(outputs, record_reference(snn, inputs).outputs, atol=1e-12)
    np.testing.assert_array_equal(predicted, outputs.argmax(axis=-1))
