"""The job for Lava, run here step by step in the way that Lava's processes do."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.hardware import quantise, simulate, simulate_integers
from spikeformer.hardware.targets.exchange import unpack_sparse
from spikeformer.hardware.targets.loihi2.network import float_job, integer_job, places, split
from tests.hardware.networks import late, spikes_for, two_layers


def synapses(job):
    """Yield source, target neuron, source neuron, weight and delay of each synapse of a job."""
    for group in job.settings["synapses"]:
        weights = unpack_sparse(group["name"], job.arrays).tocoo()
        for target, source, weight in zip(weights.row, weights.col, weights.data, strict=True):
            receiver, sender = group["first_receiver"] + target, group["first_sender"] + source
            yield group["sender"], receiver, sender, weight, group["delay"]


def run(job, decayed, scale):
    """Spikes of all neurons, (1, steps, neurons): `decayed` gives what is left of a membrane.

    Weights are in units of 1 / `scale` of the membrane's.
    """
    arrays, steps, timesteps = job.arrays, job.settings["steps"], job.settings["timesteps"]
    size = len(arrays["dv"])
    sent = {"neurons": np.zeros((steps, size))}
    if "spikes" in arrays:
        samples, _, columns = arrays["spikes"].shape
        sent["spikes"] = np.zeros((steps, columns))
        for column, start in enumerate(arrays["spikes_starts"]):
            trains = arrays["spikes"][:, :, column].ravel()
            sent["spikes"][start : start + samples * timesteps, column] = trains
    membrane = np.zeros(size)
    for step in range(steps):
        current = arrays["bias_mant"] * 2.0 ** arrays["bias_exp"]
        for source, target, sender, weight, delay in synapses(job):
            if step >= delay:
                current[target] += scale * weight * sent[source][step - delay, sender]
        for column, place in enumerate(arrays.get("currents_places", [])):
            sample = (step - arrays["starts"][place]) // timesteps
            if 0 <= sample < len(arrays["currents"]):
                value = arrays["currents"][sample, column]
                current[place] += value * 2.0 ** arrays["bias_exp"][place]
        membrane[(step - arrays["starts"]) % timesteps == 0] = 0.0
        membrane = decayed(membrane, arrays["dv"]) + current
        sent["neurons"][step] = membrane > arrays["vth"] * scale
        membrane[sent["neurons"][step] == 1] = 0.0
    return sent["neurons"][None]


def decayed_reals(membrane, dv):
    return membrane * (1.0 - dv)


def decayed(membrane, dv):
    return np.sign(membrane) * (np.abs(membrane) * (4096 - dv) // 4096)


@pytest.mark.parametrize("kind", ["spikes", "values"])
def test_float_job_fires_as_the_graph(kind):
    graph = two_layers(kind=kind)
    inputs = spikes_for(graph, 4)
    recorded = run(float_job(graph, inputs, "layers"), decayed_reals, 1)
    expected = simulate(graph, inputs)
    assert sum(int(spikes.sum()) for spikes in expected.values()) > 0
    for name, spikes in split(recorded, graph, 4).items():
        np.testing.assert_array_equal(spikes, expected[name])


@pytest.mark.parametrize("kind", ["spikes", "values"])
def test_integer_job_fires_as_the_integer_graph(kind):
    graph = two_layers(kind=kind)
    integers, inputs = quantise(graph), spikes_for(graph, 4)
    recorded = run(integer_job(integers, inputs, "layers"), decayed, 64)
    expected, _ = simulate_integers(integers, inputs)
    assert sum(int(spikes.sum()) for spikes in expected.values()) > 0
    for name, spikes in split(recorded, graph, 4).items():
        np.testing.assert_array_equal(spikes, expected[name])


@pytest.mark.parametrize("timesteps", [1, 2, 5])
@pytest.mark.parametrize("lags", [(2, 1, 3), (0, 0, 4)])
def test_late_spikes_arrive_in_their_own_sample(timesteps, lags):
    """Silent windows between the samples take up what arrives after their end."""
    graph = late(timesteps, lags)
    integers, inputs = quantise(graph), spikes_for(graph, 7)
    jobs = (
        (float_job(graph, inputs, "layers"), decayed_reals, 1, simulate(graph, inputs)),
        (
            integer_job(integers, inputs, "layers"),
            decayed,
            64,
            simulate_integers(integers, inputs)[0],
        ),
    )
    for job, decay, scale, expected in jobs:
        assert timesteps < 5 or sum(int(spikes.sum()) for spikes in expected.values()) > 0
        for name, spikes in split(run(job, decay, scale), graph, 7).items():
            np.testing.assert_array_equal(spikes, expected[name])


def test_float_job_hands_lava_a_threshold_below_the_tie():
    graph = two_layers()
    thresholds = float_job(graph, spikes_for(graph, 1)).arrays["vth"]
    expected = np.repeat([p.threshold for p in graph.neurons], [p.size for p in graph.neurons])
    np.testing.assert_array_equal(np.nextafter(thresholds, np.inf), expected)


def test_a_block_shares_the_samples_among_its_lanes():
    graph = two_layers()
    timesteps, steps = graph.timesteps, 3 * graph.timesteps + graph.depth
    job = float_job(graph, spikes_for(graph, 20))
    assert (job.settings["lanes"], job.settings["windows"], job.settings["steps"]) == (8, 3, steps)
    recorded = np.zeros((8, steps, graph.num_neurons), np.uint8)
    last = graph.neurons[-1]
    where = places(graph.neurons)[last.name]
    recorded[6, last.depth + timesteps :, where] = 1  # the lane's second and third sample
    spikes = split(recorded, graph, 20)[last.name]
    assert spikes.shape == (20, timesteps, last.size)
    assert np.flatnonzero(spikes.all(axis=(1, 2))).tolist() == [19]
    assert spikes.sum() == timesteps * last.size


def test_places_stand_side_by_side():
    assert places(two_layers().neurons) == {"one": slice(0, 5), "two": slice(5, 8)}
