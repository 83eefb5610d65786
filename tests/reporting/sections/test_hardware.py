"""The report of a network on a chip."""

from __future__ import annotations

import pytest

from spikeformer.hardware import (
    LOIHI2,
    HardwareModel,
    Loihi2Deployer,
    SimulatedModel,
    lower,
    measure,
    place,
    quantise,
    record_reference,
)
from spikeformer.reporting import build_report
from spikeformer.runs import HardwareResults, RunFolder, load_results
from tests.hardware.networks import images, vit
from tests.reporting.synthetic import write_run


@pytest.fixture
def folder(tmp_path):
    """A run with what the deploy stage writes for a small network."""
    write_run(tmp_path)
    net, samples = vit(), images(8)
    reference = record_reference(net, samples)
    graph = lower(net, (1, 6, 6)).graph
    compiled = HardwareModel("loihi2", graph, None, quantise(graph), place(graph, LOIHI2))
    targets = reference.outputs.argmax(axis=1)
    found = measure(
        SimulatedModel(compiled), reference, targets, prices=Loihi2Deployer.target.prices
    )
    HardwareResults(**vars(found)).save(RunFolder(tmp_path))
    return tmp_path


def test_page_shows_equality_layers_and_cores(folder):
    page = build_report(folder).read_text()
    section = page.partition('<section id="hardware"')[2].partition("</section>")[0]
    for text in (
        "PyTorch in float64",
        "integers in NumPy",
        "were simulated for <code>loihi2</code>, not run on a chip",
        "9 cores on 1 chip",
        "loihi1",
        "nJ",
        "qkv_<wbr>neuron",
    ):
        assert text in section, text
    assert (folder / "figures" / "placement.svg").is_file()


def test_numbers_are_the_deploy_stages(folder):
    found = load_results(folder).hardware
    assert found.accuracy["pytorch"] == 1.0
    assert found.comparisons[0].mismatches == 0
    first = found.layers[1]
    assert first.neurons == 72
    assert first.synapses == sum(
        core.synapses for core in found.placement.cores if core.population == first.layer
    )
    assert first.weights[0] >= -255
    assert first.state[0] <= 0 <= first.state[1]


def test_run_without_a_chip_misses_nothing(tmp_path):
    write_run(tmp_path)
    (tmp_path / "results" / "hardware.json").unlink()
    page = build_report(tmp_path, save_figures=False).read_text()
    assert "hardware.json" not in page
