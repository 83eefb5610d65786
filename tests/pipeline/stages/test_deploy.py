"""The deploy stage runs a network on its target and compares every spike."""

from __future__ import annotations

from spikeformer.pipeline import Deploy
from spikeformer.runs import HardwareResults


def test_deploy_stage_compares_every_spike(prepared, compiled):
    stage = Deploy()
    result = stage.run(prepared)
    found = HardwareResults.load(prepared.files)
    assert found is not None
    assert (found.target, found.samples) == ("simulation", 16)
    assert found.comparisons[0].mismatches == result["mismatches"] == 0
    assert result["accuracy"] == result["accuracy_pytorch"]
    assert result["agreement"] == 1
    assert stage.outputs(prepared)[0].is_file()
