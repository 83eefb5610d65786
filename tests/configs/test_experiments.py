"""Every experiment trains and tests a few batches."""

from __future__ import annotations

import pytest

from spikeformer.cli import compose as composed
from spikeformer.pipeline import run_pipeline
from tests.runs import SHARED, options


@pytest.mark.slow
@pytest.mark.parametrize("name", options("experiment"))
def test_one_batch_of_every_experiment(name, tmp_path):
    overrides = [
        f"experiment={name}",
        "debug=fast",
        "trainer.limit_train_batches=1",
        "logger=none",
        "data.batch_size=8",
        "trainer.accelerator=cpu",
    ]
    source = composed(*overrides).data
    if "path" in source:
        folder = SHARED / {"cifar10_tiny": "cifar10", "digits_av": "fsdd"}.get(name, name)
        if not folder.is_dir():
            pytest.skip(f"{folder} is not there; SPIKEFORMER_DATA can say where data sets are")
        overrides += [f"data.path={folder}", "data.limit_train=32", "data.limit_test=16"]
        overrides += [f"data.cache_dir={tmp_path}"]
    results = run_pipeline(composed(*overrides), tmp_path)
    assert results["fit"]["epochs"] == 1
    assert 0 <= results["test"]["accuracy"] <= 1
    assert (tmp_path / "report.html").is_file()
