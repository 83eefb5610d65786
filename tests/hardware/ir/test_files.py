"""Graphs come back from files as they were; anything else in their place is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spikeformer.encoding import DeltaCoding, PoissonCoding, RateCoding, SpikeEncoder
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import (
    HardwareModel,
    Loihi2Deployer,
    SimulationDeployer,
    lower,
    place,
    quantise,
    simulate,
    simulate_integers,
)
from spikeformer.hardware.ir.files import save_graph
from spikeformer.hardware.targets.loihi2.target import LOIHI2
from tests.hardware.networks import (
    heard,
    images,
    lasting,
    sentences,
    spikes_for,
    text,
    two_layers,
    vit,
)


@pytest.fixture(scope="module")
def compiled():
    lowered = lower(vit(encoding=RateCoding(3, clamp=True)), (1, 6, 6))
    return HardwareModel(
        "loihi2",
        lowered.graph,
        lowered.encoder,
        quantise(lowered.graph),
        place(lowered.graph, LOIHI2),
        {"version": "1.2"},
    )


@pytest.fixture
def folder(compiled, tmp_path):
    compiled.save(tmp_path)
    return tmp_path


def test_currents_that_last_are_kept(tmp_path):
    graph = lasting(two_layers(6))
    HardwareModel("loihi2", graph, integers=quantise(graph)).save(tmp_path)
    loaded, inputs = HardwareModel.load(tmp_path), spikes_for(graph, 4)
    expected = simulate_integers(quantise(graph), inputs)[0]
    for name, spikes in simulate_integers(loaded.integers, inputs)[0].items():
        np.testing.assert_array_equal(spikes, expected[name])
    assert {p.current_decay for p in loaded.graph.neurons} == {0.6}
    (du,) = {n.du for n in loaded.integers.neurons.values()}
    assert du == 4095 - round(0.6 * 4096)


def test_what_is_loaded_computes_the_same(compiled, folder):
    loaded = HardwareModel.load(folder)
    assert loaded.placement == compiled.placement
    assert (loaded.target, loaded.details) == ("loihi2", {"version": "1.2"})
    samples = images(3)
    inputs = loaded.encode(samples)
    for name, array in compiled.encode(samples).items():
        np.testing.assert_array_equal(inputs[name], array)
    pairs = [
        (simulate(loaded.graph, inputs), simulate(compiled.graph, inputs)),
        (
            simulate_integers(loaded.integers, inputs)[0],
            simulate_integers(compiled.integers, inputs)[0],
        ),
    ]
    for one, other in pairs:
        for name in other:
            np.testing.assert_array_equal(one[name], other[name])
    spikes = pairs[0][0]
    np.testing.assert_array_equal(loaded.graph.outputs(spikes), compiled.graph.outputs(spikes))


def test_structure_and_types_survive(compiled, folder):
    loaded = HardwareModel.load(folder)
    for before, after in zip(compiled.graph.projections, loaded.graph.projections, strict=True):
        assert type(after.operator) is type(before.operator)
        assert replace(after, operator=before.operator).delay == before.delay
    weights = [p.operator.weights.dtype for p in loaded.integers.graph.synapses]
    assert set(weights) == {np.dtype(np.int32)}


def test_delays_come_back(tmp_path):
    net, events = heard()
    compiled = Loihi2Deployer().compile(net)
    compiled.save(tmp_path)
    loaded = HardwareModel.load(tmp_path)
    inputs = compiled.encode(events)
    assert loaded.graph.lag == compiled.graph.lag > 0
    for name, spikes in simulate(compiled.graph, inputs).items():
        np.testing.assert_array_equal(simulate(loaded.graph, inputs)[name], spikes)
    for name, spikes in simulate_integers(compiled.integers, inputs)[0].items():
        np.testing.assert_array_equal(simulate_integers(loaded.integers, inputs)[0][name], spikes)


def test_shared_weights_are_stored_once(tmp_path):
    graph = lower(vit(blocks=3), (1, 6, 6)).graph
    save_graph(tmp_path, graph)
    with np.load(tmp_path / "graph.npz") as archive:
        stored = sum(archive[name].size for name in archive.files)
    used = sum(p.operator.weights.size for p in graph.projections)
    assert stored < used


def test_nothing_is_pickled(folder):
    with np.load(folder / "graph.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


@pytest.mark.parametrize("encoder", [DeltaCoding(3, 0.2), PoissonCoding(3, 500.0, seed=4), None])
def test_encoders_come_back(encoder, tmp_path):
    HardwareModel("simulation", two_layers(), encoder).save(tmp_path)
    loaded = HardwareModel.load(tmp_path).encoder
    assert type(loaded) is type(encoder)
    if encoder is not None:
        samples = images(2)
        np.testing.assert_array_equal(loaded(samples), encoder(samples))


def test_tables_and_mask_of_a_network_over_tokens_come_back(tmp_path):
    deployer, samples = SimulationDeployer(), sentences([2, 7, 5])
    compiled = deployer.compile(text())
    compiled.save(tmp_path)
    loaded = HardwareModel.load(tmp_path)
    assert loaded.graph.readout.mask == "mask"
    outputs = [deployer.deploy(model).run(samples).outputs for model in (compiled, loaded)]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lookups": {"nowhere": {"ids": "input_ids", "table": "array_0"}}}, "nowhere"),
        ({"mask": "backbone.token_embedding"}, "other tokens"),
        ({"mask": "head"}, "no source of values"),
    ],
)
def test_tables_and_masks_that_fit_nothing_are_refused(tmp_path, change, message):
    SimulationDeployer().compile(text()).save(tmp_path)
    path = tmp_path / "graph.json"
    content = json.loads(path.read_text())
    if "mask" in change:
        content["graph"]["readout"] |= change
    else:
        content["lookups"]["nowhere"] = next(iter(content["lookups"].values()))
    path.write_text(json.dumps(content))
    with pytest.raises(HardwareCompatibilityError, match=message):
        HardwareModel.load(tmp_path)


def test_encoder_of_a_users_own_cannot_be_written(tmp_path):
    class Mine(SpikeEncoder):
        def spikes(self, x):
            return x

    with pytest.raises(HardwareCompatibilityError, match="Mine cannot be written"):
        HardwareModel("simulation", two_layers(), Mine(3)).save(tmp_path)


def cut(folder):
    path = folder / "graph.npz"
    path.write_bytes(path.read_bytes()[:-100])


def empty(folder):
    (folder / "graph.npz").write_bytes(b"")


def foreign_arrays(folder):
    np.savez(folder / "graph.npz", a=np.ones(3))


def pickled(folder):
    np.savez(folder / "graph.npz", a=np.array([{}], dtype=object))


def absent(folder):
    (folder / "graph.npz").unlink()


def foreign_json(folder):
    (folder / "graph.json").write_text("[]")


def cut_json(folder):
    path = folder / "graph.json"
    path.write_text(path.read_text()[:200])


def another_version(folder):
    path = folder / "graph.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))


def missing_part(folder):
    path = folder / "graph.json"
    content = json.loads(path.read_text())
    del content["graph"]["projections"]
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        empty,
        foreign_arrays,
        pickled,
        absent,
        foreign_json,
        cut_json,
        another_version,
        missing_part,
    ],
)
def test_damaged_files_are_refused(folder, damage):
    damage(folder)
    with pytest.raises(HardwareCompatibilityError, match=r"no usable spike graph.*Compile"):
        HardwareModel.load(folder)


def test_inconsistent_content_is_refused(folder):
    path = folder / "graph.json"
    content = json.loads(path.read_text())
    content["graph"]["projections"][0]["delay"] = 40
    path.write_text(json.dumps(content))
    with pytest.raises(HardwareCompatibilityError, match="has delay 40"):
        HardwareModel.load(folder)


def test_second_save_replaces_the_first(folder):
    graph = two_layers()
    HardwareModel("simulation", graph).save(folder)
    loaded = HardwareModel.load(folder)
    inputs = spikes_for(graph, 2)
    np.testing.assert_array_equal(
        simulate(loaded.graph, inputs)["two"], simulate(graph, inputs)["two"]
    )
