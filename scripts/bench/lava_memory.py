"""Measure the memory that a synapse takes when a network runs in Lava.

python scripts/bench/lava_memory.py

Two populations run in real numbers and in integers, as the stage `deploy` does. The memory is that
of this process's child, which holds the graph and makes the jobs, and of all of Lava's together, at
its largest; what they share counts once. The line through it is fitted by least squares.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spikeformer.hardware import (
    HardwareModel,
    Loihi2Deployer,
    Population,
    Projection,
    SpikeGraph,
    quantise,
)
from spikeformer.hardware.ir.operators import Operator, Sparse, TokenLinear

SAMPLES, TIMESTEPS, TOKENS, DENSITY = 8, 4, 16, 0.01
KINDS = ("dense", "token", "sparse")
INTERVAL = 0.02
"""Seconds between two looks at the memory."""


def weights(kind: str, synapses: int) -> Operator:
    """Return a connection with about so many synapses.

    Args:
        kind: "dense", every weight another; "token", one dense layer for 16 tokens; or "sparse",
            one weight in a hundred.
        synapses: Their number.
    """
    rng = np.random.default_rng(0)
    if kind == "sparse":
        size = round((synapses / DENSITY) ** 0.5)
        return Sparse(sparse.random_array((size, size), density=DENSITY, format="csr", rng=rng))
    tokens = TOKENS if kind == "token" else 1
    size = round((synapses / tokens) ** 0.5)
    return TokenLinear(rng.normal(size=(size, size)), tokens)


def execute(kind: str, synapses: int) -> None:
    """Run a network of two populations in Lava, in real numbers and in integers."""
    operator = weights(kind, synapses)
    receivers, senders = operator.shape
    populations = [
        Population("in", (senders,), "spikes"),
        Population("out", (receivers,), decay=0.5, depth=1),
    ]
    projection = Projection("in", "out", operator)
    graph = SpikeGraph(TIMESTEPS, {p.name: p for p in populations}, (projection,))
    inputs = {"in": np.ones((SAMPLES, TIMESTEPS, senders), np.uint8)}
    deployed = Loihi2Deployer().deploy(HardwareModel("loihi2", graph, integers=quantise(graph)))
    deployed.execute_float(inputs)
    deployed.execute(inputs)


def held(process: psutil.Process) -> int:
    """Return the bytes that a process and all that it started hold together."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total


def peak(kind: str, synapses: int) -> int:
    """Return the most bytes that running a network takes."""
    process = multiprocessing.get_context("spawn").Process(target=execute, args=(kind, synapses))
    process.start()
    watched, most = psutil.Process(process.pid), 0
    while process.is_alive():
        most = max(most, held(watched))
        time.sleep(INTERVAL)
    if process.exitcode:
        raise SystemExit(f"The run of {synapses:,} synapses failed.")
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, nargs="+", default=[2, 8, 16], help="of synapses")
    arguments = parser.parse_args()
    sizes = [million * 1_000_000 for million in arguments.millions]
    for kind in KINDS:
        peaks = [peak(kind, size) for size in sizes]
        slope, rest = np.polyfit(sizes, peaks, 1)
        points = ", ".join(f"{most / 2**20:,.0f} MiB" for most in peaks)
        print(f"{kind}: {slope:.1f} bytes a synapse and {rest / 2**20:,.0f} MiB ({points})")


if __name__ == "__main__":
    main()
