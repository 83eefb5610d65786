"""Maps a network on a virtual board: partitions, places, routes, writes the data of each core."""

from __future__ import annotations

import time

from spikeformer.hardware.targets.exchange import read_job, write_result

from .machine import describe_mapping, set_up


def main() -> None:
    """Do the job in the current folder."""
    arrays, settings = read_job()
    began = time.perf_counter()
    network = set_up(arrays, settings)
    network.sim.run(float(settings["latency"]))
    facts = describe_mapping(network) | {"seconds": time.perf_counter() - began}
    network.sim.end()
    write_result({}, facts)


if __name__ == "__main__":
    main()
