"""The compile stage fits a network to its target."""

from __future__ import annotations

from spikeformer.hardware import HardwareModel
from spikeformer.pipeline import Compile


def test_compile_stage_writes_the_graph(prepared, compiled):
    stage = Compile()
    model = HardwareModel.load(prepared.files.hardware)
    assert (compiled["target"], compiled["neurons"]) == ("simulation", model.graph.num_neurons)
    assert compiled["synapses"] == model.graph.num_synapses
    assert compiled["latency_steps"] == model.graph.latency
    assert "cores" not in compiled  # the simulation has none
    assert all(path.is_file() for path in stage.outputs(prepared))
    assert stage.summary(compiled).startswith("simulation, ")
