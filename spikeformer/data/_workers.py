"""How loader processes behave."""

from __future__ import annotations

import signal
from types import FrameType

from lightning.fabric.utilities.seed import pl_worker_init_function

from spikeformer.error_handling import SIGNALS


def start_worker(number: int) -> None:
    """Seed a loader process, and let it outlive the signals that ask its run to stop.

    A scheduler sends them to all processes of a run; the main one still finishes its step, for
    which it needs data, and ends its loaders itself. A second SIGTERM ends this one.

    Args:
        number: Which of the loader processes this is.
    """
    pl_worker_init_function(number)  # Lightning would, were there no function of ours
    for asking in SIGNALS:
        signal.signal(asking, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _overhear_once)


def _overhear_once(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
