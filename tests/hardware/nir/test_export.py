from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest
import torch

from spikeformer.encoding import DeltaCoding
from spikeformer.error_handling import (
    ArgumentError,
    HardwareCompatibilityError,
    MissingDependencyError,
)
from spikeformer.hardware import (
    Population,
    SpikeGraph,
    import_nir,
    lower,
    record_reference,
    simulate,
)
from spikeformer.hardware.nir import export as nir_module
from spikeformer.hardware.nir.export import export_nir
from spikeformer.models.mechanisms import SpikeDrivenAttention
from tests.hardware.networks import images, late, spikes_for, two_layers, vit

nir = pytest.importorskip("nir", reason="the extra `nir` is not installed")


def run_in_norse(path, inputs, timesteps):
    """Run a NIR file step by step with Norse's neurons, (samples, timesteps, outputs)."""
    nirtorch = pytest.importorskip("nirtorch", reason="nirtorch is not installed")
    reader = pytest.importorskip("norse.torch.utils.import_nir", reason="Norse is not installed")
    # nirtorch 2.6 loses the bias of an affine node, so Norse makes that too.
    made = reader._import_norse_module
    network = nirtorch.nir_to_torch(nir.read(path), {nir.LIF: made, nir.Affine: made})
    frames = torch.tensor(inputs, dtype=torch.float32)
    if frames.ndim == 2:
        frames = frames[:, None].expand(-1, timesteps, -1)
    outputs, state = [], None
    for step in range(timesteps):
        output, state = network(frames[:, step], *([] if state is None else [state]))
        outputs.append(output)
    return torch.stack(outputs, dim=1).detach().numpy()


@pytest.mark.parametrize("kind", ["spikes", "values"])
def test_file_runs_in_norse(tmp_path, kind):
    graph = two_layers(kind=kind)
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
    two_inputs = lower(vit(encoding=DeltaCoding(3, 0.3)), (1, 6, 6)).graph
    with pytest.raises(HardwareCompatibilityError, match=r"one input.*input.up, input.down"):
        export_nir(two_inputs, tmp_path / "graph.nir")
    populations = [Population("in", (2,), "spikes"), Population("alone", (1,), bias=np.ones(1))]
    alone = SpikeGraph(3, {p.name: p for p in populations}, ())
    with pytest.raises(HardwareCompatibilityError, match="'alone' has a bias and no input"):
        export_nir(alone, tmp_path / "graph.nir")
    with pytest.raises(HardwareCompatibilityError, match="without delays"):
        export_nir(late(), tmp_path / "graph.nir")
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
