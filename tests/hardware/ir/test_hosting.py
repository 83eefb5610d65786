from __future__ import annotations

import json

import numpy as np
import pytest

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import HardwareModel, quantise, simulate, simulate_integers
from spikeformer.hardware.ir.hosted import HostedGraph
from tests.hardware.networks import hosted


@pytest.fixture
def folder(tmp_path):
    graph, _ = hosted()
    HardwareModel("loihi2", graph, integers=quantise(graph)).save(tmp_path)
    return tmp_path


def test_what_is_read_computes_what_was_written(folder):
    graph, inputs = hosted()
    read = HardwareModel.load(folder)
    assert isinstance(read.graph, HostedGraph)
    assert read.graph.functions == graph.functions
    for found, wanted in (
        (simulate(read.graph, inputs), simulate(graph, inputs)),
        (
            simulate_integers(read.integers, inputs)[0],
            simulate_integers(quantise(graph), inputs)[0],
        ),
    ):
        for name, events in wanted.items():
            np.testing.assert_array_equal(found[name], events, err_msg=name)
    assert read.in_numbers.scheme.max_state == read.integers.format.max_state


def change(content, key, **values):
    for record in content["graph"]["hosted"]["functions"]:
        if record["function"] == key:
            record.update(values)
            return


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda x: change(x, "gelu", function="system"), "no function 'system'"),
        (lambda x: change(x, "gelu", shape=[2**16, 2**16, 2**16]), "has the shape"),
        (lambda x: change(x, "gelu", arguments=[{"value": "nothing"}]), "comes before"),
        (lambda x: change(x, "rate", arguments=["nothing"]), "neurons that are not there"),
        (lambda x: change(x, "rate", settings={"order": "nothing"}), "constants"),
        (lambda x: change(x, "rate", settings={"bias": "constant_0"}), "bias of another size"),
        (lambda x: change(x, "rate", shape=[1, 3]), "neurons that are not there"),
        (lambda x: x["graph"]["hosted"].update(output="nothing"), "no value 'nothing'"),
        (lambda x: x["graph"]["hosted"]["scheme"].update(levels=40), "levels"),
        (lambda x: x["graph"]["hosted"]["populations"].popitem(), "nothing says how"),
        (lambda x: x["graph"].update(hosted=None), "only those of a converted network"),
        (lambda x: x["integers"].update(populations=x["graph"]["hosted"]["populations"]), "range"),
    ],
)
def test_files_that_describe_no_such_graph_are_refused(folder, damage, said):
    content = json.loads((folder / "graph.json").read_text())
    damage(content)
    (folder / "graph.json").write_text(json.dumps(content))
    with pytest.raises(HardwareCompatibilityError, match=said):
        HardwareModel.load(folder)
