"""The predict stage answers every test sample once and as the network does."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.error_handling import ConfigurationError
from spikeformer.pipeline import Manifest, Predict, Run, build
from tests.commands import SMALL


def run_of(folder, *overrides):
    config = composed("logger=none", "trainer.accelerator=cpu", *SMALL, *overrides)
    return Run(folder, config, build(config, folder), Manifest.open(folder, "run"), {})


def save_weights(run):
    state = {f"net.{key}": value for key, value in run.parts.module.net.state_dict().items()}
    run.last_checkpoint.parent.mkdir(parents=True)
    torch.save({"state_dict": state}, run.last_checkpoint)


@pytest.mark.parametrize("workers", [1, 4])
def test_every_sample_is_answered(tmp_path, workers):
    run = run_of(tmp_path, f"concurrency.max_workers={workers}")
    save_weights(run)
    result = Predict().run(run)
    table = pd.read_csv(Predict().outputs(run)[0])
    assert list(table["sample"]) == list(range(360))
    net = run.parts.module.net.eval()
    with torch.no_grad():
        batches = [(net(x).mean(dim=1).softmax(-1), y) for x, y in run.parts.data.test_dataloader()]
    probabilities = torch.cat([p for p, _ in batches])
    targets = torch.cat([y for _, y in batches])
    # Sums in another order may move a borderline spike, not more.
    same = torch.tensor(table["prediction"].to_numpy()) == probabilities.argmax(dim=1)
    assert same.float().mean() > 0.99
    assert table["target"].tolist() == targets.tolist()
    assert result["num_samples"] == 360
    assert 360 / 32 <= result["batches"] <= 360
    assert result["accuracy"] == pytest.approx((table["prediction"] == table["target"]).mean())
    assert "360 samples" in Predict().summary(result)


def test_without_weights_it_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match=r"holds no checkpoints/last\.ckpt"):
        Predict().run(run_of(tmp_path))


def test_what_has_no_class_is_refused(tmp_path):
    run = run_of(tmp_path)
    save_weights(run)
    splits = run.parts.data.splits
    splits.test.targets = splits.test.targets.float()
    with pytest.raises(ConfigurationError, match="one class for each sample"):
        Predict().run(run)
