"""Measure inference one by one and through AsyncSpikingInference; write docs/benchmarks/serving.

python scripts/bench/serving.py --requests 10000 --tasks 100
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

import aiohttp  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from bench.machine import describe  # noqa: E402
from spikeformer import SpikingNetwork  # noqa: E402
from spikeformer.cli import compose  # noqa: E402
from spikeformer.concurrency import (  # noqa: E402
    AsyncSpikingInference,
    ConcurrencyConfig,
    parallel_spike_encoding,
)
from spikeformer.cross_platform import get_platform_info  # noqa: E402
from spikeformer.pipeline import build_network  # noqa: E402

STORED = REPOSITORY / "docs" / "benchmarks" / "serving"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--alone", type=int, default=1000, help="calls of one sample in each turn")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    net = build_network(compose()).eval()
    images = torch.rand(arguments.requests, 1, 8, 8)
    with torch.inference_mode():
        expected = torch.cat([net(part) for part in images.split(256)])
    turns = []
    for turn in range(arguments.turns):
        alone = one_by_one(net, images[: arguments.alone])
        batched = asyncio.run(many(net, images, expected, arguments.tasks))
        turns.append({"one_by_one": alone, **batched, "ratio": batched["per_second"] / alone})
        print(f"turn {turn + 1}: {turns[-1]}", flush=True)
    result = {
        "command": " ".join(["python scripts/bench/serving.py", *sys.argv[1:]]),
        **describe(),
        "threads": torch.get_num_threads(),
        "requests": arguments.requests,
        "tasks": arguments.tasks,
        "config": vars(ConcurrencyConfig()),
        "turns": turns,
        "encoding": encoding(),
        "http": asyncio.run(over_http(arguments.requests // 10, arguments.tasks)),
    }
    STORED.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    STORED.with_suffix(".md").write_text(page(result))
    print(STORED.with_suffix(".md").read_text())


@torch.inference_mode()
def one_by_one(net, images) -> float:
    """Return samples a second of plain calls, one sample each."""
    net(images[:1])
    start = time.perf_counter()
    for image in images:
        net(image[None])
    return len(images) / (time.perf_counter() - start)


async def many(net, images, expected, tasks: int) -> dict:
    """Send all images from so many tasks, check every result, and return the speed."""
    results: dict[str, int] = {}
    latencies, wrong = [], 0
    async with AsyncSpikingInference(net, ConcurrencyConfig()) as engine:

        async def ask(first: int) -> None:
            nonlocal wrong
            for index in range(first, len(images), tasks):
                sent = time.perf_counter()
                name = await engine.submit_inference(images[index][None])
                outputs = await engine.get_result(name)
                latencies.append(time.perf_counter() - sent)
                wrong += not torch.allclose(outputs[0], expected[index], atol=1e-4)
                results[name] = results.get(name, 0) + 1

        start = time.perf_counter()
        await asyncio.gather(*(ask(task) for task in range(tasks)))
        seconds = time.perf_counter() - start
    latencies.sort()
    return {
        "per_second": len(images) / seconds,
        "delivered": len(results),
        "delivered_twice": sum(count > 1 for count in results.values()),
        "wrong": wrong,
        "batches": engine.num_batches,
        "workers": engine.num_workers,
        "latency_ms_p50": 1e3 * latencies[len(latencies) // 2],
        "latency_ms_p99": 1e3 * latencies[len(latencies) * 99 // 100],
    }


async def over_http(requests: int, callers: int) -> dict:
    """Send .npy images to `spikeformer serve digits` in its own process; check each response."""
    net = SpikingNetwork.from_pretrained("digits")
    images = torch.rand(requests, 1, 8, 8)
    with torch.inference_mode():
        expected = net(images).mean(dim=1).argmax(dim=-1).tolist()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "spikeformer", "serve", "digits", "--port", str(port)]
    server = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    latencies, wrong = [], 0
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await started(session)

            async def ask(first: int) -> None:
                nonlocal wrong
                for index in range(first, requests, callers):
                    body = io.BytesIO()
                    np.save(body, images[index].numpy())
                    sent = time.perf_counter()
                    kind = {"Content-Type": "application/x-npy"}
                    async with session.post("/predict", data=body.getvalue(), headers=kind) as got:
                        response = await got.json()
                    latencies.append(time.perf_counter() - sent)
                    wrong += int(response["predictions"][0]["class"]) != expected[index]

            start = time.perf_counter()
            await asyncio.gather(*(ask(caller) for caller in range(callers)))
            seconds = time.perf_counter() - start
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
    latencies.sort()
    return {
        "requests": requests,
        "callers": callers,
        "per_second": requests / seconds,
        "wrong": wrong,
        "latency_ms_p50": 1e3 * latencies[len(latencies) // 2],
        "latency_ms_p99": 1e3 * latencies[len(latencies) * 99 // 100],
    }


async def started(session: aiohttp.ClientSession) -> None:
    """Wait until the server responds."""
    for _ in range(600):
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with session.get("/health") as got:
                if got.status == 200:
                    return
        await asyncio.sleep(0.1)
    raise TimeoutError("the server did not start within a minute")


def encoding(rounds: int = 7) -> dict:
    """Time encoding by one thread and by several, in turn, in a process held to one thread."""
    x = torch.rand(64, 3, 96, 96)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    times: dict[int, list[float]] = {1: [], 4: []}
    for _ in range(rounds + 1):
        for workers, seconds in times.items():
            start = time.perf_counter()
            parallel_spike_encoding(x, "poisson", 16, workers, seed=0)
            seconds.append(time.perf_counter() - start)
    torch.set_num_threads(before)
    medians = {workers: statistics.median(seconds[1:]) for workers, seconds in times.items()}
    return {
        "shape": list(x.shape),
        "timesteps": 16,
        "cores": get_platform_info().cores,
        "seconds": times,
        "ratio": medians[1] / medians[4],
    }


def http(found: dict | None) -> str:
    """Return what the page says of the server."""
    if found is None:
        return (
            "`spikeformer serve digits` in a process of its own is measured by the same command, "
            "which has not run since it does that."
        )
    return (
        f"`spikeformer serve digits` in a process of its own served {found['requests']:,} "
        f"requests of {found['callers']} callers, one image each as .npy, at "
        f"**{found['per_second']:,.0f} a second**: median {found['latency_ms_p50']:.1f} ms, 99 % "
        f"within {found['latency_ms_p99']:.1f} ms, {found['wrong']} responses wrong. "
        "Callers and server share the machine."
    )


def page(result: dict) -> str:
    """Return the page of the documentation."""
    rows = "\n".join(
        f"| {i} | {turn['one_by_one']:,.0f} | {turn['per_second']:,.0f} | {turn['ratio']:.1f}x | "
        f"{turn['batches']:,} | {turn['latency_ms_p50']:.1f} ms | {turn['latency_ms_p99']:.1f} ms |"
        for i, turn in enumerate(result["turns"], 1)
    )
    ratio = statistics.median(turn["ratio"] for turn in result["turns"])
    delivered = sum(turn["delivered"] for turn in result["turns"])
    twice = sum(turn["delivered_twice"] for turn in result["turns"])
    wrong = sum(turn["wrong"] for turn in result["turns"])
    encoded, machine = result["encoding"], result["machine"]
    config = result["config"]
    return f"""# Serving

