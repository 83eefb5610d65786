from __future__ import annotations

from contextlib import suppress

import pytest

from spikeformer.training.callbacks.undone import UndoneCallback
from tests.training.toys import lightning_trainer, module, toy_loaders


class Guest(UndoneCallback):
    def __init__(self, fails):
        self.fails = fails

    def on_train_start(self, trainer, pl_module):
        pl_module.guest = self
        if self.fails:
            raise RuntimeError("a fault")

    def undo(self, pl_module):
        pl_module.guest = None


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(fails):
    net = module()
    trainer = lightning_trainer(max_epochs=1, limit_train_batches=1, callbacks=Guest(fails))
    with suppress(RuntimeError):
        trainer.fit(net, *toy_loaders())
    assert net.guest is None
