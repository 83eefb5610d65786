"""The command line: `python train.py`, or `spikeformer` where the package is installed."""

from spikeformer.cli.config import compose
from spikeformer.cli.main import main

__all__ = ["compose", "main"]
