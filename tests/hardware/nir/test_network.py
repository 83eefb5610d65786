"""Networks from NIR files: our own, Norse's, and one with a loop by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.encoding import DirectCoding, EventCoding
from spikeformer.error_handling import HardwareCompatibilityError, SpikingDynamicsError
from spikeformer.hardware import (
    SimulationDeployer,
    compare,
    export_nir,
    import_nir,
    lower,
    record_reference,
    reference_spikes,
    simulate,
)
from spikeformer.models.mechanisms import QKTokenAttention, SpikeDrivenAttention
from tests.hardware.networks import images, vit
from tests.hardware.nir.files import lif, nir, trains, write


@pytest.mark.parametrize("mechanism", [QKTokenAttention, SpikeDrivenAttention])
def test_own_files_come_back_and_go_to_chips(tmp_path, mechanism):
    torch.manual_seed(0)
    net, samples = vit(mechanism=mechanism), images(4)
    expected = net.double()(samples.double()).detach()
    graph = lower(net, (1, 6, 6)).graph
    export_nir(graph, tmp_path / "net.nir")
    torch.set_default_dtype(torch.float64)
    try:
        again = import_nir(tmp_path / "net.nir", DirectCoding(3)).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    found = again(samples.double().flatten(1)).detach()
    torch.testing.assert_close(found.mean(1), expected.mean(1), atol=1e-12, rtol=0)

    reference = record_reference(again, samples.flatten(1))
    second = lower(again, (36,)).graph
    spikes = simulate(second, reference.inputs)
    comparison = compare(second, reference_spikes(second, reference), spikes)
    assert comparison.mismatches == 0
    assert comparison.compared == sum(layer.size for layer in graph.neurons) * 4 * 3
    outputs = SimulationDeployer().deploy(again).run(samples.flatten(1)).outputs
    np.testing.assert_allclose(outputs, expected.mean(1), atol=1e-12)


def test_a_loop_takes_a_step_and_recordings_can_come_in_parts(tmp_path):
    rng = np.random.default_rng(1)
    weight, back = rng.normal(size=(5, 3)), rng.normal(size=(5, 5))
    graph = nir.NIRGraph(
        {
            "input": nir.Input(np.array([3])),
            "weight": nir.Linear(weight),
            "neurons": lif(2e-3, 5, threshold=0.2),
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
    nir.write(tmp_path / "a.nir", graph)
    network, x = import_nir(tmp_path / "a.nir").double(), trains(9).double()
    whole = network(x)
    membrane, spikes, expected = np.zeros((4, 5)), np.zeros((4, 5)), [np.zeros((4, 5))]
    for t in range(9):
        membrane = 0.5 * membrane + 0.5 * (x[:, t].numpy() @ weight.T + spikes @ back.T)
        spikes = (membrane > 0.2).astype(float)
        membrane = np.where(spikes > 0, 0.0, membrane)
        expected.append(spikes)
    assert 0.1 < np.mean(expected) < 0.9
    np.testing.assert_array_equal(whole.detach(), np.stack(expected[:-1], axis=1))
    first, state = network.run(x[:, :4], {})
    second, _ = network.run(x[:, 4:], state)
    assert torch.equal(torch.cat([first, second], dim=1), whole)


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
    found = import_nir(tmp_path / "nested.nir")(trains())
    assert found.any()
    assert torch.equal(found, import_nir(path)(trains()))
