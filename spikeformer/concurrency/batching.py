"""Requests that wait, and the batches that are made of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.data.batch import arguments, call, join, parts, select, to_device
from spikeformer.error_handling import ArgumentError, ConcurrencyError

Shape = tuple[Any, ...]


@dataclass(eq=False)
class InferenceRequest:
    """One request.

    Attributes:
        name: Its id.
        inputs: Samples as the network takes them, see `spikeformer.data.batch`.
        samples: How many there are.
        arrived: When it came, in s of the loop's clock.
        shape: What must agree for two requests to share a batch.
        counted: Whether it takes up room among those that may wait.
    """

    name: str
    inputs: Any
    samples: int
    arrived: float
    shape: Shape
    counted: bool = True


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
class OpenRequest:
    """A request that is not done.

    Attributes:
        request: The request.
        callback: Gets it when it is done.
        future: Done when it is.
        awaited: Whether a `get_result` waits for it.
    """

    request: InferenceRequest
    callback: Callable[[Completed], Any] | None
    future: asyncio.Future[Completed]
    awaited: bool = False

    @property
    def claimed(self) -> bool:
        """Whether somebody will get it who does not iterate."""
        return self.awaited or self.callback is not None


class Buckets:
    """Waiting requests by shape, the oldest first.

    Args:
        batch_size: Most samples in a batch.
        max_wait: Seconds that a request waits for others to share its batch.
    """

    def __init__(self, batch_size: int, max_wait: float) -> None:
        self.batch_size, self.max_wait = batch_size, max_wait
        self._buckets: dict[Shape, deque[InferenceRequest]] = {}
        self._samples: dict[Shape, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def add(self, request: InferenceRequest) -> None:
        """Let a request wait."""
        self._buckets.setdefault(request.shape, deque()).append(request)
        self._samples[request.shape] = self._samples.get(request.shape, 0) + request.samples

    def put_back(self, requests: Sequence[InferenceRequest]) -> None:
        """Let the requests of a batch wait again, before those that came after them."""
        for request in reversed(requests):
            self.add(request)
            self._buckets[request.shape].rotate()

    def remove(self, request: InferenceRequest) -> bool:
        """Let a request wait no longer; return whether it did."""
        bucket = self._buckets.get(request.shape, deque())
        if request not in bucket:
            return False
        bucket.remove(request)
        self._forget(request.shape, request.samples)
        return True

    def clear(self) -> list[InferenceRequest]:
        """Return all requests, which wait no longer."""
        requests = [request for bucket in self._buckets.values() for request in bucket]
        self._buckets.clear()
        self._samples.clear()
        return requests

    def ready(
        self, now: float, *, hurry: bool = False, full: bool = False
    ) -> list[InferenceRequest]:
        """Take the next batch, empty if none is due.

        Due are full batches and those whose oldest request has waited long enough; of several, the
        one with the oldest request.

        Args:
            now: Time of the loop's clock.
            hurry: Take what there is.
            full: Take full batches alone.
        """
        due = [shape for shape in self._buckets if self._is_due(shape, now, hurry, full)]
        if not due:
            return []
        return self._take(min(due, key=lambda shape: self._buckets[shape][0].arrived))

    def next_deadline(self) -> float | None:
        """Return when the oldest request will have waited long enough; None if none waits."""
        oldest = min((bucket[0].arrived for bucket in self._buckets.values()), default=None)
        return None if oldest is None else oldest + self.max_wait

    def _is_due(self, shape: Shape, now: float, hurry: bool, full: bool) -> bool:
        if self._samples[shape] >= self.batch_size:
            return True
        return not full and (hurry or now - self._buckets[shape][0].arrived >= self.max_wait)

    def _take(self, shape: Shape) -> list[InferenceRequest]:
        bucket = self._buckets[shape]
        batch = [bucket.popleft()]
        samples = batch[0].samples
        while bucket and samples + bucket[0].samples <= self.batch_size:
            batch.append(bucket.popleft())
            samples += batch[-1].samples
        self._forget(shape, samples)
        return batch

    def _forget(self, shape: Shape, samples: int) -> None:
        """Count samples out that have left their bucket, and the bucket if it is empty."""
        self._samples[shape] -= samples
        if not self._buckets[shape]:
            del self._buckets[shape], self._samples[shape]


def samples_of(inputs: Any) -> int:
    """Return how many samples a request has.

    Raises:
        ArgumentError: It is made of something else than tensors with one row for each sample.
    """
    args, kwargs = arguments(inputs)
    tensors = [*args, *kwargs.values()]
    if not tensors or not all(isinstance(x, Tensor) and x.ndim >= 1 for x in tensors):
        expected = "a tensor (samples, ...), or a tuple or dict of such"
        raise ArgumentError("inputs", type(inputs).__name__, expected)
    lengths = {len(x) for x in tensors}
    if len(lengths) > 1 or 0 in lengths:
        shapes = [tuple(x.shape) for x in tensors]
        raise ArgumentError("inputs", shapes, "of one number of samples, at least 1")
    return lengths.pop()


def shape_of(inputs: Any) -> Shape:
    """Return what must agree for two requests to share a batch: names, shapes and types."""
    args, kwargs = arguments(inputs)
    tensors = [*enumerate(args), *kwargs.items()]
    return tuple((name, tuple(x.shape[1:]), x.dtype) for name, x in tensors)


def collate(requests: Sequence[InferenceRequest], device: torch.device) -> Any:
    """Return the requests' samples as one batch on a device."""
    return to_device(join([request.inputs for request in requests]), device, non_blocking=True)


def predict(
    model: nn.Module, requests: Sequence[InferenceRequest], batch: Any, batch_size: int
) -> list[Tensor | Exception]:
    """Run a batch and return each request's outputs, or why it has none.

    A batch that fails is halved until those that fail stand alone: the others get their outputs.

    Args:
        model: The network.
        requests: The requests, in the order of the batch.
        batch: Their samples.
        batch_size: Most samples at a time.
    """
    try:
        with torch.inference_mode():
            outputs = torch.cat([call(model, part) for part in parts(batch, batch_size)])
            expected = sum(request.samples for request in requests)
            if len(outputs) != expected:
                raise ValueError(
                    f"The network returned {len(outputs)} outputs for {expected} samples."
                )
            sizes = [request.samples for request in requests]
            return list(torch.split(outputs.cpu(), sizes))
    except BaseException as error:
        # Whatever a network raises belongs to the request that caused it, be it KeyboardInterrupt.
        if len(requests) == 1:
            return [_deliverable(error)]
    half = len(requests) // 2
    cut = sum(request.samples for request in requests[:half])
    first, second = select(batch, slice(cut)), select(batch, slice(cut, None))
    return [
        *predict(model, requests[:half], first, batch_size),
        *predict(model, requests[half:], second, batch_size),
    ]


def _deliverable(error: BaseException) -> Exception:
    """Return an error that a waiting task can raise.

    A CancelledError would look as if the task itself were cancelled, KeyboardInterrupt and
    SystemExit would end the loop, and no coroutine may raise StopIteration.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    wrapped = ConcurrencyError(f"The network raised {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
