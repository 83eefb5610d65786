"""What goes wrong in a network, a caller or a callback leaves nobody without a response."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import textwrap
import threading

import pytest
import torch
from torch import nn

from spikeformer.concurrency import AsyncSpikingInference, ConcurrencyConfig, ConcurrencyError
from tests.concurrency.test_inference import Net, engine, run, sample


class Raises(Net):
    """Raises an error for samples below zero."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        if (x < 0).any():
            raise self.error
        return super().forward(x)


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


ERRORS = [
    asyncio.CancelledError("mine"),
    KeyboardInterrupt("mine"),
    SystemExit("mine"),
    GeneratorExit("mine"),
    StopIteration("mine"),
    StopAsyncIteration("mine"),
    ValueError("mine"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("loading", [True, False])
def test_async_inference_whatever_the_network_raises_is_delivered_and_the_engine_goes_on(
    error, loading
):
    async def scenario():
        options = {"async_data_loading": loading, "max_wait": 0.01}
        async with engine(Raises(error), batch=4, **options) as inference:
            kind = ValueError if isinstance(error, ValueError) else ConcurrencyError
            for _ in range(3):
                names = [await inference.submit_inference(sample(n)) for n in (-1, 5)]
                with pytest.raises(kind, match="mine") as caught:
                    await inference.get_result(names[0])
                assert type(error).__name__ in f"{caught.value!r}"
                assert float((await inference.get_result(names[1])).max()) == 10.0
            # As they complete, too.
            await inference.submit_inference(sample(-1))
            done = [completed async for completed in inference]
            assert [type(completed.error) for completed in done] == [kind]
            assert await doubled(inference, 7)

    run(scenario())


def test_async_inference_one_of_two_get_results_of_a_request_gets_it():
    async def scenario():
        async with engine(max_wait=0.05) as inference:
            name = await inference.submit_inference(sample(3))
            waiters = [asyncio.create_task(inference.get_result(name)) for _ in range(3)]
            found = await asyncio.gather(*waiters, return_exceptions=True)
            assert float(found[0].max()) == 6.0
            for error in found[1:]:
                assert isinstance(error, ConcurrencyError)
                assert "Another task waits" in str(error)
            with pytest.raises(ConcurrencyError, match="delivered already"):
                await inference.get_result(name)

    run(scenario())


def test_async_inference_second_get_result_does_not_disturb_the_first_when_it_is_cancelled():
    async def scenario():
        async with engine(max_wait=0.05) as inference:
            name = await inference.submit_inference(sample(3))
            first = asyncio.create_task(inference.get_result(name))
            await asyncio.sleep(0)
            second = asyncio.create_task(inference.get_result(name))
            second.cancel()
            await asyncio.wait({second})
            assert float((await first).max()) == 6.0

    run(scenario())


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


def test_async_inference_interpreter_ends_while_a_network_hangs():
    code = """
        import asyncio, time, torch
        from torch import nn
        from spikeformer.concurrency import AsyncSpikingInference, ConcurrencyConfig

        class Hangs(nn.Module):
            def forward(self, x):
                time.sleep(10000)

        async def main():
            engine = AsyncSpikingInference(Hangs(), ConcurrencyConfig(batch_timeout=0.1))
            name = await engine.submit_inference(torch.ones(1, 2))
            try:
                await engine.get_result(name)
            except Exception as error:
                print(type(error).__name__)
            await engine.close()

        asyncio.run(main())
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120
    )
    assert found.stdout.strip() == "ConcurrencyError", found.stderr
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


def test_async_inference_second_event_loop_is_refused():
    async def scenario():
        async with engine(batch=2, max_wait=30.0) as inference:
            waiting = await inference.submit_inference(sample(4))

            def elsewhere(work):
                with pytest.raises(ConcurrencyError, match="one for each loop"):
                    asyncio.run(work)

            await asyncio.to_thread(elsewhere, inference.submit_inference(sample(1)))
            await asyncio.to_thread(elsewhere, inference.get_result(waiting))
            await asyncio.to_thread(elsewhere, inference.close())
            assert await doubled(inference, 1)
            assert float((await inference.get_result(waiting)).max()) == 8.0

    # The attempt to close it from elsewhere must not have closed it.
    run(scenario())


@pytest.mark.parametrize("error", ERRORS[:1] + ERRORS[3:], ids=lambda e: type(e).__name__)
def test_async_inference_callbacks_that_raise_stop_nobody(error, caplog):
    async def scenario():
        def fails(completed):
            raise error

        async def fails_later(completed):
            await asyncio.sleep(0)
            if isinstance(error, StopIteration | StopAsyncIteration | GeneratorExit):
                fails(completed)
            raise error

        async with engine(max_wait=0.0) as inference:
            for callback in (fails, fails_later):
                await inference.submit_inference(sample(1), callback)
            assert await doubled(inference, 2)
        assert caplog.text.count("The callback of request-") == 2

    run(scenario())


def test_async_inference_callbacks_may_close_the_engine():
    async def scenario():
        heard = []

        async def closes(completed):
            heard.append(completed.id)
            await inference.close()

        inference = engine(max_wait=0.0, batch=1)
        names = [await inference.submit_inference(sample(n), closes) for n in (1, 2, 3)]
        await inference.close()
        assert sorted(heard) == sorted(names)

    run(scenario())


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


def test_async_inference_positional_arguments():
    async def scenario():
        async with engine() as inference:
            x, mask = torch.rand(2, 3), torch.tensor([[1.0, 0.0, 1.0]] * 2)
            name = await inference.submit_inference((x, mask))
            assert torch.equal((await inference.get_result(name))[:, 0], x * mask)

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


def test_async_inference_network_without_parameters_can_be_served():
    async def scenario():
        async with AsyncSpikingInference(nn.Flatten(), ConcurrencyConfig()) as inference:
            name = await inference.submit_inference(torch.ones(1, 2, 2))
            assert (await inference.get_result(name)).shape == (1, 4)

    run(scenario())


def test_async_inference_engine_that_was_never_closed_ends_its_threads():
    async def scenario():
        inference = engine(max_wait=0.0)
        assert await doubled(inference, 1)

    before = set(threading.enumerate())
    run(scenario())
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()
