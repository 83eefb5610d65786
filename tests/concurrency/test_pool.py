"""Batches that take too long, and networks that hang: nobody waits for them for ever."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest
import torch
from torch import nn

from spikeformer.concurrency import (
    AsyncSpikingInference,
    ConcurrencyConfig,
    ConcurrencyError,
)
from tests.concurrency.test_inference import Net, engine, run, sample
from tests.forking import Forked


class Hangs(Net):
    """Hangs on samples below zero until its gate is open."""

    def __init__(self):
        super().__init__()
        self.gate = Gate()

    def forward(self, x):
        if (x < 0).any():
            self.gate.wait(60)
        return super().forward(x)


class Gate(threading.Event):
    def __deepcopy__(self, memo):
        return self


@pytest.fixture
def hangs():
    net = Hangs()
    yield net
    net.gate.set()


async def doubled(inference, number):
    name = await inference.submit_inference(sample(number))
    return float((await inference.get_result(name)).max()) == 2.0 * number


@pytest.mark.parametrize("loading", [True, False])
def test_async_inference_batch_timeout_fails_the_requests_that_hang(hangs, loading):
    async def scenario():
        options = {"async_data_loading": loading, "max_wait": 0.0, "batch_timeout": 0.3}
        inference = engine(hangs, batch=1, workers=2, **options)
        stuck = await inference.submit_inference(sample(-1))
        others = [asyncio.create_task(doubled(inference, n)) for n in range(1, 9)]
        with pytest.raises(ConcurrencyError, match=r"nothing within 0\.3 s"):
            await inference.get_result(stuck)
        # The other worker takes over what waited behind the one that hangs.
        assert all(await asyncio.gather(*others))
        assert await doubled(inference, 9)
        await inference.close()

    run(scenario())


def test_async_inference_whose_workers_all_hang_says_so_and_goes_on_when_one_is_done(hangs):
    async def scenario():
        options = {"max_wait": 0.0, "batch_timeout": 0.2, "max_pending": 2}
        inference = engine(hangs, batch=1, workers=1, prefetch_factor=1, **options)
        names = [await inference.submit_inference(sample(-1))]
        while inference.num_pending:
            await asyncio.sleep(0.001)
        names += [await inference.submit_inference(sample(n)) for n in (1, 2, 3)]
        late = asyncio.create_task(inference.submit_inference(sample(4)))
        for name in names:
            with pytest.raises(ConcurrencyError, match=r"nothing within|Every worker .* hangs"):
                await inference.get_result(name)
        with pytest.raises(ConcurrencyError, match=r"Every worker .* hangs"):
            await late
        with pytest.raises(ConcurrencyError, match=r"Every worker .* hangs"):
            await inference.submit_inference(sample(5))
        hangs.gate.set()
        for _ in range(1000):
            await asyncio.sleep(0.005)
            with contextlib.suppress(ConcurrencyError):
                assert await doubled(inference, 6)
                break
        else:
            pytest.fail("the worker did not come back")
        # Room was made for all that failed.
        assert all(await asyncio.gather(*(doubled(inference, n) for n in range(1, 9))))
        await inference.close()

    run(scenario())


def test_async_inference_batch_timeout_counts_each_batch_of_a_large_request():
    async def scenario():
        async with engine(Net(seconds=0.1), batch=1, batch_timeout=0.4) as inference:
            name = await inference.submit_inference(torch.rand(6, 3))  # 0.6 s in all
            assert (await inference.get_result(name)).shape == (6, 2, 3)

    run(scenario())


def test_async_inference_batch_timeout_does_not_count_the_wait_behind_other_batches():
    async def scenario():
        options = {"batch_timeout": 0.4, "max_wait": 0.0, "prefetch_factor": 8}
        async with engine(Net(seconds=0.1), batch=1, **options) as inference:
            assert all(await asyncio.gather(*(doubled(inference, n) for n in range(1, 9))))

    run(scenario())


def test_async_inference_close_with_a_timeout_does_not_wait_for_a_network_that_hangs(hangs):
    async def scenario():
        heard = []
        inference = engine(hangs, batch=1, max_wait=0.0)
        stuck = await inference.submit_inference(sample(-1))
        behind = await inference.submit_inference(sample(1))
        await inference.submit_inference(sample(2), heard.append)
        waiter = asyncio.create_task(inference.get_result(stuck))
        await asyncio.sleep(0.05)
        await inference.close(timeout=0.1)
        for outcome in (waiter, inference.get_result(behind)):
            with pytest.raises(ConcurrencyError, match="closed before"):
                await outcome
        assert [type(completed.error) for completed in heard] == [ConcurrencyError]
        with pytest.raises(ConcurrencyError, match="closed"):
            await inference.submit_inference(sample(3))
        await inference.close(timeout=0.1)
        await inference.close()
        assert [completed async for completed in inference] == []

    run(scenario())


def test_async_inference_closing_waits_for_batches_at_most_their_time_limit(hangs):
    async def scenario():
        async with engine(hangs, batch=1, batch_timeout=0.2) as inference:
            name = await inference.submit_inference(sample(-1))
        with pytest.raises(ConcurrencyError, match=r"nothing within 0\.2 s"):
            await inference.get_result(name)

    run(scenario())


def test_async_inference_closing_can_be_given_up_and_done_again(hangs):
    async def scenario():
        inference = engine(hangs, batch=1)
        name = await inference.submit_inference(sample(-1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(inference.close(), 0.05)
        hangs.gate.set()
        await inference.close()
        with pytest.raises(ValueError, match="below zero"):  # computed to its end
            await inference.get_result(name)

    run(scenario())


def test_async_inference_leaving_the_block_by_cancellation_does_not_wait(hangs):
    names = []

    async def serve(inference):
        async with inference:
            names.append(await inference.submit_inference(sample(-1)))
            await asyncio.sleep(60)

    async def scenario():
        inference = engine(hangs, batch=1)
        task = asyncio.create_task(serve(inference))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConcurrencyError, match="closed before"):
            await inference.get_result(names[0])

    run(scenario())


class Sleeps(nn.Module):
    def forward(self, x):
        time.sleep(10000)


def leave_a_network_that_hangs():
    async def main():
        inference = AsyncSpikingInference(Sleeps(), ConcurrencyConfig(batch_timeout=0.1))
        name = await inference.submit_inference(torch.ones(1, 2))
        with pytest.raises(ConcurrencyError):
            await inference.get_result(name)
        await inference.close()

    asyncio.run(main())
    print("closed")


def test_async_inference_process_ends_while_a_network_hangs():
    found = Forked(leave_a_network_that_hangs).communicate(timeout=120)
    assert found.stdout == "closed\n", found.stderr
    assert found.returncode == 0


def test_async_inference_loop_that_ends_leaves_errors_behind_and_the_engine_belongs_to_it(hangs):
    inference = engine(hangs, batch=1, max_wait=0.0)

    async def begin():
        return [await inference.submit_inference(sample(n)) for n in (-1, 1)]

    async def go_on(names):
        for name in names:
            with pytest.raises(ConcurrencyError, match="stopped"):
                await inference.get_result(name)
        with pytest.raises(ConcurrencyError, match="closed"):
            await inference.submit_inference(sample(2))
        await inference.close()

    run(go_on(run(begin())))


@pytest.mark.parametrize("computing", [False, True])
def test_async_inference_request_of_several_samples_can_be_cancelled(hangs, computing):
    async def scenario():
        options = {"max_wait": 0.0 if computing else 0.1, "max_pending": 2}
        async with engine(hangs, batch=8, **options) as inference:
            big = await inference.submit_inference(torch.full((5, 3), -1.0))
            if computing:
                while inference.num_pending:
                    await asyncio.sleep(0.001)
            waiter = asyncio.create_task(inference.get_result(big))
            await asyncio.sleep(0)
            assert inference.cancel(big)
            with pytest.raises(ConcurrencyError, match="cancelled"):
                await waiter
            assert inference.num_pending == 0
            hangs.gate.set()
            small = [await inference.submit_inference(torch.full((n, 3), 2.0)) for n in (2, 3)]
            for n, name in zip((2, 3), small, strict=True):
                assert torch.equal(
                    (await inference.get_result(name))[:, 0], torch.full((n, 3), 2.0)
                )
        assert sum(hangs.batches) == (10 if computing else 5)

    run(scenario())


def test_async_inference_device_loader_that_hangs_is_left_out(monkeypatch):
    from spikeformer.concurrency import pool

    gate, collate = threading.Event(), pool.collate
    main = []

    def slow(requests, device):
        if not main:
            main.append(threading.current_thread())
            gate.wait(60)
        return collate(requests, device)

    monkeypatch.setattr(pool, "collate", slow)

    async def scenario():
        async with engine(batch=1, max_wait=0.0, batch_timeout=0.2) as inference:
            name = await inference.submit_inference(sample(1))
            others = [asyncio.create_task(doubled(inference, n)) for n in (2, 3)]
            with pytest.raises(ConcurrencyError, match="not put together"):
                await inference.get_result(name)
            assert all(await asyncio.gather(*others))
        gate.set()

    run(scenario())
