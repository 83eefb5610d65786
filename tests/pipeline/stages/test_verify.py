"""The verify stage proves the spike graph equal to the network."""

from __future__ import annotations

from spikeformer.pipeline import Verify
from spikeformer.runs import VerificationResults


def test_verify_stage_finds_no_mismatch(prepared):
    stage = Verify()
    stage.check(prepared)
    result = stage.run(prepared)
    assert (result["samples"], result["mismatches"]) == (16, 0)
    assert result["compared"] == 16 * 2 * result["neurons"]
    found = VerificationResults.load(prepared.files)
    assert found is not None
    assert found.numbers().items() <= result.items()
    assert stage.outputs(prepared)[0].is_file()
    assert f"{result['neurons']:,}" in stage.summary(result)
