"""What counting operations and sampling power cost, in CPU time.

    python scripts/energy_overhead.py

Counting: forward passes of the default network on random digits with and without, on one thread;
the least of many, taken in turns. Sampling: what threads beside the main one take while it works.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from spikeformer.cli import compose
from spikeformer.pipeline import build_network
from spikeformer.profiling import OperationCounter, PowerMonitor

BATCHES, ROUNDS = (1, 16, 64, 256), 5


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    net = build_network(compose()).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_var.fill_(0.05)  # untrained, hardly anything would fire
    return net


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def count(net: torch.nn.Module) -> None:
    print("| batch | firing rate | forward, ms | counted, ms | overhead |\n|---|---|---|---|---|")
    for batch in BATCHES:
        x = torch.rand(batch, 1, 8, 8)
        plain, counted, passes = [], [], max(6, 1024 // batch)
        with torch.no_grad():
            for _ in range(ROUNDS):
                net(x)
                plain += [seconds(lambda x=x: net(x)) for _ in range(passes)]
                with OperationCounter(net) as counter:
                    net(x)
                    counted += [seconds(lambda x=x: net(x)) for _ in range(passes)]
        rate = counter.works[0].counts().firing_rate
        without, with_ = min(plain) * 1e3, min(counted) * 1e3
        print(f"| {batch} | {rate:.0%} | {without:.1f} | {with_:.1f} | {with_ / without - 1:.0%} |")


def besides(net: torch.nn.Module) -> float:
    """CPU time of all other threads for each second of the main one, which works."""
    x = torch.rand(64, 1, 8, 8)
    main, everything = time.thread_time(), time.process_time()
    for _ in range(60):
        net(x)
    main, everything = time.thread_time() - main, time.process_time() - everything
    return everything / main - 1


@torch.no_grad()
def sample(net: torch.nn.Module) -> None:
    besides(net)
    alone = besides(net)
    with PowerMonitor("cpu_time", sampling_rate_hz=1000).record() as recording:
        sampled = besides(net)
    reached = recording.analyze()
    print(
        f"Sampling at {reached.rate_hz:.0f} Hz (jitter {reached.jitter_ms:.2f} ms) took "
        f"{sampled - alone:.1%} of the main thread's CPU time."
    )


def main() -> None:
    torch.set_num_threads(1)
    net = network()
    count(net)
    sample(net)


if __name__ == "__main__":
    main()
