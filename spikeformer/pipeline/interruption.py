"""Signals end a run in the way that Ctrl-C does: what is done is kept, and a message says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from spikeformer.callbacks.interruption import SIGNALS
from spikeformer.error_handling import Interrupted


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` where a signal comes; while training, `StopOnSignal` listens instead."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    previous = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)
