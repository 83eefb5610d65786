"""Requests of many tasks: each output right, delivered once, whatever happens to the others."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import torch
from torch import nn

from spikeformer.concurrency import AsyncSpikingInference, ConcurrencyConfig, ConcurrencyError
from spikeformer.error_handling import ArgumentError


class Net(nn.Module):
    """Doubles its input over two timesteps, notes batches, and refuses samples below zero."""

    def __init__(self, seconds=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.seconds = seconds
        # Shared between the copies that the workers get.
        self.batches = Shared()

    def forward(self, x, mask=None):
        self.batches.append(x.shape[0])
        time.sleep(self.seconds)
        if (x < 0).any():
            raise ValueError(f"below zero: {float(x.min())}")
        y = x if mask is None else x * mask
        return torch.stack([y, y * self.weight], dim=1)


class Shared(list):
    def __deepcopy__(self, memo):
        return self


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, 60))


def engine(net=None, batch=8, workers=1, **options):
    config = {k: options.pop(k) for k in list(options) if k in ConcurrencyConfig.__annotations__}
    config = ConcurrencyConfig(max_workers=workers, batch_size_per_worker=batch, **config)
    return AsyncSpikingInference(net or Net(), config, devices=["cpu"] * workers, **options)


def sample(number):
    return torch.full((1, 3), float(number))


@pytest.mark.parametrize("workers", [1, 2])
def test_async_inference_many_requests_of_many_tasks(workers):
    tasks, each = 100, 20

    async def scenario():
        outputs_of = {}
        async with engine(net := Net(), 32, workers, max_pending=200) as inference:

            async def ask(task):
                for i in range(each):
                    number = task * each + i
                    # Three shapes, so that not all can share a batch.
                    width = number % 3 + 1
                    name = await inference.submit_inference(torch.full((1, width), float(number)))
                    assert name not in outputs_of
                    outputs_of[name] = number, await inference.get_result(name)

            await asyncio.gather(*(ask(task) for task in range(tasks)))
            assert len(outputs_of) == tasks * each
            for name, (number, outputs) in outputs_of.items():
                expected = torch.tensor([number, 2.0 * number])[None, :, None]
                assert torch.equal(outputs, expected.expand(1, 2, number % 3 + 1))
                with pytest.raises(ConcurrencyError, match="delivered already"):
                    await inference.get_result(name)
        assert sum(net.batches) == tasks * each
        assert max(net.batches) <= 32
        assert len(net.batches) < tasks * each / 4

    run(scenario())


def test_async_inference_full_batch_does_not_wait_and_others_wait_for_it():
    async def scenario():
        async with engine(net := Net(), batch=4, max_wait=30.0) as inference:
            names = [await inference.submit_inference(sample(i)) for i in range(8)]
            for name in names:
                await inference.get_result(name)
            assert net.batches == [4, 4]
            waiting = await inference.submit_inference(sample(9))
            await asyncio.sleep(0.05)
            assert (len(net.batches), inference.num_pending) == (2, 1)
        # Closing does not let it wait any longer, and loses nothing.
        assert torch.equal((await inference.get_result(waiting))[0, 0], sample(9)[0])

    run(scenario())


def test_async_inference_requests_of_several_samples_and_of_more_than_a_batch():
    async def scenario():
        async with engine(net := Net(), batch=4, max_wait=0.01) as inference:
            sizes = [3, 2, 11, 1]
            inputs = [torch.rand(size, 3) for size in sizes]
            names = [await inference.submit_inference(x) for x in inputs]
            for x, name in zip(inputs, names, strict=True):
                assert torch.equal((await inference.get_result(name))[:, 0], x)
            assert max(net.batches) <= 4

    run(scenario())


def test_async_inference_named_tensors():
    async def scenario():
        async with engine() as inference:
            x, mask = torch.rand(1, 3), torch.tensor([[1.0, 0.0, 1.0]])
            name = await inference.submit_inference({"x": x, "mask": mask})
            assert torch.equal((await inference.get_result(name))[:, 0], x * mask)

    run(scenario())


@pytest.mark.parametrize("bad", [[0], [5], [0, 7], [2, 3, 4], range(8)])
def test_async_inference_request_that_fails_fails_alone(bad):
    async def scenario():
        async with engine(batch=8, max_wait=30.0) as inference:
            numbers = [-1.0 - i if i in bad else float(i) for i in range(8)]
            names = [await inference.submit_inference(sample(n)) for n in numbers]
            for number, name in zip(numbers, names, strict=True):
                if number < 0:
                    with pytest.raises(ValueError, match=f"below zero: {number}"):
                        await inference.get_result(name)
                else:
                    assert float((await inference.get_result(name))[0, 0, 0]) == number

    run(scenario())


def test_async_inference_network_that_mixes_up_its_batch_is_found_out():
    class Drops(nn.Module):
        def forward(self, x):
            return x[:1].unsqueeze(1)

    async def scenario():
        async with engine(Drops(), batch=2, max_wait=30.0) as inference:
            names = [await inference.submit_inference(sample(i)) for i in (1, 2)]
            # Alone, each gets its outputs.
            assert [float((await inference.get_result(n)).max()) for n in names] == [1.0, 2.0]
            name = await inference.submit_inference(torch.rand(2, 3))
            with pytest.raises(ValueError, match="1 outputs for 2 samples"):
                await inference.get_result(name)

    run(scenario())


def test_async_inference_submitting_waits_for_room():
    gate = threading.Event()

    class Gated(Net):
        def forward(self, x):
            gate.wait(30)
            return super().forward(x)

    async def scenario():
        options = {"async_data_loading": False, "max_pending": 3, "max_wait": 0.0}
        async with engine(Gated(), batch=1, **options) as inference:
            names = [await inference.submit_inference(sample(0))]
            while inference.num_pending:
                await asyncio.sleep(0.001)
            names += [await inference.submit_inference(sample(i)) for i in (1, 2, 3)]
            late = asyncio.create_task(inference.submit_inference(sample(4)))
            await asyncio.sleep(0.05)
            assert not late.done()
            # Giving one up makes room.
            assert inference.cancel(names.pop())
            names.append(await late)
            gate.set()
            for name in names:
                await inference.get_result(name)

    run(scenario())


def test_async_inference_cancelled_requests_are_not_computed():
    async def scenario():
        async with engine(net := Net(), batch=4, max_wait=0.05) as inference:
            first, second = [await inference.submit_inference(sample(i)) for i in (1, 2)]
            assert inference.cancel(first)
            assert not inference.cancel(first)
            with pytest.raises(ConcurrencyError):
                await inference.get_result(first)
            assert float((await inference.get_result(second)).max()) == 4.0
            assert net.batches == [1]
            # So are those whose caller went away, and a waiting caller learns of it.
            name = await inference.submit_inference(sample(3))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(inference.get_result(name), 0.001)
            name = await inference.submit_inference(sample(4))
            waiter = asyncio.create_task(inference.get_result(name))
            await asyncio.sleep(0)
            assert inference.cancel(name)
            with pytest.raises(ConcurrencyError, match="was cancelled"):
                await waiter
            assert not inference.cancel("request-99")
        assert net.batches == [1]

    run(scenario())


def test_async_inference_yields_requests_as_they_complete():
    async def scenario():
        async with engine(batch=3, max_wait=0.01) as inference:
            names = [await inference.submit_inference(sample(i - 1)) for i in range(7)]
            found = {done.id: done async for done in inference}
            assert set(found) == set(names)
            assert isinstance(found[names[0]].error, ValueError)
            assert float(found[names[3]].result().max()) == 4.0
            # Whoever waits by name gets the outputs, and the iteration does not.
            mine = await inference.submit_inference(sample(5))
            waiter = asyncio.create_task(inference.get_result(mine))
            await asyncio.sleep(0)
            other = await inference.submit_inference(sample(6))
            assert [done.id async for done in inference] == [other]
            assert float((await waiter).max()) == 10.0

    run(scenario())


def test_async_inference_callbacks(caplog):
    async def scenario():
        seen = []

        async def later(done):
            await asyncio.sleep(0)
            seen.append(done.id)

        def fails(done):
            raise RuntimeError("a caller's fault")

        async with engine(max_wait=0.01) as inference:
            first = await inference.submit_inference(sample(1), seen.append)
            second = await inference.submit_inference(sample(2), later)
            await inference.submit_inference(sample(3), fails)
            both = await inference.submit_inference(sample(4), seen.append)
            assert float((await inference.get_result(both)).max()) == 8.0
        assert {getattr(x, "id", x) for x in seen} == {first, second, both}
        assert "a caller's fault" in caplog.text
        with pytest.raises(ConcurrencyError):
            await inference.get_result(first)

    run(scenario())


def test_async_inference_after_the_end():
    async def scenario():
        inference = engine(batch=4, max_wait=30.0, max_pending=2)
        names = [await inference.submit_inference(sample(i)) for i in (1, 2)]
        late = asyncio.create_task(inference.submit_inference(sample(3)))
        await asyncio.sleep(0)
        await asyncio.gather(inference.close(), inference.close())
        with pytest.raises(ConcurrencyError, match="closed"):
            await late
        with pytest.raises(ConcurrencyError, match="closed"):
            await inference.submit_inference(sample(4))
        assert [done.id async for done in inference] == names
        unused = engine()
        await unused.close()

    run(scenario())


@pytest.mark.parametrize("bad", [None, torch.tensor(1.0), torch.zeros(0, 3), {}, {"x": [1]}])
def test_async_inference_what_is_no_batch_is_refused(bad):
    async def scenario():
        async with engine() as inference:
            with pytest.raises(ArgumentError, match="inputs"):
                await inference.submit_inference(bad)

    run(scenario())


def test_async_inference_batches_are_prepared_while_others_are_computed():
    """With loading ahead a worker holds as many batches as it may; without it one."""

    async def most_at_once(**options):
        gate = threading.Event()

        class Gated(Net):
            def forward(self, x):
                gate.wait(30)
                return super().forward(x)

        async with engine(Gated(), batch=2, max_wait=30.0, **options) as inference:
            for i in range(12):
                await inference.submit_inference(sample(i))
            await asyncio.sleep(0.05)
            taken = inference.num_batches
            gate.set()
        return taken

    async def scenario():
        assert await most_at_once(prefetch_factor=2) == 3
        assert await most_at_once(prefetch_factor=4) == 5
        assert await most_at_once(async_data_loading=False, prefetch_factor=4) == 1

    run(scenario())
