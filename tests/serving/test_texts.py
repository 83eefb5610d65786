"""Texts over HTTP, piece by piece."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

pytest.importorskip("aiohttp", reason="the extra serve is not installed")

import aiohttp

from spikeformer.error_handling import ConfigurationError
from spikeformer.runs import TextGenerator
from spikeformer.serving import make_app
from tests.serving.test_app import ask


class Echo(TextGenerator):
    """Says the words of the prompt again, with the options that it got."""

    def __init__(self):
        self.name = "echo"
        self.may_go_on = threading.Event()
        self.ended = threading.Event()
        self.words = []  # of each text, how many were said

    def generate(self, prompt, put, **options):
        if not prompt:
            raise ConfigurationError("The prompt has no tokens.")
        self.words.append(0)
        try:
            for word in prompt.split():
                if word == "fail":
                    raise RuntimeError("/home/somebody")
                if word == "wait":
                    assert self.may_go_on.wait(20)
                if word == "slow":
                    time.sleep(0.01)
                put(f"{word}é")
                self.words[-1] += 1
            put(str(sorted(options.items())))
        finally:
            self.ended.set()


def test_a_text_comes_in_pieces_while_it_is_made():
    echo = Echo()

    async def work(client):
        async with client.post("/generate", json={"prompt": "one wait", "tokens": 3}) as response:
            first = await response.content.read(5)
            early = echo.ended.is_set()
            echo.may_go_on.set()
            return first, early, await response.content.read(), response.headers["Content-Type"]

    first, early, rest, kind = ask(make_app(echo), work)
    assert (first.decode(), early) == ("oneé", False)
    options = [("seed", 0), ("temperature", 0.0), ("tokens", 3), ("top_k", None)]
    assert rest.decode() == f"waité{options}"
    assert kind == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "Expected JSON"),
        (b'{"tokens": 1}', 400, "prompt"),
        (b'{"prompt": "a", "tokens": "many"}', 400, "tokens"),
        (b'{"prompt": "a", "temprature": 1}', 400, "temprature"),
        (b'{"prompt": ""}', 400, "no tokens"),
        (b'{"prompt": "fail"}', 500, "The network failed with RuntimeError."),
        (b'{"prompt": "' + b"x" * 2000 + b'"}', 413, "at most"),
    ],
)
def test_what_goes_wrong_at_first_is_one_line_of_json(body, status, words):
    async def work(client):
        response = await client.post("/generate", data=body)
        return response.status, (await response.json())["error"]

    found, message = ask(make_app(Echo(), max_bytes=1000), work)
    assert found == status
    assert words in message
    assert "\n" not in message


def test_a_text_that_breaks_off_does_not_look_whole():
    async def work(client):
        async with client.post("/generate", json={"prompt": "one fail"}) as response:
            with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
                await response.read()

    ask(make_app(Echo()), work)


def test_a_reader_who_leaves_ends_the_text_and_the_next_one_gets_a_turn():
    echo = Echo()

    async def work(client):
        response = await client.post("/generate", json={"prompt": "one wait " + "slow " * 200})
        await response.content.read(3)
        response.close()
        await asyncio.sleep(0.1)
        echo.may_go_on.set()
        async with client.post("/generate", json={"prompt": "next"}) as following:
            return (await following.text())[:5]

    assert ask(make_app(echo), work) == "nexté"
    assert 1 <= echo.words[0] < 202  # it did not go on to its end


def test_requests_beyond_those_that_may_wait_are_turned_away():
    echo = Echo()

    async def work(client):
        first = asyncio.create_task(client.post("/generate", json={"prompt": "one wait"}))
        second = asyncio.create_task(client.post("/generate", json={"prompt": "two"}))
        while (await (await client.get("/health")).json())["pending"] < 1:
            await asyncio.sleep(0.01)
        third = await client.post("/generate", json={"prompt": "three"})
        echo.may_go_on.set()
        texts = [await (await task).text() for task in (first, second)]
        return third.status, third.headers["Retry-After"], [text[:3] for text in texts]

    assert ask(make_app(echo, max_pending=1), work) == (503, "1", ["one", "two"])


def test_it_says_what_it_takes_and_counts():
    async def work(client):
        for body in (b'{"prompt": "one"}', b""):
            await (await client.post("/generate", data=body)).read()
        return await (await client.get("/")).json(), await (await client.get("/metrics")).text()

    about, metrics = ask(make_app(Echo()), work)
    assert about["model"] == "echo"
    assert about["options"] == ["prompt", "tokens", "temperature", "top_k", "seed"]
    assert "POST /generate" in about["routes"]
    assert 'spikeformer_requests_total{status="200"} 1' in metrics
    assert 'spikeformer_requests_total{status="400"} 1' in metrics
