"""Commands and pages of the tables; the trainings themselves take minutes."""

from __future__ import annotations

import json

import lightning as L
import pytest
import torch
from bench import tables
from bench.training import baseline, page
from omegaconf import OmegaConf

from spikeformer.cli import compose
from spikeformer.config import instantiate
from spikeformer.pipeline.build import build_module
from spikeformer.training import cosine_with_warmup


def run(network, seed, accuracy):
    return {
        "network": network,
        "seed": seed,
        "epochs": 10,
        "rate_epochs": 6 if network == "SpikeFormer" else 0,
        "steps": 200,
        "seconds": 50.0,
        "cpu_seconds": 90.0,
        "num_parameters": 80_000,
        "accuracy": accuracy,
    }


@pytest.fixture
def measured():
    return {
        "digits": {
            "command": "python scripts/bench/tables.py --table digits",
            "recipe": "experiment=digits",
            "budget_minutes": 1.25,
            "threads": 2,
            "date": "2026-01-01",
            "machine": {"cpu": "A CPU"},
            "packages": {"torch": "2.13.0"},
            "runs": [
                run(network, seed, accuracy + seed / 100)
                for network, accuracy in (("SpikeFormer", 0.97), ("ann", 0.95))
                for seed in (0, 1)
            ],
        }
    }


def test_the_page_has_every_network_that_was_measured(measured, tmp_path):
    page.write(measured, tmp_path / "tables")
    text = (tmp_path / "tables.md").read_text()
    ours = (
        "| SpikeFormer | 80,000 | **97.50%** (97.00%, 98.00%) | 10 (6 with rates) | 50 s | 90 s |"
    )
    assert ours in text
    assert "| ANN (ReLU, T = 1) | 80,000 | **95.50%**" in text
    assert "| SpikingJelly's Spikformer |" not in text
    assert "the mean of 2 seeds" in text
    assert "97.5%" in (tmp_path / "tables.svg").read_text()


def overrides(command):
    return [part for part in command if part[0] != "-" and "=" in part]


@pytest.mark.parametrize("name", tables.TABLES)
def test_recipes_compose_for_all_three(name, tmp_path):
    table = tables.TABLES[name]
    spiking = compose(f"experiment={table.experiment}")
    ann = compose(f"experiment={table.experiment}", *table.ann)
    assert ann.neuron._target_.endswith("ReluNeuron")
    assert ann.timesteps == 1
    assert spiking.timesteps > 1 or spiking.neuron._target_.endswith("IntegerLifNeuron")
    same = ("data", "optimizer", "scheduler", "loss") if len(table.ann) == 2 else ("data",)
    assert all(ann[key] == spiking[key] for key in same)
    binary = compose(*overrides(table.command("Spikformer", tmp_path)))
    options = baseline.network(binary, {"width": 64})
    json.dumps(options)
    assert options["timesteps"] == table.timesteps > 1
    assert "vocab_size" in options or options["image_size"]
    assert "train.py" in table.command("SpikeFormer", tmp_path)
    assert f"experiment={table.experiment}" in table.command("Spikformer", tmp_path)


@pytest.mark.parametrize("name", tables.TABLES)
def test_phases_are_ours_alone(name, tmp_path):
    table = tables.TABLES[name]
    for network in ("SpikeFormer", "ann", "Spikformer"):
        given = overrides(table.command(network, tmp_path))
        phases = compose(*given).callbacks.get("hybrid")
        assert (phases is not None) == (network == "SpikeFormer" and table.rate_share > 0)


def test_an_epoch_takes_what_its_phases_take(monkeypatch):
    """Of each phase the second epoch counts, and a part of an epoch stands for all of it."""
    table, seen = tables.Table("cifar10_hybrid", 4, (), (), trial=0.5), []

    def run(command, folder):
        seen.append(command)
        return {"epoch_seconds": [9.0, 2.0, 9.0, 4.0] if "train.py" in command else [9.0, 3.0]}

    monkeypatch.setattr(tables, "run", run)
    share = table.rate_share
    assert 0 < share < 1
    expected = (share * 2 + (1 - share) * 4) / 0.5
    assert tables.trial(table, "SpikeFormer", []) == pytest.approx(expected)
    assert tables.trial(table, "Spikformer", []) == 3 / 0.5
    phases = {"trainer.max_epochs=4", "callbacks.hybrid.ann_epochs=2"}
    assert phases <= set(seen[0])
    assert not phases & set(seen[1])


def test_the_baseline_gets_the_batches_of_a_run_and_the_rates_of_its_schedule():
    """What is sent is what `train.py` would train on: same order, same augmentation."""
    config = compose("experiment=digits", "trainer.max_epochs=2", "trainer.limit_train_batches=3")
    OmegaConf.update(config, "trainer.limit_test_batches", 1)
    sent = []

    def call(method, *given):
        if method == "train":
            sent.append(given)
        return {"prepare": 5, "train": 0.0}.get(method, torch.zeros(64).long().numpy())

    found = baseline.train(call, config, {"width": 64}, lr=0.5)
    assert (found["epochs"], found["steps"], found["num_parameters"]) == (2, 6, 5)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = cosine_with_warmup(optimizer, 6)
    for (inputs, target, lr), (images, labels) in zip(sent, batches_of_a_run(config), strict=True):
        assert torch.equal(torch.from_numpy(inputs["images"]), images)
        assert torch.equal(torch.from_numpy(target), labels)
        assert lr == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def batches_of_a_run(config):
    recorder = Recorder()
    trainer = L.Trainer(
        max_epochs=config.trainer.max_epochs,
        limit_train_batches=config.trainer.limit_train_batches,
        limit_val_batches=0,
        accelerator="cpu",
        callbacks=[recorder],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(build_module(config), instantiate(config.data))
    return recorder.batches


class Recorder(L.Callback):
    def __init__(self):
        self.batches = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches.append(batch)
