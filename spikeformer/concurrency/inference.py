"""Inference for many callers at once: requests in, batches through the network, answers out."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from spikeformer.concurrency.batching import Buckets, Inputs, Request, answer, collate, shape_of
from spikeformer.concurrency.errors import ConcurrencyError
from spikeformer.concurrency.replicas import Replica, make_replicas
from spikeformer.config import ConcurrencyConfig
from spikeformer.error_handling import ArgumentError, check_interval, check_positive_int
from spikeformer.i18n import t

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Completed:
    """A request that is done.

    Attributes:
        id: Its id.
        outputs: What the network returned for it, on the CPU; None if it failed.
        error: Why it failed; None if it did not.
    """

    id: str
    outputs: Tensor | None
    error: Exception | None = None

    def result(self) -> Tensor:
        """Return the outputs, or raise the error."""
        if self.error is not None:
            raise self.error
        assert self.outputs is not None
        return self.outputs


@dataclass(eq=False)
class _Open:
    """A request whose answer nobody has yet."""

    request: Request
    callback: Callable[[Completed], Any] | None
    future: asyncio.Future[Completed]
    claimed: bool = False


class AsyncSpikingInference:
    """Answers requests from any number of tasks, many of them in one batch.

    Requests of the same shape share a batch: it starts when it is full, or when its oldest request
    has waited `max_wait` and a worker is free. Workers are threads, each with its own copy of the
    modules; the weights are shared. Each answer is delivered once: to `get_result`, to the
    callback, or to `async for`. A request that fails does not touch those that shared its batch.

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
        self._replicas = make_replicas(model, config, places)
        ahead = config.prefetch_factor if config.async_data_loading else 0
        self._most_per_worker = 1 + ahead
        self._loader = ThreadPoolExecutor(1, "batches") if ahead else None
        self._waiting = Buckets(config.batch_size_per_worker, max_wait)
        self._room = asyncio.Semaphore(max_pending)
        self._open: dict[str, _Open] = {}
        self._done: dict[str, Completed] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._wake, self._change = asyncio.Event(), asyncio.Condition()
        self._dispatcher: asyncio.Task[None] | None = None
        self._count, self._closing = 0, False
        self.num_batches = 0

    @property
    def num_workers(self) -> int:
        """Number of workers."""
        return len(self._replicas)

    @property
    def num_pending(self) -> int:
        """Number of requests that wait for a batch."""
        return len(self._waiting)

    async def submit_inference(
        self, inputs: Inputs, callback: Callable[[Completed], Any] | None = None
    ) -> str:
        """Hand in a request and return its id; waits while too many others do.

        Args:
            inputs: Samples (samples, ...), at least one, or a dictionary of the network's named
                tensors.
            callback: Called in this loop with the `Completed` request; may be a coroutine function.
                Such an answer goes to the callback, and to a `get_result` that waits already.

        Raises:
            ArgumentError: `inputs` is no batch.
            ConcurrencyError: The engine is closed.
        """
        samples = _samples(inputs)
        self._refuse_if_closing()
        await self._room.acquire()
        if self._closing:
            self._room.release()
            self._refuse_if_closing()
        loop = asyncio.get_running_loop()
        if self._dispatcher is None:
            self._dispatcher = loop.create_task(self._dispatch())
        self._count += 1
        name = f"request-{self._count}"
        request = Request(name, inputs, samples, loop.time(), shape_of(inputs))
        self._open[name] = _Open(request, callback, loop.create_future(), callback is not None)
        self._waiting.add(request)
        self._wake.set()
        return name

    async def get_result(self, request_id: str) -> Tensor:
        """Return the outputs of a request as soon as there are any, once.

        If the waiting task is cancelled, the request is.

        Raises:
            ConcurrencyError: There is no such request, or its answer was delivered already.
            Exception: What the network raised for it.
        """
        if request_id in self._done:
            return self._done.pop(request_id).result()
        opened = self._open.get(request_id)
        if opened is None:
            raise ConcurrencyError(t("concurrency.unknown_request", request=request_id))
        opened.claimed = True
        try:
            return (await asyncio.shield(opened.future)).result()
        except asyncio.CancelledError:
            self.cancel(request_id)
            raise

    def cancel(self, request_id: str) -> bool:
        """Give a request up; tell whether there was something to give up.

        One that waits is not computed; of one that is being computed the answer is dropped.
        """
        if self._done.pop(request_id, None) is not None:
            return True
        opened = self._open.pop(request_id, None)
        if opened is None:
            return False
        if self._waiting.remove(opened.request):
            self._room.release()
        message = t("concurrency.cancelled", request=request_id)
        if not opened.future.done():
            opened.future.set_result(Completed(request_id, None, ConcurrencyError(message)))
        self._spawn(self._announce())
        return True

    def __aiter__(self) -> Self:
        """Iterate over requests as they complete, until none is open."""
        return self

    async def __anext__(self) -> Completed:
        """Return the next answer that nobody else waits for."""
        async with self._change:
            while not self._done:
                if all(opened.claimed for opened in self._open.values()):
                    raise StopAsyncIteration
                await self._change.wait()
            return self._done.pop(next(iter(self._done)))

    async def close(self) -> None:
        """Take no more requests, finish those that came, and let the workers go.

        Answers can still be had afterwards.
        """
        self._closing = True
        self._wake.set()
        if self._dispatcher is not None:
            await self._dispatcher
        while self._tasks:
            await asyncio.gather(*self._tasks)
        for replica in self._replicas:
            replica.thread.shutdown()
        if self._loader is not None:
            self._loader.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _dispatch(self) -> None:
        """Make batches of what waits, until all is closed and nothing waits any more."""
        loop = asyncio.get_running_loop()
        while not (self._closing and not len(self._waiting)):
            replica = min(self._replicas, key=lambda each: each.busy)
            batch = self._next_batch(replica, loop.time())
            if batch:
                replica.busy += 1
                self.num_batches += 1
                self._spawn(self._process(replica, batch))
                continue
            deadline = self._waiting.next_deadline() if not replica.busy else None
            timeout = None if deadline is None else max(0.0, deadline - loop.time())
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), timeout)
            except TimeoutError:
                continue

    def _next_batch(self, replica: Replica, now: float) -> list[Request]:
        if replica.busy >= self._most_per_worker:
            return []
        # A batch that is not full waits for an idle worker: until then more may join it.
        batch = self._waiting.ready(now, hurry=self._closing, full=replica.busy > 0)
        for _ in batch:
            self._room.release()
        return batch

    async def _process(self, replica: Replica, requests: list[Request]) -> None:
        """Run one batch on a worker and deliver its answers."""
        loop, size = asyncio.get_running_loop(), self.config.batch_size_per_worker
        answers: Sequence[Tensor | Exception]
        try:
            if self._loader is None:
                answers = await loop.run_in_executor(
                    replica.thread,
                    lambda: answer(
                        replica.model, requests, collate(requests, replica.device), size
                    ),
                )
            else:
                batch = await loop.run_in_executor(self._loader, collate, requests, replica.device)
                answers = await loop.run_in_executor(
                    replica.thread, answer, replica.model, requests, batch, size
                )
        except Exception as error:
            answers = [error] * len(requests)
        replica.busy -= 1
        self._wake.set()
        for request, found in zip(requests, answers, strict=True):
            if isinstance(found, Exception):
                self._deliver(Completed(request.name, None, found))
            else:
                self._deliver(Completed(request.name, found))
        await self._announce()

    def _deliver(self, completed: Completed) -> None:
        opened = self._open.pop(completed.id, None)
        if opened is None:
            return  # cancelled while it was computed
        opened.future.set_result(completed)
        if opened.callback is not None:
            self._spawn(_notify(opened.callback, completed))
        elif not opened.claimed:
            self._done[completed.id] = completed

    async def _announce(self) -> None:
        """Wake those who iterate."""
        async with self._change:
            self._change.notify_all()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise ConcurrencyError(t("concurrency.closed"))


async def _notify(callback: Callable[[Completed], Any], completed: Completed) -> None:
    try:
        found = callback(completed)
        if inspect.isawaitable(found):
            await found
    except Exception:
        # A caller's fault must not stop the answers of others.
        _logger.exception(t("concurrency.callback_failed", request=completed.id))


def _samples(inputs: Any) -> int:
    """Return how many samples a request has, or refuse it."""
    tensors = list(inputs.values()) if isinstance(inputs, Mapping) else [inputs]
    if not tensors or not all(isinstance(x, Tensor) and x.ndim >= 1 for x in tensors):
        expected = t("concurrency.tensor_of_samples")
        raise ArgumentError("inputs", type(inputs).__name__, expected)
    lengths = {len(x) for x in tensors}
    if len(lengths) > 1 or 0 in lengths:
        shapes = [tuple(x.shape) for x in tensors]
        raise ArgumentError("inputs", shapes, t("concurrency.equal_samples"))
    return lengths.pop()
