"""Requests that wait, and the batches that are made of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.i18n import t

Inputs = Tensor | Mapping[str, Tensor]
Shape = tuple[Any, ...]


@dataclass(eq=False)
class Request:
    """One request.

    Attributes:
        name: Its id.
        inputs: Samples (samples, ...), or named tensors as the network takes them.
        samples: How many there are.
        arrived: When it came, in s of the loop's clock.
        shape: What must agree for two requests to share a batch.
    """

    name: str
    inputs: Inputs
    samples: int
    arrived: float
    shape: Shape


class Buckets:
    """Waiting requests by shape, the oldest first.

    Args:
        batch_size: Most samples in a batch.
        max_wait: Seconds that a request waits for others to share its batch.
    """

    def __init__(self, batch_size: int, max_wait: float) -> None:
        self.batch_size, self.max_wait = batch_size, max_wait
        self._buckets: dict[Shape, deque[Request]] = {}
        self._samples: dict[Shape, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def add(self, request: Request) -> None:
        """Let a request wait."""
        self._buckets.setdefault(request.shape, deque()).append(request)
        self._samples[request.shape] = self._samples.get(request.shape, 0) + request.samples

    def remove(self, request: Request) -> bool:
        """Let a request wait no longer; tell whether it did."""
        bucket = self._buckets.get(request.shape, deque())
        if request not in bucket:
            return False
        bucket.remove(request)
        self._forget(request.shape, request.samples)
        return True

    def ready(self, now: float, *, hurry: bool = False, full: bool = False) -> list[Request]:
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

    def _take(self, shape: Shape) -> list[Request]:
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


def shape_of(inputs: Inputs) -> Shape:
    """Return what must agree for two requests to share a batch: names, shapes and types."""
    named = inputs.items() if isinstance(inputs, Mapping) else [("", inputs)]
    return tuple((name, tuple(x.shape[1:]), x.dtype) for name, x in named)


def collate(requests: Sequence[Request], device: torch.device) -> Inputs:
    """Return the requests' samples as one batch on a device."""
    inputs = [request.inputs for request in requests]
    named = [each for each in inputs if isinstance(each, Mapping)]
    if named:
        return {name: _join([each[name] for each in named], device) for name in named[0]}
    return _join([each for each in inputs if isinstance(each, Tensor)], device)


def _join(tensors: list[Tensor], device: torch.device) -> Tensor:
    joined = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
    return joined.to(device, non_blocking=True)


def answer(
    model: nn.Module, requests: Sequence[Request], batch: Inputs, batch_size: int
) -> list[Tensor | Exception]:
    """Run a batch and return each request's outputs, or why it has none.

    A batch that fails is halved until those that fail stand alone: the others get their answers.

    Args:
        model: The network.
        requests: The requests, in the order of the batch.
        batch: Their samples.
        batch_size: Most samples at a time.
    """
    try:
        with torch.inference_mode():
            outputs = torch.cat([_call(model, part) for part in _parts(batch, batch_size)])
            expected = sum(request.samples for request in requests)
            if len(outputs) != expected:
                values = {"found": len(outputs), "expected": expected}
                raise ValueError(t("concurrency.outputs_and_samples", **values))
            sizes = [request.samples for request in requests]
            return list(torch.split(outputs.cpu(), sizes))
    except Exception as error:
        # Whatever a network raises belongs to the request that caused it.
        if len(requests) == 1:
            return [error]
    half = len(requests) // 2
    cut = sum(request.samples for request in requests[:half])
    first, second = _slice(batch, slice(None, cut)), _slice(batch, slice(cut, None))
    return [
        *answer(model, requests[:half], first, batch_size),
        *answer(model, requests[half:], second, batch_size),
    ]


def _call(model: nn.Module, batch: Inputs) -> Tensor:
    outputs: Tensor = model(**batch) if isinstance(batch, Mapping) else model(batch)
    return outputs


def _parts(batch: Inputs, size: int) -> list[Inputs]:
    """Return a batch in parts: one request may bring more samples than fit."""
    samples = len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch)
    if samples <= size:
        return [batch]
    return [_slice(batch, slice(i, i + size)) for i in range(0, samples, size)]


def _slice(batch: Inputs, part: slice) -> Inputs:
    if isinstance(batch, Mapping):
        return {name: x[part] for name, x in batch.items()}
    return batch[part]
