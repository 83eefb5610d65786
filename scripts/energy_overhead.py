"""What counting operations costs: CPU time of forward passes with and without.

    python scripts/energy_overhead.py

The default network on random digits, on one thread; the least of many passes, taken in turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from spikeformer.cli import compose
from spikeformer.pipeline import build_network
from spikeformer.profiling import OperationCounter

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


def main() -> None:
    torch.set_num_threads(1)
    net = network()
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


if __name__ == "__main__":
    main()
