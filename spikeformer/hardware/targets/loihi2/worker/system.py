"""Says whether Intel's system software for the chip is installed beside Lava."""

from __future__ import annotations

from lava.utils import loihi

from spikeformer.hardware.targets.exchange import write_result

if __name__ == "__main__":
    write_result({}, {"chip": loihi.is_installed()})
