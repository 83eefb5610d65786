"""What an energy counter is, and a proxy for one where there is none."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Self

from spikeformer.error_handling import check_positive


class EnergyCounter(ABC):
    """Something in the machine that counts energy; use it in a `with` block.

    Attributes:
        kind: "measured", or "proxy" where the number stands for something that was not measured.
        source: What it is, for reports.
        resolution_seconds: How old a reading may be.
    """

    kind: ClassVar[Literal["measured", "proxy"]] = "measured"
    source: str
    resolution_seconds: float

    @abstractmethod
    def read(self) -> float:
        """Return the energy in J since the counter was made; it never falls.

        Raises:
            BackendUnavailableError: The counter has gone.
        """

    def close(self) -> None:  # noqa: B027 - most counters hold nothing
        """Give back what the counter holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class CpuTimeCounter(EnergyCounter):
    """CPU time of this process times an assumed power of a busy core: a proxy, not a measurement.

    It shows whether one run keeps the CPU busier than another, and says nothing about watts.

    Args:
        watts_per_core: Assumed power of a busy core in W.
    """

    kind: ClassVar[Literal["measured", "proxy"]] = "proxy"
    resolution_seconds = 0.0

    def __init__(self, watts_per_core: float = 10.0) -> None:
        self._watts = check_positive("watts_per_core", watts_per_core)
        self._start = time.process_time()
        self.source = f"CPU time of this process x {watts_per_core:g} W for a busy core (assumed)"

    def read(self) -> float:
        """Return CPU seconds since the counter was made, in J of the assumed power."""
        return (time.process_time() - self._start) * self._watts
