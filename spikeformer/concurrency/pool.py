"""The workers of an inference engine: which one is free, and which one hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.concurrency.batching import InferenceRequest, collate, predict
from spikeformer.concurrency.replicas import Replica, make_replicas
from spikeformer.concurrency.worker import Work, Worker, finished
from spikeformer.config import ConcurrencyConfig
from spikeformer.error_handling import ConcurrencyError


class ReplicaPool:
    """Copies of a network that run batches, with a time limit for each.

    A copy whose batch takes longer gets no other one until it is done with it.

    Args:
        model: The network.
        config: How many copies, and the limit.
        devices: Where they work; None decides by the network's device.
        on_change: Called in the event loop when a copy may be free again.
    """

    def __init__(
        self,
        model: nn.Module,
        config: ConcurrencyConfig,
        devices: Sequence[torch.device] | None,
        on_change: Callable[[], Any],
    ) -> None:
        self.config, self.on_change = config, on_change
        self.replicas = make_replicas(model, config, devices)
        ahead = config.prefetch_factor if config.async_data_loading else 0
        self.most_per_replica = 1 + ahead
        self._loader = Worker("batches") if ahead else None

    @property
    def is_dead(self) -> bool:
        """Whether every copy hangs."""
        return all(replica.hangs for replica in self.replicas)

    def least_busy(self) -> Replica | None:
        """Return the copy with the fewest batches; None if none can take another one."""
        able = [x for x in self.replicas if not x.hangs and x.busy < self.most_per_replica]
        return min(able, key=lambda replica: replica.busy, default=None)

    async def run(
        self, replica: Replica, requests: Sequence[InferenceRequest]
    ) -> Sequence[Tensor | Exception] | None:
        """Return each request's outputs or error; None if the copy hangs on an earlier batch.

        Count the batch in `replica.busy` beforehand; it is counted out here.
        """
        try:
            return await self._run(replica, requests)
        except Exception as error:
            return [error] * len(requests)
        finally:
            replica.busy -= 1
            self.on_change()

    def close(self) -> None:
        """Let the threads end, those that hang when they are done."""
        for worker in (self._loader, *(replica.worker for replica in self.replicas)):
            if worker is not None:
                worker.drop()
                worker.stop()

    async def _run(
        self, replica: Replica, requests: Sequence[InferenceRequest]
    ) -> Sequence[Tensor | Exception] | None:
        size = self.config.batch_size_per_worker
        limit = self.config.batch_timeout * -(-sum(x.samples for x in requests) // size)
        make_batch: Callable[[], Any] = partial(collate, requests, replica.device)
        if self._loader is not None:
            loaded = await finished(self._loader.submit(make_batch), limit)
            if loaded is None:
                if self._loader is not None:
                    self._loader.drop()
                self._loader = None  # from now on each worker puts its batches together
                raise ConcurrencyError(f"A batch was not put together within {limit:g} s.")
            if not loaded.cancelled():
                make_batch = partial(_same, loaded.result())
        work = replica.worker.submit(lambda: predict(replica.model, requests, make_batch(), size))
        done = await finished(work, limit)
        if done is None:
            self._set_hanging(replica, work)
            raise ConcurrencyError(
                f"The network returned nothing within {limit:g} s: it hangs, or the limit is too "
                "low. Set ConcurrencyConfig(batch_timeout=...), in seconds for each batch."
            )
        return None if done.cancelled() else done.result()

    def _set_hanging(self, replica: Replica, work: Work) -> None:
        """Give a copy nothing more until it is done with what it hangs on."""
        loop = asyncio.get_running_loop()

        def recover() -> None:
            replica.hangs = False
            self.on_change()

        def recover_soon(future: Any) -> None:
            with suppress(RuntimeError):  # the loop may be gone
                loop.call_soon_threadsafe(recover)

        replica.hangs = True
        replica.worker.drop()
        work.future.add_done_callback(recover_soon)


def _same(batch: Any) -> Any:
    return batch
