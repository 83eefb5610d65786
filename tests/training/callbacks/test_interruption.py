"""Stopped by a signal after any step, training goes on as if nothing had been."""

from __future__ import annotations

import signal

import lightning as L
import pytest
from torch.utils.data import DataLoader, TensorDataset

from spikeformer.data.sampling import EpochSampler
from spikeformer.error_handling import Interrupted, interruptible
from spikeformer.training import HistoryRecorder
from spikeformer.training.callbacks import EpochSeed, FiringRateMonitor, StopOnSignal
from tests.training.toys import lightning_trainer, loader, module, separable, toy_net

# Ours is, in a way that Lightning does not look for.
pytestmark = pytest.mark.filterwarnings("ignore:.*dataloader is not resumable")


class SignalAfter(L.Callback):
    """Sends this process a signal after so many batches, counted over all epochs."""

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, *args):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGTERM)


def fit(path, resume=None, signal_after=0, **options):
    """Train two epochs of eight batches; return the table of epochs and the weights."""
    history = HistoryRecorder()
    watching = [FiringRateMonitor(every_n_steps=3), SignalAfter(signal_after)]
    trainer = lightning_trainer(
        max_epochs=2,
        callbacks=[EpochSeed(0), history, *watching, StopOnSignal(path)],
        enable_checkpointing=True,
        **options,
    )
    trained = module(toy_net(dropout=0.5))
    train = TensorDataset(*separable())
    data = DataLoader(train, batch_size=8, sampler=EpochSampler(len(train), seed=0))
    try:
        trainer.fit(trained, data, loader(*separable(32, seed=1)), ckpt_path=resume)
    except SystemExit as stop:
        raise stop.__context__ from stop
    rows = [{**row, "seconds": None} for row in history.history]
    return rows, [weights.tolist() for weights in trained.parameters()]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("batches", [1, 4, 7, 8, 11, 16])
def test_stop_on_signal_it_goes_on_as_if_nothing_had_been(tmp_path, batches, accumulate):
    options = {"accumulate_grad_batches": accumulate}
    path = tmp_path / "last.ckpt"
    whole = fit(path, **options)
    with pytest.raises(Interrupted, match="stopped by SIGTERM; training is"):
        fit(path, signal_after=batches, **options)
    assert fit(path, resume=str(path), **options) == whole


def test_stop_on_signal_batch_that_is_divided_otherwise_begins_the_epoch_anew(tmp_path):
    path = tmp_path / "last.ckpt"
    with pytest.raises(Interrupted, match="epoch 2, batch 4"):
        fit(path, signal_after=12)
    rows, _ = fit(path, resume=str(path), accumulate_grad_batches=2)
    assert [row["epoch"] for row in rows] == [0, 1]


def test_stop_on_signal_signals_are_heard_only_inside(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="stopped by SIGTERM"), interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
