"""An earlier run's numbers and configuration survive its folder."""

from __future__ import annotations

import shutil

from spikeformer.runs import BaselineResults, RunFolder, find_baseline
from spikeformer.runs.results.baseline import flat
from tests.reporting.synthetic import write_run


def test_it_is_what_it_was_when_the_earlier_run_is_gone(tmp_path):
    earlier = write_run(tmp_path / "earlier")
    (tmp_path / "run").mkdir()
    found = find_baseline(earlier)
    found.save(RunFolder(tmp_path / "run"))
    shutil.rmtree(earlier)
    loaded = BaselineResults.load(RunFolder(tmp_path / "run"))
    assert loaded == found
    assert loaded is not None
    assert loaded.reached["accuracy"] == 0.975
    assert loaded.config["neuron.tau_mem"] == "2.0"


def test_where_a_run_lies_is_no_difference():
    config = {"paths": {"a": 1}, "pipeline": {"resume": "x", "stages": []}, "a": {"paths": None}}
    assert flat(config) == {"pipeline.stages": "[]", "a.paths": "null"}
