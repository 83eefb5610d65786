"""Serving: requests of many callers in, batches through the network, outputs out."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from spikeformer.concurrency.batching import (
    Buckets,
    Completed,
    InferenceRequest,
    OpenRequest,
    samples_of,
    shape_of,
)
from spikeformer.concurrency.pool import ReplicaPool
from spikeformer.concurrency.replicas import Replica
from spikeformer.config import ConcurrencyConfig
from spikeformer.data.batch import Inputs, unlabelled
from spikeformer.error_handling import ConcurrencyError, check_interval, check_positive_int

_logger = logging.getLogger(__name__)

_DEAD = (
    "Every worker of the engine hangs on a batch that takes longer than batch_timeout. Requests "
    "are taken again when one of them is done; else make a new engine."
)


class AsyncSpikingInference:
    """Serves requests of any number of tasks, many of them in one batch.

    Requests of the same shape share a batch: it starts when it is full, or when its oldest request
    has waited `max_wait` and a worker is free. Workers are threads, each with its own copy of the
    modules; the weights are shared. A request is delivered once: to the first `get_result` that
    asks for it, to the callback, or to `async for`. One that fails does not touch those that shared
    its batch. An engine belongs to the event loop of its first request.

    A batch that takes longer than `config.batch_timeout` fails, and its worker gets no other one
    until it is done with it. Without any worker left the engine refuses requests, and fails those
    that wait.

    Of the configuration, `batch_size_per_worker` is the most samples of a batch; `max_workers`,
    `enable_data_parallelism` and `enable_model_parallelism` decide how many workers there are and
    where, see `make_replicas`; with `async_data_loading` up to `prefetch_factor` full batches per
    worker are put together and copied to its device while it computes.

    Args:
        model: The network: a batch in, outputs with one row for each sample out.
        config: How work is spread over workers.
        max_wait: Seconds that a request may wait for others, from 0 to 60.
        max_pending: Most requests that wait; then `submit_inference` waits for room.
        devices: Where to work; None decides by the network's device.

    Raises:
        ConcurrencyError: The workers cannot be had.

    Example:
        >>> async def main():
        ...     async with AsyncSpikingInference(nn.Linear(3, 2), ConcurrencyConfig()) as engine:
        ...         request = await engine.submit_inference(torch.ones(1, 3))
        ...         return (await engine.get_result(request)).shape
        >>> asyncio.run(main())
        torch.Size([1, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        config: ConcurrencyConfig,
        *,
        max_wait: float = 0.002,
        max_pending: int = 1024,
        devices: Sequence[str | torch.device] | None = None,
    ) -> None:
        check_interval("max_wait", max_wait, 0.0, 60.0)
        check_positive_int("max_pending", max_pending)
        self.config = config
        places = None if devices is None else [torch.device(device) for device in devices]
        self._wake = asyncio.Event()
        self._pool = ReplicaPool(model, config, places, self._wake.set)
        self._waiting = Buckets(config.batch_size_per_worker, max_wait)
        self._room = asyncio.Semaphore(max_pending)
        self._open: dict[str, OpenRequest] = {}
        self._done: dict[str, Completed] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closers: set[asyncio.Task[Any] | None] = set()
        self._iterating: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._count, self._closing = 0, False
        self.num_batches = 0

    @property
    def num_workers(self) -> int:
        """Number of workers."""
        return len(self._pool.replicas)

    @property
    def num_pending(self) -> int:
        """Number of requests that wait for a batch."""
        return len(self._waiting)

    @property
    def is_alive(self) -> bool:
        """Whether requests are taken: it is open, and a worker does not hang."""
        return not self._closing and not self._pool.is_dead

    async def submit_inference(
        self, inputs: Inputs, callback: Callable[[Completed], Any] | None = None
    ) -> str:
        """Hand in a request and return its id; waits while too many others do.

        Args:
            inputs: Samples (samples, ...), at least one; a tuple of the network's arguments, or a
                dict of its named tensors, whose labels are left out.
            callback: Called in this loop with the `Completed` request; may be a coroutine function.
                A `get_result` that waits already gets the request as well.

        Raises:
            ArgumentError: `inputs` is no batch.
            ConcurrencyError: The engine is closed, all of its workers hang, or it belongs to
                another event loop.
        """
        inputs = unlabelled(inputs)
        samples = samples_of(inputs)
        self._check_open()
        await self._room.acquire()
        try:
            self._check_open()
        except ConcurrencyError:
            self._room.release()
            raise
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            self._spawn(self._dispatch())
        self._count += 1
        name = f"request-{self._count}"
        request = InferenceRequest(name, inputs, samples, loop.time(), shape_of(inputs))
        self._open[name] = OpenRequest(request, callback, loop.create_future())
        self._waiting.add(request)
        self._wake.set()
        return name

    async def get_result(self, request_id: str) -> Tensor:
        """Return the outputs of a request as soon as there are any, once.

        The first call for an id gets them, any other one an error. If the waiting task is
        cancelled, the request is.

        Raises:
            ConcurrencyError: There is no such request, or another caller gets its outputs.
            Exception: What the network raised for it.
        """
        if request_id in self._done:
            return self._done.pop(request_id).result()
        opened = self._open.get(request_id)
        if opened is None:
            raise ConcurrencyError(
                f"There is no open request {request_id!r}: its outputs were delivered already, it "
                "was cancelled, or it never was."
            )
        if opened.awaited:
            raise ConcurrencyError(
                f"Another task waits for {request_id!r}: its outputs are delivered once. Ask for "
                "them in one task and share them from there."
            )
        self._check_loop()
        opened.awaited = True
        try:
            return (await asyncio.shield(opened.future)).result()
        except asyncio.CancelledError:
            self.cancel(request_id)
            raise

    def cancel(self, request_id: str) -> bool:
        """Give a request up; return whether there was something to give up.

        One that waits is not computed; of one that is being computed the outputs are dropped.
        """
        if self._done.pop(request_id, None) is not None:
            return True
        opened = self._open.pop(request_id, None)
        if opened is None:
            return False
        if self._waiting.remove(opened.request):
            self._make_room([opened.request])
        if not opened.future.done():
            error = ConcurrencyError(f"The request {request_id!r} was cancelled.")
            opened.future.set_result(Completed(request_id, None, error))
        self._announce()
        return True

    def __aiter__(self) -> Self:
        """Iterate over requests as they complete, until none is open."""
        return self

    async def __anext__(self) -> Completed:
        """Return the next request that is done and that nobody else waits for."""
        while not self._done:
            if all(opened.claimed for opened in self._open.values()):
                raise StopAsyncIteration
            self._check_loop()
            change = asyncio.get_running_loop().create_future()
            self._iterating.append(change)
            await change
        return self._done.pop(next(iter(self._done)))

    async def close(self, timeout: float | None = None) -> None:
        """Take no more requests, finish those that came, and let the workers go.

        Outputs can still be had afterwards. Closing again waits for the same.

        Args:
            timeout: Seconds to wait; requests that are open then fail. None waits until all are
                done, at most `batch_timeout` for each batch.

        Raises:
            ConcurrencyError: The engine belongs to another event loop, which is running.
        """
        if timeout is not None:
            check_interval("timeout", timeout, 0.0, float("inf"))
        loop = asyncio.get_running_loop()
        loop_is_closed = self._loop is not None and self._loop.is_closed()
        if not loop_is_closed:
            self._check_loop()
        self._closing = True
        if not loop_is_closed:
            self._wake.set()
            end = None if timeout is None else loop.time() + timeout
            # Callbacks that close the engine wait neither for themselves nor for each other.
            self._closers.add(asyncio.current_task())
            while pending := self._tasks - self._closers:
                left = None if end is None else max(0.0, end - loop.time())
                if not (await asyncio.wait(pending, timeout=left))[0]:
                    break
            for task in self._tasks - self._closers:
                task.cancel()
        self._fail_open("The engine was closed before the request was done.")
        await asyncio.sleep(0)  # callbacks hear of it
        self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Who was cancelled does not want to wait.
        await self.close(0.0 if isinstance(error, asyncio.CancelledError) else None)

    async def _dispatch(self) -> None:
        """Make batches of what waits, until all is closed and nothing waits any more."""
        loop = asyncio.get_running_loop()
        try:
            while not (self._closing and not len(self._waiting)):
                replica = self._pool.least_busy()
                batch = [] if replica is None else self._next_batch(replica, loop.time())
                if replica is not None and batch:
                    replica.busy += 1
                    self.num_batches += 1
                    self._spawn(self._process(replica, batch))
                    continue
                idle = replica is not None and not replica.busy
                deadline = self._waiting.next_deadline() if idle else None
                timeout = None if deadline is None else max(0.0, deadline - loop.time())
                self._wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), timeout)
        except BaseException:
            # The loop ends, or there is a fault of ours: nobody shall wait for ever.
            self._closing = True
            self._fail_open("The engine has stopped, or its event loop has.")
            raise

    def _next_batch(self, replica: Replica, now: float) -> list[InferenceRequest]:
        # A batch that is not full waits for an idle worker: until then more may join it.
        batch = self._waiting.ready(now, hurry=self._closing, full=replica.busy > 0)
        self._make_room(batch)
        return batch

    async def _process(self, replica: Replica, requests: list[InferenceRequest]) -> None:
        """Run one batch on a worker and deliver what comes out."""
        try:
            outputs = await self._pool.run(replica, requests)
        except asyncio.CancelledError:
            self._fail(requests, "The engine has stopped, or its event loop has.")
            raise
        if outputs is None:
            self.num_batches -= 1
            self._waiting.put_back([x for x in requests if x.name in self._open])
        else:
            for request, found in zip(requests, outputs, strict=True):
                if isinstance(found, Exception):
                    self._deliver(Completed(request.name, None, found))
                else:
                    self._deliver(Completed(request.name, found))
        if self._pool.is_dead:
            self._fail(self._waiting.clear(), _DEAD)

    def _deliver(self, completed: Completed) -> None:
        opened = self._open.pop(completed.id, None)
        if opened is None:
            return  # cancelled while it was computed
        if not opened.claimed:
            self._done[completed.id] = completed
        # Nobody waits, and nothing can be called, where the loop is gone.
        if not opened.future.get_loop().is_closed():
            opened.future.set_result(completed)
            if opened.callback is not None:
                self._spawn(_notify(opened.callback, completed))
            self._announce()

    def _fail(self, requests: Sequence[InferenceRequest], reason: str) -> None:
        """Deliver an error for each of these requests that is open."""
        self._make_room(requests)
        for request in requests:
            self._deliver(Completed(request.name, None, ConcurrencyError(reason)))

    def _fail_open(self, reason: str) -> None:
        self._waiting.clear()
        self._fail([opened.request for opened in self._open.values()], reason)

    def _make_room(self, requests: Sequence[InferenceRequest]) -> None:
        """Let others wait in the place of these requests."""
        for request in requests:
            if request.counted:
                request.counted = False
                self._room.release()

    def _announce(self) -> None:
        """Wake those who iterate."""
        for change in self._iterating:
            if not change.done():
                change.set_result(None)
        self._iterating.clear()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check_loop(self) -> None:
        if self._loop not in (None, asyncio.get_running_loop()):
            raise ConcurrencyError(
                "The engine belongs to the event loop of its first request: make one for each loop."
            )

    def _check_open(self) -> None:
        if self._closing:
            raise ConcurrencyError("The engine is closed: make a new one for further requests.")
        self._check_loop()
        if self._pool.is_dead:
            raise ConcurrencyError(_DEAD)


async def _notify(callback: Callable[[Completed], Any], completed: Completed) -> None:
    try:
        found = callback(completed)
        if inspect.isawaitable(found):
            await found
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        # A caller's fault must not keep others from their outputs.
        _logger.exception("The callback of %s failed", completed.id)
