"""A worker's thread: one thing at a time, dropped work is cancelled, hanging work is noticed."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from spikeformer.concurrency.worker import Worker, finished


def test_submit_runs_in_order_on_one_thread():
    worker, order = Worker("test"), []
    works = [
        worker.submit(lambda i=i: (order.append(i), threading.current_thread())[1])
        for i in range(9)
    ]
    threads = {work.future.result(30) for work in works}
    assert order == list(range(9))
    assert len(threads) == 1
    thread = threads.pop()
    assert thread.daemon
    worker.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_drop_cancels_what_has_not_begun():
    worker, gate = Worker("test"), threading.Event()
    first = worker.submit(lambda: gate.wait(30))
    while first.begun is None:
        pass
    second = worker.submit(lambda: "never")
    worker.drop()
    gate.set()
    assert first.future.result(30) is True
    assert second.future.cancelled()
    assert worker.submit(lambda: "on").future.result(30) == "on"
    worker.stop()


@pytest.mark.parametrize(
    "error", [ValueError("mine"), SystemExit("mine"), KeyboardInterrupt("mine")]
)
def test_whatever_is_raised_is_kept_and_the_thread_goes_on(error):
    def fails():
        raise error

    worker = Worker("test")
    assert worker.submit(fails).future.exception(30) is error
    assert worker.submit(lambda: 1).future.result(30) == 1
    worker.stop()


def test_finished_counts_from_the_begin():
    worker, gate = Worker("test"), threading.Event()

    async def scenario():
        slow = worker.submit(lambda: gate.wait(30))
        behind = worker.submit(lambda: "done")
        waiting = asyncio.create_task(finished(behind, 0.3))
        assert await finished(slow, 0.1) is None
        await asyncio.sleep(0.3)  # it waits for longer than its limit, and has not begun
        assert not waiting.done()
        gate.set()
        assert (await waiting).result() == "done"

    asyncio.run(scenario())
    worker.stop()


def test_a_worker_that_nobody_has_any_more_ends_its_thread():
    worker = Worker("test")
    thread = worker.submit(threading.current_thread).future.result(30)
    del worker
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()
