from __future__ import annotations

import lightning as L
import pytest
import torch

from spikeformer.training.callbacks import FiringRateMonitor, SpikingProgressBar
from tests.training.toys import lightning_trainer, module, toy_loaders, toy_net


class Watch(L.Callback):
    def __init__(self, bar):
        self.bar, self.during, self.right, self.seen = bar, [], 0, 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.during.append((self.bar.get_metrics(trainer, pl_module), pl_module.metrics))


def fit(capsys, epochs=2, validates_every=1, **net):
    bar = SpikingProgressBar(refresh_rate=1)
    watch = Watch(bar)
    trainer = lightning_trainer(
        callbacks=[FiringRateMonitor(1), bar, watch],
        max_epochs=epochs,
        enable_progress_bar=True,
        check_val_every_n_epoch=validates_every,
    )
    task = module(toy_net(threshold=0.3, **net))
    trainer.fit(task, *toy_loaders())
    return watch.during, capsys.readouterr(), trainer, task


def test_progress_bar_shows_running_loss_and_accuracy_and_validation_once_known(capsys):
    during, *_ = fit(capsys)
    shown = [set(metrics) for metrics, _ in during]
    assert shown[0] == {"loss", "accuracy", "firing_rate"}
    assert {"val_accuracy", "val_loss", "firing_rate"} <= shown[-1]
    for metrics, _ in during:
        assert 0.0 <= float(metrics["accuracy"]) <= 1.0
        assert all(len(value.split(".")[1]) == 3 for value in metrics.values())


def test_progress_bar_last_accuracy_of_an_epoch_is_the_epochs(capsys):
    during, _, trainer, _ = fit(capsys, epochs=1)
    expected = trainer.callback_metrics["train/accuracy"].item()
    assert during[-1][0]["accuracy"] == f"{expected:.3f}"


def test_progress_bar_prints_one_line_an_epoch_where_there_is_no_terminal(capsys):
    _, printed, trainer, _ = fit(capsys)
    lines = [line for line in printed.out.splitlines() if line.startswith("epoch ")]
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    for name in ("loss", "accuracy", "firing_rate", "val_accuracy", "val_loss"):
        assert f"  {name} " in lines[1]
    numbers = trainer.callback_metrics
    assert f"val_accuracy {numbers['val/accuracy']:.3f}" in lines[1]
    # The epoch's loss, and not that of its last batch.
    assert f"  loss {numbers['train/loss']:.3f}" in lines[1]
    assert abs(numbers["train/loss"] - numbers["train/loss_step"]) > 0.002


def test_progress_bar_line_leaves_out_what_the_epoch_did_not_measure(capsys):
    _, said, *_ = fit(capsys, epochs=3, validates_every=2)
    lines = [line for line in said.out.splitlines() if line.startswith("epoch ")]
    assert ["val_loss" in line for line in lines] == [False, True, False]
    assert all(" loss " in line and " firing_rate " in line for line in lines)


def test_progress_bar_counts_epochs_without_an_end(capsys):
    options = {"max_epochs": -1, "max_steps": 4, "enable_progress_bar": True}
    lightning_trainer(callbacks=[SpikingProgressBar()], **options).fit(module(), *toy_loaders())
    assert "epoch 1  loss" in capsys.readouterr().out


def test_progress_bar_asks_no_other_process(capsys, monkeypatch):
    """`compute` gathers from all processes, but only the first one has a bar: it would hang."""
    bar, task = SpikingProgressBar(), module()
    metric = task.metrics["train_metrics"]["accuracy"]
    metric.update(torch.tensor([1.0, 0.0, 1.0, 1.0]))
    monkeypatch.setattr(metric, "compute", lambda: pytest.fail("computed"))
    trainer = lightning_trainer()
    trainer.training = True
    assert bar.get_metrics(trainer, task) == {"accuracy": "0.750"}


def test_progress_bar_leaves_out_what_is_not_finite():
    bar, trainer = SpikingProgressBar(), lightning_trainer()
    trainer.callback_metrics.update({"val/loss": torch.tensor(float("nan"))})
    assert bar.get_metrics(trainer, module()) == {}


def test_on_a_terminal_lines_stay_above_a_bar_of_the_same_number(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    _, printed, trainer, _ = fit(capsys)
    written = printed.out.replace("\r", "\n").splitlines()
    lines = [line for line in written if line.startswith("epoch ") and "  loss " in line]
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert f"  loss {trainer.callback_metrics['train/loss']:.3f}" in lines[1]
    bars = {line.partition(":")[0] for line in written if "it/s" in line or "%|" in line}
    assert {"epoch 1/2", "epoch 2/2"} <= bars
