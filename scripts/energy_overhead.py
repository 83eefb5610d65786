"""What counting operations and sampling power cost the program that is watched.

    python scripts/energy_overhead.py

Counting: CPU time of forward passes with and without, on one thread, taken in turns; the least of
many. Sampling: time of the same work with and without a thread that samples, taken in turns;
medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch

from spikeformer.cli import compose
from spikeformer.pipeline import build_network
from spikeformer.profiling import OperationCounter, PowerMonitor

ROUNDS, SECONDS = 5, 2.0

NETWORKS = {
    "default, 8x8": ((), (1, 8, 8), (1, 16, 64, 256)),
    "spiking_vit_tiny, 32x32": (("model=spiking_vit_tiny", "data=cifar10"), (3, 32, 32), (1, 16)),
    "spiking_vit_small, 32x32": (("model=spiking_vit_small", "data=cifar10"), (3, 32, 32), (1, 8)),
}
"""Overrides of the configuration, shape of an image and batches by the network's name."""


def network(*overrides: str) -> torch.nn.Module:
    torch.manual_seed(0)
    net = build_network(compose(*overrides)).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_var.fill_(0.05)  # untrained, hardly anything would fire
    return net


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def count() -> None:
    print("| network | batch | firing rate | forward, ms | counted, ms | overhead |")
    print("|---|---|---|---|---|---|")
    for name, (overrides, shape, batches) in NETWORKS.items():
        net = network(*overrides)
        for batch in batches:
            x = torch.rand(batch, *shape)
            plain, counted = [], []
            net(x)
            passes = max(3, min(200, int(SECONDS / ROUNDS / seconds(partial(net, x)))))
            for _ in range(ROUNDS):
                net(x)
                plain += [seconds(partial(net, x)) for _ in range(passes)]
                with OperationCounter(net) as counter:
                    net(x)
                    counted += [seconds(partial(net, x)) for _ in range(passes)]
            rate = counter.works[0].counts().firing_rate
            without, with_ = min(plain) * 1e3, min(counted) * 1e3
            print(
                f"| {name} | {batch} | {rate:.0%} | {without:.1f} | {with_:.1f} "
                f"| {with_ / without - 1:.0%} |"
            )


def sample() -> None:
    net, x = network(), torch.rand(64, 1, 8, 8)
    monitor = PowerMonitor("cpu_time", sampling_rate_hz=1000)
    ratios, rates = [], []
    for _ in range(40):
        took = []
        for watched in (False, True):
            with monitor.record() if watched else nullcontext() as recording:
                start = time.perf_counter()
                for _ in range(8):
                    net(x)
                took.append(time.perf_counter() - start)
        ratios.append(took[1] / took[0] - 1)
        rates.append(recording.analyze().rate_hz)
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"Sampling at {statistics.median(rates):.0f} Hz took {middle:.1%} of the time of the "
        f"watched program (quartiles {low:.1%} to {high:.1%} of {len(ratios)} pairs)."
    )


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    count()
    sample()


if __name__ == "__main__":
    main()
