"""Networks from NIR files: our own, Norse's, and one with a loop by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.encoding import DirectCoding, EventCoding
from spikeformer.error_handling import (
    ArgumentError,
    HardwareCompatibilityError,
    SpikingDynamicsError,
)
from spikeformer.hardware import (
    SimulationDeployer,
    compare,
    import_nir,
    lower,
    record_reference,
    reference_spikes,
    simulate,
)
from spikeformer.models.mechanisms import QKTokenAttention, SpikeDrivenAttention
from tests.hardware.networks import images, vit
from tests.hardware.nir.files import cuba, euler, lif, nir, reread, trains, write


@pytest.mark.parametrize("mechanism", [QKTokenAttention, SpikeDrivenAttention])
def test_own_files_come_back_and_go_to_chips(tmp_path, mechanism):
    torch.manual_seed(0)
    net, samples = vit(mechanism=mechanism), images(4)
    expected = net.double()(samples.double()).detach()
    graph = lower(net, (1, 6, 6)).graph
    again = reread(graph, tmp_path / "net.nir", DirectCoding(3))
    found = again(samples.double()).detach()
    torch.testing.assert_close(found.mean(1), expected.mean(1), atol=1e-12, rtol=0)

    reference = record_reference(again, samples)
    second = lower(again, again.expected_shape).graph
    spikes = simulate(second, reference.inputs)
    comparison = compare(second, reference_spikes(second, reference), spikes)
    assert comparison.mismatches == 0
    assert comparison.compared == sum(layer.size for layer in graph.neurons) * 4 * 3
    outputs = SimulationDeployer().deploy(again).run(samples).outputs
    np.testing.assert_allclose(outputs, expected.mean(1), atol=1e-12)


@pytest.mark.parametrize("lasting", [False, True])
def test_a_loop_takes_a_step_and_recordings_can_come_in_parts(tmp_path, lasting):
    rng = np.random.default_rng(1)
    weight, back = rng.normal(size=(5, 3)), rng.normal(size=(5, 5))
    graph = nir.NIRGraph(
        {
            "input": nir.Input(np.array([3])),
            "weight": nir.Linear(weight),
            "neurons": cuba(4e-3, 2e-3, 5, threshold=0.2)
            if lasting
            else lif(2e-3, 5, threshold=0.2),
            "back": nir.Linear(back),
            "late": nir.Delay(np.full(5, 1e-3)),
            "output": nir.Output(np.array([5])),
        },
        [
            ("input", "weight"),
            ("weight", "neurons"),
            ("neurons", "back"),
            ("back", "neurons"),
            ("neurons", "late"),
            ("late", "output"),
        ],
    )
    graph.metadata["dt"] = 1e-3
    nir.write(tmp_path / "a.nir", graph)
    network, x = import_nir(tmp_path / "a.nir", dt=1e-3).double(), trains(9).double()
    whole = network(x)
    membrane, spikes, expected = np.zeros((4, 5)), np.zeros((4, 5)), [np.zeros((4, 5))]
    current, left = np.zeros((4, 5)), 0.75 if lasting else 0.0
    for t in range(9):
        arriving = x[:, t].numpy() @ weight.T + spikes @ back.T
        current = left * current + (1 - left) * arriving
        membrane = 0.5 * membrane + 0.5 * current
        spikes = (membrane > 0.2).astype(float)
        membrane = np.where(spikes > 0, 0.0, membrane)
        expected.append(spikes)
    assert 0.1 < np.mean(expected) < 0.9
    np.testing.assert_array_equal(whole.detach(), np.stack(expected[:-1], axis=1))
    first, state = network.run(x[:, :4], {})
    second, _ = network.run(x[:, 4:], state)
    assert torch.equal(torch.cat([first, second], dim=1), whole)
    network.train()(x).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())
    with pytest.raises(HardwareCompatibilityError, match=r"has loops \(into neurons\)"):
        lower(import_nir(tmp_path / "a.nir", EventCoding(9)), (9, 3))


def test_delays_are_synapses_that_chips_have(tmp_path):
    """Of spikes and behind weights, of their own for each neuron."""
    rng = np.random.default_rng(2)
    path = write(
        tmp_path / "a.nir",
        nir.Delay(np.array([0.0, 2e-3, 1e-3])),
        nir.Linear(rng.normal(size=(6, 3))),
        nir.Delay(1e-3 * rng.integers(0, 4, 6)),
        cuba(2e-3, 2e-3, 6, threshold=0.1),
        nir.Linear(rng.normal(size=(2, 6))),
        lif(2e-3, 2, threshold=0.2),
        outputs=2,
    )
    network, x = import_nir(path, EventCoding(10)), trains(10)
    reference = record_reference(network, x)
    graph = lower(network, network.expected_shape).graph
    assert 2 <= graph.lag <= 5
    spikes = simulate(graph, reference.inputs)
    assert sum(x.sum() for x in spikes.values()) > 20
    assert compare(graph, reference_spikes(graph, reference), spikes).mismatches == 0
    np.testing.assert_allclose(graph.outputs(spikes), reference.outputs, atol=1e-12)


def test_a_delay_of_what_stays_is_refused(tmp_path):
    path = write(tmp_path / "a.nir", nir.Delay(np.full(3, 1e-3)), lif(2e-3))
    with pytest.raises(HardwareCompatibilityError, match="delays something else than spikes"):
        lower(import_nir(path, DirectCoding(4)), (3,))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (nir.LI(np.full(3, 2e-3), np.ones(3), np.zeros(3)), "membranes that never fire"),
        (cuba(2e-3, 2e-3, leak=0.1), "leak potential"),
    ],
)
def test_what_chips_do_not_have_is_named(tmp_path, node, message):
    network = import_nir(write(tmp_path / "a.nir", node), EventCoding(4))
    with pytest.raises(HardwareCompatibilityError, match=message):
        lower(network, (4, 3))


def test_several_inputs_and_outputs_have_names(tmp_path):
    rng = np.random.default_rng(3)
    weights = {name: rng.normal(size=(4, size)) for name, size in (("eye", 3), ("ear", 2))}
    graph = nir.NIRGraph(
        {
            **{name: nir.Input(np.array([w.shape[1]])) for name, w in weights.items()},
            **{f"from_{name}": nir.Linear(w) for name, w in weights.items()},
            "neurons": lif(2e-3, 4, threshold=0.3),
            "mean": nir.Linear(np.full((1, 4), 0.25)),
            "spikes": nir.Output(np.array([4])),
            "rate": nir.Output(np.array([1])),
        },
        [
            ("eye", "from_eye"),
            ("ear", "from_ear"),
            ("from_eye", "neurons"),
            ("from_ear", "neurons"),
            ("neurons", "spikes"),
            ("neurons", "mean"),
            ("mean", "rate"),
        ],
    )
    graph.metadata["dt"] = 1e-3
    nir.write(tmp_path / "a.nir", graph)
    network = import_nir(tmp_path / "a.nir").double()
    x = {"eye": trains().double(), "ear": trains(size=2, seed=1).double()}
    found = network(**x)
    current = sum(value.numpy() @ weights[name].T for name, value in x.items())
    np.testing.assert_array_equal(found["spikes"].detach(), euler(current, 0.5, 0.5, 0.0, 0.3))
    assert torch.equal(found["rate"].detach(), found["spikes"].mean(-1, keepdim=True))
    assert torch.equal(network.run(x, {})[0]["spikes"], found["spikes"])
    with pytest.raises(SpikingDynamicsError, match=r"inputs ear, eye, but got x"):
        network(x["eye"])
    with pytest.raises(ArgumentError, match="`encoder`"):
        import_nir(tmp_path / "a.nir", {"eye": DirectCoding(3)})
    trained = import_nir(tmp_path / "a.nir", {"eye": EventCoding(8), "ear": EventCoding(8)})
    assert trained.expected_shape == {"eye": (8, 3), "ear": (8, 2)}
    trained(**{name: value.float() for name, value in x.items()})["rate"].sum().backward()
    assert all(p.grad.abs().sum() > 0 for name, p in trained.named_parameters() if "from" in name)
    with pytest.raises(HardwareCompatibilityError, match="from one"):
        lower(trained, trained.expected_shape)


@pytest.mark.filterwarnings("ignore:nirtorch.extract_nir_graph:DeprecationWarning")
def test_what_norse_leaves_out_of_a_file_of_its_lif_cell(tmp_path):
    """Its current takes the input without the factor dt / tau_syn, which is for `w_in` to undo."""
    norse = pytest.importorskip("norse.torch", reason="Norse is not installed")
    values = {"tau_syn_inv": 300.0, "tau_mem_inv": 400.0, "v_th": 0.3, "v_leak": 0.0, "v_reset": 0}
    values = {name: torch.full((3,), float(value)) for name, value in values.items()}
    cell = norse.LIFCell(norse.LIFParameters(**values))
    file = norse.to_nir(norse.SequentialState(cell), torch.ones(1, 3))
    (neurons,) = (node for node in file.nodes.values() if isinstance(node, nir.CubaLIF))
    neurons.w_in = neurons.tau_syn / 1e-6
    nir.write(tmp_path / "a.nir", file)
    x, state, expected = 0.6 * trains(12), None, []
    for frame in x.unbind(1):
        output, state = cell(frame, state)
        expected.append(output)
    expected = torch.stack(expected, dim=1)
    assert 0.1 < expected.mean() < 0.9
    found = import_nir(tmp_path / "a.nir", dt=1e-6)(x).squeeze(2)  # with the sample's batch axis
    assert torch.equal(found, expected)


@pytest.mark.filterwarnings("ignore:nirtorch.extract_nir_graph:DeprecationWarning")
def test_a_file_of_norses_runs_as_there(tmp_path):
    norse = pytest.importorskip("norse.torch", reason="Norse is not installed")
    torch.manual_seed(0)
    parameters = norse.LIFBoxParameters(
        tau_mem_inv=torch.full((8,), 400.0),
        v_th=torch.full((8,), 0.3),
        v_leak=torch.zeros(8),
        v_reset=torch.zeros(8),
    )
    network = norse.SequentialState(
        torch.nn.Linear(3, 8), norse.LIFBoxCell(parameters), torch.nn.Linear(8, 2)
    )
    nir.write(tmp_path / "a.nir", norse.to_nir(network, torch.ones(1, 3)))
    x, state, expected = trains(12), None, []
    for frame in x.unbind(1):
        output, state = network(frame, state)
        expected.append(output)
    # Norse writes dt / tau_mem_inv for tau, not 1 / tau_mem_inv, and takes steps of 1 ms: its times
    # are in units of that, and a step of (1 ms)^2 is one of them.
    found = import_nir(tmp_path / "a.nir", dt=1e-6)(x)
    torch.testing.assert_close(found, torch.stack(expected, dim=1))


def test_networks_from_files_learn(tmp_path):
    path = write(
        tmp_path / "a.nir", nir.Linear(np.eye(3)), lif(2e-3), nir.Linear(np.ones((2, 3))), outputs=2
    )
    network = import_nir(path, EventCoding(8))
    network(trains()).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())
    assert network.expected_shape == (8, 3)


def test_a_time_axis_in_the_input_is_left_out(tmp_path):
    """As sinabs writes it."""
    nodes = {
        "input": nir.Input(np.array([16, 3])),
        "weight": nir.Linear(np.ones((2, 3))),
        "output": nir.Output(np.array([16, 2])),
    }
    edges = [("input", "weight"), ("weight", "output")]
    nir.write(tmp_path / "a.nir", nir.NIRGraph(nodes, edges, type_check=False))
    network = import_nir(tmp_path / "a.nir", EventCoding(8), dt=1e-3)
    assert network.expected_shape == (8, 3)
    assert network(trains()).shape == (4, 8, 2)


def damaged(path):
    path.write_bytes(path.read_bytes()[:200])


def no_hdf5(path):
    path.write_text("nothing")


@pytest.mark.parametrize("damage", [damaged, no_hdf5])
def test_damaged_files_are_refused(tmp_path, damage):
    path = write(tmp_path / "a.nir", lif(2e-3))
    damage(path)
    with pytest.raises(HardwareCompatibilityError, match="no NIR file that can be read"):
        import_nir(path)


def test_absent_files_and_foreign_frames_are_named(tmp_path):
    with pytest.raises(HardwareCompatibilityError, match=r"no NIR file .*none\.nir"):
        import_nir(tmp_path / "none.nir")
    network = import_nir(write(tmp_path / "a.nir", lif(2e-3)))
    with pytest.raises(SpikingDynamicsError, match=r"\(3,\).*\(2, 5, 4\)"):
        network(torch.ones(2, 5, 4))


def test_a_graph_inside_a_graph_is_taken_apart(tmp_path):
    rng = np.random.default_rng(2)
    layers = nir.Linear(rng.normal(size=(4, 3))), lif(2e-3, 4, threshold=0.2)
    block = nir.NIRGraph(
        {
            "input": nir.Input(np.array([3])),
            "weight": layers[0],
            "neurons": layers[1],
            "output": nir.Output(np.array([4])),
        },
        [("input", "weight"), ("weight", "neurons"), ("neurons", "output")],
    )
    outer = nir.NIRGraph(
        {
            "input": nir.Input(np.array([3])),
            "block": block,
            "weight": nir.Linear(rng.normal(size=(2, 4))),
            "output": nir.Output(np.array([2])),
        },
        [("input", "block"), ("block", "weight"), ("weight", "output")],
    )
    nir.write(tmp_path / "nested.nir", outer)
    path = write(tmp_path / "flat.nir", *layers, outer.nodes["weight"], outputs=2)
    found = import_nir(tmp_path / "nested.nir", dt=1e-3)(trains())
    assert found.any()
    assert torch.equal(found, import_nir(path)(trains()))