{result["requests"]:,} requests of one digit image each, from {result["tasks"]} tasks at once,
through `spikeformer.concurrency.AsyncSpikingInference` with its default configuration, beside
plain calls of the same network, one sample each. Both run in turn in one process.

| turn | one by one, a second | batched, a second | ratio | batches | median latency | 99 % |
|---|---|---|---|---|---|---|
{rows}

Median ratio: **{ratio:.1f}x**. {delivered:,} results were delivered, {twice} of them twice, {wrong}
wrong (compared with the network's own outputs on large batches, to 1e-4).

The ratio of a turn compares both under the same load; absolute speeds depend on what else the
machine does.

A request's latency is the price: it shares a batch with up to
{config["batch_size_per_worker"] - 1} others, and waits for those before it.

## Over HTTP

{http(result.get("http"))}

## Encoding on several threads

`parallel_spike_encoding` of {tuple(encoded["shape"])} values in {encoded["timesteps"]} timesteps
("poisson"), in a process held to one thread: four workers, of which this machine runs
{encoded["cores"]} at once, take **1/{encoded["ratio"]:.2f}** of the time of one (medians of turns).
Where a process is not held to one thread, encoders use all of torch's threads by themselves.

Measured on {result["date"]} on {machine["cpu"]}, {result["threads"]} threads, torch
{result["packages"]["torch"]}, by `{result["command"]}`; the numbers are in
[serving.json](serving.json).
"""


if __name__ == "__main__":
    main()
