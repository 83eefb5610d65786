from __future__ import annotations

import pandas as pd
import pytest

from spikeformer.training import HistoryRecorder, TrainingHistory
from tests.training.toys import lightning_trainer, module, toy_loaders

ROWS = [
    {"epoch": 0, "seconds": 1.5, "train/loss": 0.7, "val/loss": 0.8, "train/accuracy": 0.5},
    {"epoch": 1, "seconds": 1.4, "train/loss": 0.4, "val/loss": 0.6, "train/accuracy": 0.9},
]


def test_training_history_is_a_list_of_epochs():
    history = TrainingHistory(list(ROWS))
    assert len(history) == 2
    assert list(history) == ROWS
    assert history[-1]["train/loss"] == 0.4
    assert len(TrainingHistory()) == 0
    assert len(TrainingHistory().to_pandas()) == 0


def test_training_history_to_pandas():
    table = TrainingHistory(list(ROWS)).to_pandas()
    assert table["train/loss"].tolist() == [0.7, 0.4]
    assert table["val/loss"].min() == 0.6


def test_training_history_save_reads_back_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "run" / "metrics.csv"
    for _ in range(2):
        TrainingHistory(list(ROWS)).save(path)
    assert pd.read_csv(path).to_dict("records") == ROWS
    assert list(path.parent.iterdir()) == [path]


def test_training_history_plot_has_a_panel_for_each_quantity():
    figure = TrainingHistory(list(ROWS)).plot()
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert set(panels) == {"accuracy", "loss"}
    lines = {line.get_label(): line for line in panels["loss"].lines}
    assert set(lines) == {"train", "val"}
    assert lines["val"].get_ydata().tolist() == [0.8, 0.6]
    assert lines["val"].get_xdata().tolist() == [0, 1]
    assert [line.get_label() for line in panels["accuracy"].lines] == ["train"]


def test_training_history_empty_history_can_be_plotted():
    assert TrainingHistory().plot().axes == []


def test_training_history_recorder_writes_every_epoch(tmp_path):
    recorder = HistoryRecorder(tmp_path / "metrics.csv")
    lightning_trainer(max_epochs=3, callbacks=[recorder]).fit(module(), *toy_loaders())
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert table["epoch"].tolist() == [0, 1, 2]
    for name in ("seconds", "train/loss", "train/accuracy", "val/loss", "val/accuracy", "lr"):
        assert table[name].tolist() == pytest.approx([row[name] for row in recorder.history])


def test_training_history_leaves_out_what_an_epoch_does_not_measure(tmp_path):
    recorder = HistoryRecorder(tmp_path / "metrics.csv")
    options = {"max_epochs": 3, "check_val_every_n_epoch": 2, "callbacks": [recorder]}
    lightning_trainer(**options).fit(module(), *toy_loaders())
    table = pd.read_csv(tmp_path / "metrics.csv")
    for name in ("val/loss", "val/accuracy"):
        assert table[name].notna().tolist() == [False, True, False]
    for name in ("train/loss", "train/accuracy", "lr"):
        assert table[name].notna().all()
    assert recorder.history.latest()["val/loss"] == recorder.history[1]["val/loss"]
    assert recorder.history.latest()["train/loss"] == recorder.history[2]["train/loss"]
    panels = {axes.get_title(): axes for axes in recorder.history.plot().axes}
    train, val = panels["loss"].lines
    assert (train.get_xdata().tolist(), val.get_xdata().tolist()) == ([0, 1, 2], [1])


def test_training_history_recorder_is_part_of_a_checkpoint():
    recorder, other = HistoryRecorder(), HistoryRecorder()
    recorder.history.epochs = list(ROWS)
    other.load_state_dict(recorder.state_dict())
    assert list(other.history) == ROWS
    other.history.epochs.append({})
    assert len(recorder.history) == 2
