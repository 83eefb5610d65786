"""Two processes of test_datamodule fit two epochs, prepare a set and save what they saw."""

from __future__ import annotations

import lightning as L
import torch

from spikeformer.data import SpikingDataModule, Splits, TensorBatches, TextDataModule


class Numbers(SpikingDataModule):
    def __init__(self, count, batch_size):
        super().__init__(batch_size=batch_size)
        self.count = count

    def load(self):
        values = torch.arange(self.count)
        data = TensorBatches(values[:, None].float(), values)
        return Splits(data, data, data)


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen = {}
        self.validated = []

    def training_step(self, batch, _):
        self.seen.setdefault(self.current_epoch, []).append(batch[1].tolist())
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch, _):
        self.validated += batch[1].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.001)


def fit(count, batch_size, epochs):
    trainer = L.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Model()
    trainer.fit(model, datamodule=Numbers(count, batch_size))
    return trainer, model


def fit_twice(folder):
    """Be one of the processes, which the environment tells its rank."""
    trainer, model = fit(10, 3, 2)
    _, odd = fit(18, 8, 1)
    text = TextDataModule(path=str(folder / "rows.csv"), cache_dir=str(folder / "cache"))
    trainer.strategy.barrier()  # both prepare the same caches at once
    text.setup()
    result = {
        "tokens": text.splits.train.tokens,
        "seen": model.seen,
        "validated": model.validated[-5:],
        "odd_sizes": [len(batch) for batch in odd.seen[0]],
    }
    torch.save(result, folder / f"rank{trainer.global_rank}.pt")
