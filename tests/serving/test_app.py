"""The server, asked over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("aiohttp", reason="the extra serve is not installed")

from aiohttp.test_utils import TestClient, TestServer

from spikeformer.concurrency import ConcurrencyConfig
from spikeformer.serving import Predictor, load_predictor, make_app
from tests.serving.bodies import npy, png

PNG, NPY = {"Content-Type": "image/png"}, {"Content-Type": "application/x-npy"}


def ask(app: Any, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with TestClient(TestServer(app)) as client:
            return await work(client)

    return asyncio.run(run())


@pytest.fixture(scope="module")
def digits():
    return load_predictor("digits")


def test_many_callers_get_their_own_answers_from_few_batches(digits):
    images = np.random.default_rng(0).integers(0, 255, (24, 8, 8), dtype=np.uint8)
    with torch.no_grad():
        outputs = digits.model(torch.from_numpy(images)[:, None].float() / 255)
    expected = outputs.mean(dim=1).argmax(dim=-1).tolist()

    async def work(client):
        async def one(image):
            answer = await client.post(
                "/predict", data=png(image), headers={"Content-Type": "image/png"}
            )
            return await answer.json()

        answers = await asyncio.gather(*map(one, images))
        return answers, await (await client.get("/metrics")).text()

    app = make_app(digits, ConcurrencyConfig(max_workers=1), max_wait=0.05)
    answers, metrics = ask(app, work)
    assert [int(answer["predictions"][0]["class"]) for answer in answers] == expected
    assert all(answer["model"] == "digits" for answer in answers)
    numbers = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line[0] != "#")
    assert numbers['spikeformer_requests_total{status="200"}'] == "24"
    assert float(numbers["spikeformer_batches"]) < 24


def test_energy_and_early_reading_are_answered(digits):
    body = npy(np.zeros((2, 1, 8, 8), np.float32))

    async def work(client):
        found = await client.post(
            "/predict?energy=true&confidence=0",
            data=body,
            headers={"Content-Type": "application/x-npy"},
        )
        about = await (await client.get("/")).json()
        return await found.json(), about, await client.get("/health")

    answer, about, health = ask(make_app(digits), work)
    assert [one["timesteps"] for one in answer["predictions"]] == [1, 1]
    assert answer["energy"] == digits.energy(torch.zeros(2, 1, 8, 8))
    assert answer["milliseconds"] > 0
    assert about["sample_shape"] == [1, 8, 8]
    assert health.status == 200


def test_what_goes_wrong_is_one_line_of_json(digits):
    json_type = {"Content-Type": "application/json"}

    async def work(client):
        async def status(method, path, **more):
            answer = await client.request(method, path, **more)
            return answer.status, (await answer.json())["error"]

        return [
            await status("POST", "/predict", data=b"{", headers=json_type),
            await status("POST", "/predict?confidence=2", data=b"{}", headers=json_type),
            await status("POST", "/predict?energy=maybe", data=b"{}", headers=json_type),
            await status("POST", "/predict", data=b"x" * 2000, headers=json_type),
            await status("GET", "/predict"),
            await status("GET", "/nowhere"),
        ]

    answers = ask(make_app(digits, max_bytes=1000), work)
    assert [status for status, _ in answers] == [400, 400, 400, 413, 405, 404]
    assert all("\n" not in message for _, message in answers)


class Slow(nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def forward(self, x):
        self.gate.wait(20)
        return x[:, None]


def test_requests_beyond_those_that_may_wait_are_turned_away():
    import threading

    gate = threading.Event()
    config = ConcurrencyConfig(max_workers=1, batch_size_per_worker=1, async_data_loading=False)

    async def work(client):
        async def one():
            answer = await client.post("/predict", json={"inputs": [[0.0]]})
            return answer.status, answer.headers.get("Retry-After")

        waiting = [asyncio.create_task(one()) for _ in range(12)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        first = {task.result() for task in done}
        gate.set()
        return first, [status for status, _ in await asyncio.gather(*waiting)]

    app = make_app(Predictor("x", _shared(Slow, gate)), config, max_pending=2, max_wait=0)
    first, statuses = ask(app, work)
    assert first == {(503, "1")}
    assert statuses.count(200) >= 2
    assert set(statuses) == {200, 503}


def _shared(kind, gate):
    """A network whose copies wait at the same gate."""
    net = kind(gate)
    type(net).__deepcopy__ = lambda self, memo: self
    return net
