"""What goes wrong in a network, a caller or a callback leaves nobody without a response."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
import torch
from torch import nn

from spikeformer.concurrency import AsyncSpikingInference, ConcurrencyConfig, ConcurrencyError
from tests.concurrency.test_inference import Net, engine, run, sample
from tests.concurrency.test_pool import doubled


class Raises(Net):
    """Raises an error for samples below zero."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        if (x < 0).any():
            raise self.error
        return super().forward(x)


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


def test_async_inference_positional_arguments():
    async def scenario():
        async with engine() as inference:
            x, mask = torch.rand(2, 3), torch.tensor([[1.0, 0.0, 1.0]] * 2)
            name = await inference.submit_inference((x, mask))
            assert torch.equal((await inference.get_result(name))[:, 0], x * mask)

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
