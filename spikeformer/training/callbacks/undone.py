"""What callbacks change and have to change back."""

from __future__ import annotations

from abc import ABC, abstractmethod

import lightning as L


class UndoneCallback(L.Callback, ABC):
    """A callback whose changes of the module last as long as the stage does.

    Lightning calls no `teardown` after an error, and no `on_exception` without one.
    """

    @abstractmethod
    def undo(self, pl_module: L.LightningModule) -> None:
        """Leave the module as it was, without hooks or penalties."""

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Undo everything."""
        self.undo(pl_module)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Undo everything."""
        self.undo(pl_module)
