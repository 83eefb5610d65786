"""Readings of a counter at a steady rate, and one measurement at a time."""

from __future__ import annotations

import threading
import time
from array import array
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt

from spikeformer.error_handling import BackendUnavailableError, ProfilingError
from spikeformer.profiling.metering import EnergyCounter
from spikeformer.profiling.pricing.costs import Range

MAX_SAMPLES = 1 << 20
"""Readings kept; a longer recording keeps every second one, then every fourth, and so on."""


class Sampler:
    """Reads an energy counter until it is stopped or the counter fails.

    A reading that comes late is not made up for: the next one is due a period after it.

    Args:
        counter: What to read; it is closed at the end.
        rate_hz: Readings a second.
        max_samples: Readings kept.
    """

    def __init__(
        self, counter: EnergyCounter, rate_hz: float, max_samples: int = MAX_SAMPLES
    ) -> None:
        self.counter = counter
        self.failure: str | None = None
        self._period = 1 / rate_hz
        self._max_samples = max_samples
        self._times, self._energies = array("d"), array("d")
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="energy counter", daemon=True)

    def start(self) -> None:
        """Take the first reading and start the thread."""
        with ExitStack() as on_failure:
            on_failure.callback(self.counter.close)
            self._read()
            on_failure.pop_all()
        self._thread.start()

    def stop(self) -> None:
        """End the thread and take the last reading."""
        self._stopping = True
        self._thread.join()
        if self.failure is None:
            self._try_to_read()
        self.counter.close()

    @property
    def timestamps(self) -> npt.NDArray[np.float64]:
        """When readings were taken, in s since the first."""
        times = np.array(self._times)
        return times - times[:1]

    @property
    def energies(self) -> npt.NDArray[np.float64]:
        """What was read, in J since the first."""
        energies = np.array(self._energies)
        return energies - energies[:1]

    def bounds(self, joules: float, seconds: float) -> Range:
        """Return an energy in J with what the age of the counter's readings may add or take."""
        age = joules / seconds * self.counter.resolution_seconds if seconds else 0.0
        return Range(max(0.0, joules - age), joules, joules + age)

    def _run(self) -> None:
        due = time.perf_counter() + self._period
        while not self._stopping:
            now = time.perf_counter()
            if now < due:
                # Short naps, so that `stop` does not wait for a slow rate.
                time.sleep(min(due - now, 0.05))
                continue
            if not self._try_to_read():
                return
            due = max(due, now - self._period) + self._period

    def _try_to_read(self) -> bool:
        try:
            self._read()
        except BackendUnavailableError as error:
            self.failure = str(error)
            return False
        return True

    def _read(self) -> None:
        energy = self.counter.read()
        self._times.append(time.perf_counter())
        self._energies.append(energy)
        if len(self._times) >= self._max_samples:
            # The first stays: everything is counted from it.
            self._times, self._energies = self._times[::2], self._energies[::2]
            self._period *= 2


_active: list[object] = []


def claim(owner: object) -> None:
    """Make `owner` the measurement that is going on.

    Raises:
        ProfilingError: Another one is.
    """
    if _active:
        raise ProfilingError(
            "Another measurement is going on, and each would count the other's work. Leave its "
            "`with` block first, or put everything into one."
        )
    _active.append(owner)


def release(owner: object) -> None:
    """Let others measure again."""
    if owner in _active:
        _active.remove(owner)
