"""A chip of somebody else's package goes through every stage; nothing of ours knows it."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from spikeformer.cli import compose
from spikeformer.error_handling import ConfigurationError, HardwareCompatibilityError
from spikeformer.pipeline import run_pipeline
from spikeformer.runs import HardwareResults, RunFolder
from spikeformer.validation import ComprehensiveValidator
from tests.commands import SMALL

CODE = '''
from spikeformer.hardware import (
    ChipLimits, HardwareModel, NeuromorphicDeployer, NumberFormat, SimulatedModel, Target, place,
    quantise,
)
from spikeformer.profiling import Chip, Cost, Range

COST = Cost(Range(1.0, 2.0, 3.0), "this test")


class AbacusDeployer(NeuromorphicDeployer):
    """Brings networks to a chip that exists in this test alone."""

    target = Target(
        "abacus",
        "Abacus",
        numbers=NumberFormat(max_weight=31, max_threshold=2**12),
        prices=(Chip("abacus", synaptic_operation=COST),),
    )

    def __init__(self, cores: int = 64, chips: int = 4) -> None:
        self.cores, self.chips = cores, chips
        self.has_looked = False

    @property
    def limits(self):
        return ChipLimits("Abacus", self.cores, 128, 8192, 1, None, "this test")

    @property
    def chips_per_board(self):
        return self.chips

    def compile(self, model, *, input_shape=None):
        lowered = self.lowered(model, input_shape)
        graph = lowered.graph
        integers = quantise(graph, self.target.numbers)
        return HardwareModel(
            "abacus", graph, lowered.encoder, integers, place(graph, self.limits)
        )

    def deploy(self, compiled_model):
        return SimulatedModel(self.compiled(compiled_model))
'''


@pytest.fixture
def composed(tmp_path, monkeypatch, own_technologies):
    (tmp_path / "abacus_lab").mkdir()
    (tmp_path / "abacus_lab" / "__init__.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "conf" / "hardware"
    folder.mkdir(parents=True)
    config = """
        _target_: abacus_lab.AbacusDeployer
        samples: 16
        qat_epochs: 0
        cores: 64
        chips: 4
    """
    (folder / "abacus.yaml").write_text(textwrap.dedent(config), encoding="utf-8")

    def make(*overrides):
        return compose(
            f"hydra.searchpath=[file://{tmp_path / 'conf'}]",
            "hardware=abacus",
            "trusted_packages=[abacus_lab]",
            "logger=none",
            "trainer.accelerator=cpu",
            "trainer.max_epochs=1",
            "neuron=lif_hard",
            *SMALL,
            *overrides,
        )

    yield make
    # The next import has to register the chip again.
    sys.modules.pop("abacus_lab", None)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.usefixtures("no_figure_files")
def test_target_of_another_package_goes_through_every_stage(composed, tmp_path):
    folder = tmp_path / "run"
    config = composed("hardware.qat_epochs=1")
    assert config.validation  # the default
    results = run_pipeline(config, folder)
    assert list(results)[-3:] == ["compile", "deploy", "report"]
    found = HardwareResults.load(RunFolder(folder))
    assert found is not None
    assert (found.target, found.simulated) == ("abacus", True)
    assert found.comparisons[0].mismatches == 0
    assert found.layers[1].weights[1] <= 31
    (energy,) = found.energy
    assert energy.technology == "abacus"
    events = found.traffic["synaptic_events_per_sample"]
    assert energy.energy_uj.value == pytest.approx(2e-6 * events)
    # One number of cores and chips, wherever it is told.
    placed = found.placement
    told = f"It takes {placed.num_cores} cores on {placed.num_chips} chip"
    messages = [row["message"] for row in read(folder / "results" / "validation.json")["results"]]
    assert (
        [m for m in messages if m.startswith("It takes")]
        == [m for m in messages if m.startswith(told)]
        != []
    )
    assert "abacus" in (folder / "report.html").read_text(encoding="utf-8")


def test_its_own_options_are_what_validation_judges(composed):
    from spikeformer.pipeline.stages.hardware import make_deployer
    from tests.hardware.networks import vit

    def told(*overrides):
        deployer = make_deployer(composed(*overrides))
        return str(ComprehensiveValidator().validate_hardware_compatibility(deployer, model=vit()))

    assert "WARNING" not in told()
    assert "WARNING" in told("hardware.cores=1", "hardware.chips=1")


def test_unsupported_layers_and_packages_are_refused(composed, tmp_path):
    with pytest.raises(ConfigurationError, match="abacus_lab"):
        run_pipeline(composed("trusted_packages=[]"), tmp_path / "one")
    with pytest.raises(HardwareCompatibilityError, match="neuron=lif_hard"):
        run_pipeline(composed("neuron=lif"), tmp_path / "two")
