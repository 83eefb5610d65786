from __future__ import annotations

import time

import lightning as L
import pytest
import torch

from spikeformer.training import HistoryRecorder
from spikeformer.training.callbacks import SpeedMonitor
from tests.training.toys import lightning_trainer, loader, module, separable


class SlowValidation(L.Callback):
    def on_validation_epoch_start(self, trainer, pl_module):
        time.sleep(0.2)


def test_samples_steps_and_memory_are_logged_without_validation():
    recorder = HistoryRecorder()
    callbacks = [SlowValidation(), SpeedMonitor(), recorder]
    trainer = lightning_trainer(callbacks=callbacks, max_epochs=2)
    data = loader(*separable(20), batch_size=8)  # two batches of eight, one of four
    trainer.fit(module(), data, data)
    for row in recorder.history:
        # Both numbers are of the same clock, whatever it says.
        seconds = row["speed/step_ms"] * 3 / 1e3
        assert row["speed/samples_per_second"] == pytest.approx(20 / seconds, rel=1e-5)
        assert seconds < row["seconds"] - 0.15  # the epoch without its validation
        assert 10 < row["speed/process_memory_mib"] < 1e6
        assert "speed/gpu_memory_mib" not in row


@pytest.mark.skipif(not torch.cuda.is_available(), reason="it needs a GPU")
def test_on_a_gpu_its_tensors_are_counted():
    recorder = HistoryRecorder()
    trainer = lightning_trainer(callbacks=[SpeedMonitor(), recorder], accelerator="gpu")
    data = loader(*separable(20))
    trainer.fit(module(), data, data)
    assert recorder.history[0]["speed/gpu_memory_mib"] > 0
