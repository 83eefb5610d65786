"""Every experiment trains and tests a few batches."""

from __future__ import annotations

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.pipeline import build_network, run_pipeline
from tests.commands import SHARED, options

PUBLISHED = [
    name
    for name in options("experiment")
    if name.endswith(("former_cifar10", "_imagenet", "_cifar10dvs"))
]
# One of each kind of report; the report of one data set is made as that of another.
REPORTED = ("digits", "digits_av", "cifar10_hybrid", "continual_split_digits", "sst2_cpu")
STAGES = "{_target_: spikeformer.pipeline.Fit}, {_target_: spikeformer.pipeline.Test}"
TRAINED = [name for name in options("experiment") if name not in PUBLISHED]


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_of_publications_make_their_networks(name):
    data = [] if name.endswith("cifar10") else ["data.path=x"]
    config = composed(f"experiment={name}", *data)
    with torch.device("meta"):
        network = build_network(config)
    thresholds = {"spikingformer_cifar10dvs": 1.5, "spike_driven_v3_imagenet": 1.0}
    assert config.neuron.threshold == thresholds.get(name, 2.0)
    assert sum(p.numel() for p in network.parameters()) > 1.4e6
    rising = config.scheduler.warmup * config.trainer.max_epochs
    short = config.trainer.max_epochs == 200 and name.endswith("_imagenet")
    assert abs(rising - (5 if short else 10 if name.endswith("dvs") else 20)) < 1
    by_lamb = name in ("spike_driven_transformer_imagenet", "spike_driven_v3_imagenet")
    assert (config.optimizer._target_ == "spikeformer.training.Lamb") == by_lamb


@pytest.mark.slow
@pytest.mark.usefixtures("no_figure_files")
@pytest.mark.parametrize("name", TRAINED)
def test_one_batch_of_every_experiment(name, tmp_path):
    overrides = [
        f"experiment={name}",
        "debug=fast",
        "trainer.limit_train_batches=1",
        "logger=none",
        "data.batch_size=8",
        "trainer.accelerator=cpu",
        "validation=none",
        "profiler=none",
    ]
    if name not in REPORTED:
        overrides += [f"pipeline.stages=[{STAGES}]"]
    config = composed(*overrides)
    if name in ("cifar10_base", "cifar10_small"):  # of the width and depth alone
        overrides += ["model.d_model=32", "model.nhead=2", "model.num_layers=2"]
    data = config.data
    source, key = (data.base, "data.base") if "base" in data else (data, "data")
    epochs = data.get("num_tasks", 1)  # a sequence of tasks has at least one each
    if "hybrid" in config.callbacks:  # an epoch of each phase
        overrides += ["callbacks.hybrid.ann_epochs=1"]
        epochs = 2
    overrides += [f"trainer.max_epochs={epochs}"]
    if "path" in source:
        folder = SHARED / next((data for data in ("cifar10", "sst2") if data in name), "fsdd")
        if not folder.is_dir():
            pytest.skip(f"{folder} is not there; SPIKEFORMER_DATA can say where data sets are")
        samples = 64 * data.get("num_tasks", 1)
        overrides += [f"{key}.path={folder}", f"{key}.limit_train={samples}"]
        overrides += [f"{key}.limit_test={samples // 2}"]
        overrides += [f"{key}.cache_dir={tmp_path}"]
    results = run_pipeline(composed(*overrides), tmp_path)
    assert results["fit"]["epochs"] == epochs
    assert 0 <= results["test"]["accuracy"] <= 1
    assert (tmp_path / "report.html").is_file() == (name in REPORTED)
