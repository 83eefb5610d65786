from __future__ import annotations

from spikeformer.data import Preparation
from spikeformer.runs import DataResults, RunFolder, load_results


def test_a_run_keeps_how_its_data_were_prepared(tmp_path):
    given = Preparation(["b", "a"], tokenizer='{"x": 1}', loudest_db=-3.25)
    DataResults(**vars(given)).save(RunFolder(tmp_path))
    found = load_results(tmp_path).data
    assert found == DataResults(["b", "a"], '{"x": 1}', None, -3.25)
