"""The weights that a run's later stages work with."""

from __future__ import annotations

from pathlib import Path

from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t
from spikeformer.pipeline.run import Run
from spikeformer.runs import load_weights


def load_trained(run: Run, weights: str, stage: str) -> None:
    """Load what the run trained, or else the checkpoint that it was given.

    Args:
        run: The run.
        weights: "last" or "best".
        stage: Who asks, for the message.

    Raises:
        ConfigurationError: There is neither.
    """
    file = run.last_checkpoint.with_name(f"{weights}.ckpt")
    if not file.is_file():
        if not run.config.checkpoint:
            raise ConfigurationError(t("pipeline.no_weights", stage=stage, file=file.name))
        file = Path(run.config.checkpoint)
    load_weights(run.parts.module, file)
