"""Networks of integer neurons on chips with graded spikes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import (
    HardwareModel,
    Loihi2Deployer,
    RoundedWeights,
    SimulationDeployer,
    SpiNNakerDeployer,
    compare,
    lower,
    quantise,
    record_reference,
    simulate,
    simulate_integers,
    traffic,
)
from spikeformer.hardware.energy import operation_counts
from spikeformer.models import unrolled
from spikeformer.models.mechanisms import QKTokenAttention, SpikeDrivenAttention
from spikeformer.neurons import IntegerLifNeuron, LifNeuron
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import images, vit

MECHANISMS = [QKTokenAttention, SpikeDrivenAttention]
INTEGERS = partial(IntegerLifNeuron, threshold=0.5, tau_mem=2.0)


def integer_vit(mechanism=QKTokenAttention, *, max_spikes=4, **settings):
    neuron = partial(IntegerLifNeuron, tau_mem=2.0, max_spikes=max_spikes)
    return vit(mechanism=mechanism, neuron=neuron, threshold=0.5, **settings)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("residual", ["membrane", "sew"])
@pytest.mark.parametrize(("timesteps", "max_spikes"), [(1, 4), (3, 4), (1, 1), (2, 8)])
def test_every_count_is_that_of_the_network(mechanism, residual, timesteps, max_spikes):
    net = integer_vit(
        mechanism, residual=residual, timesteps=timesteps, max_spikes=max_spikes, blocks=2
    )
    graph = assert_equal(net, images(5))
    rules = {p.rule for p in graph.neurons}
    assert rules == {"count", "minimum"}
    assert {p.levels for p in graph.neurons} == {max_spikes}


@pytest.fixture(scope="module", params=MECHANISMS)
def run(request):
    torch.manual_seed(0)
    net = integer_vit(request.param, dim=16, timesteps=2)
    graph = lower(net, (1, 6, 6)).graph
    reference = record_reference(net, images(16))
    return net, graph, reference.inputs, simulate(graph, reference.inputs), reference


def test_all_counts_occur(run):
    _, graph, _, spikes, _ = run
    for population in graph.neurons:
        found = np.unique(spikes[population.name])
        assert found.max() <= 4
        assert len(found) > 1, population.name
    assert set(np.unique(np.concatenate([x.ravel() for x in spikes.values()]))) == set(range(5))


def test_gates_are_exact_in_integers(run):
    """Sums of fractions n / 4 became sums of counts, and their threshold a whole number."""
    _, graph, inputs, _, _ = run
    integers = quantise(graph)
    for population in graph.neurons:
        neurons = integers.neurons[population.name]
        if population.rule == "minimum":
            assert neurons.scale == 1
        elif "mechanism" in population.name:
            assert neurons.vth == neurons.scale * population.threshold == round(neurons.vth)
            assert population.threshold == 2.0  # 0.5 in units of a single spike
    _, extremes = simulate_integers(integers, inputs)
    assert all(found.clipped == 0 for name, found in extremes.items() if "mechanism" in name)


def test_most_counts_survive_rounding(run):
    _, graph, inputs, spikes, _ = run
    whole, _ = simulate_integers(quantise(graph), inputs)
    found = compare(graph, spikes, whole)
    assert 0 < found.mismatches < 0.05 * found.compared


def test_chip_counts_what_the_unrolled_network_fires(run):
    net, graph, _, spikes, reference = run
    counts, numbers = operation_counts(graph, spikes), traffic(graph, spikes)
    assert counts.per_sample("spikes") == numbers["spikes_per_sample"]
    assert counts.per_sample("packets") == numbers["packets_per_sample"]
    assert counts.per_sample("synaptic_operations") == numbers["synaptic_events_per_sample"]
    assert numbers["packets_per_sample"] < counts.per_sample("events")
    fired = {}
    binary = unrolled(net.double())
    for path, module in binary.named_modules():
        if isinstance(module, IntegerLifNeuron):
            module.register_forward_hook(lambda m, a, out, path=path: fired.update({path: out}))
    with torch.no_grad():
        binary(torch.from_numpy(reference.inputs["input"]).view(-1, 1, 6, 6))
    for path, units in fired.items():
        assert int(units.sum()) == int(spikes[path].sum(dtype=np.int64)), path


def test_graph_comes_back_from_its_files(run, tmp_path):
    _, graph, inputs, spikes, _ = run
    HardwareModel("simulation", graph, integers=quantise(graph)).save(tmp_path)
    loaded = HardwareModel.load(tmp_path)
    for name, array in simulate(loaded.graph, inputs).items():
        np.testing.assert_array_equal(array, spikes[name])
    expected, _ = simulate_integers(quantise(graph), inputs)
    for name, array in simulate_integers(loaded.integers, inputs)[0].items():
        np.testing.assert_array_equal(array, expected[name])


def test_fine_tuning_sees_the_weights_of_graded_spikes():
    net = integer_vit(blocks=2)
    trained = lower(net, (1, 6, 6)).graph.synapses
    with RoundedWeights(net, (1, 6, 6)) as rounding:
        lowered = lower(net, (1, 6, 6))
        checked = 0
        for before, projection in zip(trained, lowered.graph.synapses, strict=True):
            place = (projection.source, projection.target)
            if place in lowered.layers:
                layer, _ = lowered.layers[place]
                # The scale is that of a full spike, n = 4; a weight of the graph that of one.
                units = projection.operator.weights * 4 * float(rounding.layers[layer].scale)
                np.testing.assert_allclose(units, np.rint(units), atol=1e-3)
                moved = abs(projection.operator.matrix() - before.operator.matrix()).max()
                assert moved * 4 * float(rounding.layers[layer].scale) <= 0.51
                checked += 1
    assert checked == 2 + 2 * 4 + 4  # residual branches reach several populations


@pytest.mark.parametrize(
    ("deployer", "target"),
    [(SpiNNakerDeployer(), "SpiNNaker"), (Loihi2Deployer(backend="chip"), "Loihi 2")],
)
def test_what_has_no_graded_spikes_refuses_with_a_remedy(deployer, target):
    message = rf"stem\.neurons\.0 .*{target}.*hardware=loihi2.*neuron=lif_hard"
    with pytest.raises(HardwareCompatibilityError, match=message):
        deployer.lowered(integer_vit(), (1, 6, 6))
    lowered = SimulationDeployer().lowered(integer_vit(), (1, 6, 6))
    with pytest.raises(HardwareCompatibilityError, match=message):
        deployer.lowered(lowered)
    assert deployer.lowered(vit(), (1, 6, 6))


@pytest.mark.parametrize("mixed", ["product", "levels"])
def test_counts_meet_counts_of_their_own_kind_alone(mixed):
    class Meet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = IntegerLifNeuron(max_spikes=4)
            self.other = LifNeuron(reset="zero") if mixed == "product" else INTEGERS(max_spikes=3)

        def forward(self, x):
            x = x.unsqueeze(1)
            return torch.minimum(self.one(x), self.other(x))

    with pytest.raises(HardwareCompatibilityError, match="both change at run time"):
        lower(Meet(), (3,))
