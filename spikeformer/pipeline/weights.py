"""Where a run's trained weights are."""

from __future__ import annotations

from pathlib import Path

from spikeformer.error_handling import ConfigurationError
from spikeformer.pipeline.run import Run


def weights_file(run: Run, which: str) -> Path:
    """Return the run's own checkpoint, "last" or "best", or the one that it was given.

    Raises:
        ConfigurationError: There is neither.
    """
    file = run.last_checkpoint.with_name(f"{which}.ckpt")
    if file.is_file():
        return file
    if run.config.checkpoint:
        return Path(run.config.checkpoint)
    raise ConfigurationError(
        f"There is no {file.name} in this run: train with a checkpoint callback "
        "(callbacks=default), or name a checkpoint with checkpoint=PATH."
    )
