"""What happened in each epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from torch import Tensor

from spikeformer.files import replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


_KEPT = ("train/", "val/", "speed/", "grad_norm/")
"""What of the logged numbers an epoch keeps."""


@dataclass
class TrainingHistory:
    """One dict of numbers per epoch, of what was measured in it.

    Attributes:
        epochs: `{"epoch": 0, "seconds": 1.9, "train/loss": 0.7, "val/accuracy": 0.9, ...}` each.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.epochs)

    def __getitem__(self, epoch: int) -> dict[str, float]:
        return self.epochs[epoch]

    def latest(self) -> dict[str, float]:
        """Return the newest value of each number, of earlier epochs where the last has none."""
        return {name: value for epoch in self.epochs for name, value in epoch.items()}

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with a row per epoch and a column per number; NaN where there is none."""
        import pandas as pd  # half a second, which training's start need not wait for

        return pd.DataFrame(self.epochs)

    def plot(self) -> Figure:
        """Return a figure with one panel per quantity, training and validation together."""
        from matplotlib.figure import Figure

        table = self.to_pandas()
        names = sorted({str(name).partition("/")[2] for name in table.columns if "/" in str(name)})
        figure = Figure(figsize=(4 * max(1, len(names)), 3), layout="constrained")
        for index, name in enumerate(names):
            axes = figure.add_subplot(1, len(names), index + 1, title=name, xlabel="epoch")
            for stage in ("train", "val"):
                if f"{stage}/{name}" in table:
                    curve = table[["epoch", f"{stage}/{name}"]].dropna()
                    axes.plot(*curve.to_numpy().T, label=stage)
            axes.legend()
        return figure

    def save(self, path: Path) -> None:
        """Write the table as CSV, replacing the file in one step."""
        with replacing(path) as temporary:
            self.to_pandas().to_csv(temporary, index=False)


class HistoryRecorder(L.Callback):
    """Fills a `TrainingHistory` while Lightning trains; it is part of every checkpoint.

    Args:
        path: CSV file to keep up to date; None writes none.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.history = TrainingHistory()
        self.path = None if path is None else Path(path)
        self._start = 0.0
        self._before: dict[str, Tensor] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of an epoch that a resumed run is in the middle of."""
        self._start = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, and note what earlier epochs have measured: Lightning keeps it."""
        self._start = time.perf_counter()
        self._before = dict(trainer.callback_metrics)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the epoch's numbers; Lightning runs validation before this."""
        row: dict[str, float] = {
            "epoch": trainer.current_epoch,
            "seconds": time.perf_counter() - self._start,
        }
        for name, value in trainer.callback_metrics.items():
            kept = name.startswith(_KEPT) and not name.endswith("_step")
            if kept and value is not self._before.get(name):
                row[name] = float(value)
        if trainer.optimizers:
            row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        self.history.epochs.append(row)
        if self.path is not None and trainer.is_global_zero:
            self.history.save(self.path)

    def state_dict(self) -> dict[str, Any]:
        """Return the epochs so far."""
        return {"epochs": self.history.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the epochs of the run that is resumed."""
        self.history.epochs = list(state_dict["epochs"])
