"""Threads that work for an event loop, which notices when one of them hangs."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any


@dataclass(eq=False)
class Work:
    """What a worker has to do.

    Attributes:
        function: Does it.
        future: Done when it is; cancelled if it has not begun and shall not.
        begun: When it began, in s of `time.monotonic`; None until then.
    """

    function: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)
    begun: float | None = None

    def run(self) -> None:
        """Do it, unless it was cancelled."""
        if not self.future.set_running_or_notify_cancel():
            return
        self.begun = time.monotonic()
        try:
            result = self.function()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Worker:
    """A thread that does one thing at a time; while it hangs, the interpreter can still end.

    `ThreadPoolExecutor` waits for its threads when the interpreter ends, whatever they do.

    Args:
        name: Name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        # The thread knows the queue alone, so that it ends with a worker that nobody has any more.
        self._thread = threading.Thread(target=_run, args=(self._queue,), name=name, daemon=True)
        weakref.finalize(self, self._queue.put, None)

    def submit(self, function: Callable[[], Any]) -> Work:
        """Call a function after those that were submitted before."""
        work = Work(function)
        self._queue.put(work)
        if self._thread.ident is None:
            self._thread.start()
        return work

    def drop(self) -> None:
        """Cancel what has not begun."""
        with suppress(Empty):
            while True:
                work = self._queue.get_nowait()
                if work is not None:
                    work.future.cancel()

    def stop(self) -> None:
        """Let the thread end after what it has to do; does not wait for it."""
        self._queue.put(None)


def _run(queue: SimpleQueue[Work | None]) -> None:
    while (work := queue.get()) is not None:
        work.run()
        del work  # nor keep a batch alive while nothing comes


async def finished(work: Work, limit: float) -> asyncio.Future[Any] | None:
    """Wait for a worker; return None if it takes longer than `limit` seconds from its begin."""
    future = asyncio.wrap_future(work.future)
    try:
        while not future.done():
            left = limit if work.begun is None else work.begun + limit - time.monotonic()
            if left <= 0:
                return None
            await asyncio.wait({future}, timeout=left)
        return future
    finally:
        future.cancel()  # does nothing to what is done, or has begun
