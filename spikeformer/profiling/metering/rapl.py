"""RAPL: the energy counters of CPU packages and their memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from spikeformer.error_handling import BackendUnavailableError, MissingDependencyError
from spikeformer.i18n import t
from spikeformer.profiling.metering.counter import EnergyCounter


@dataclass
class _Domain:
    """One counter file."""

    path: Path
    descriptor: int
    range_uj: int
    last_uj: int
    total_uj: int = 0

    def read(self) -> int:
        """Return µJ since the start. A counter that fell has begun anew at its range."""
        try:
            now = int(os.pread(self.descriptor, 32, 0))
        except (OSError, ValueError) as error:
            raise BackendUnavailableError(
                t("profiling.rapl_gone", path=self.path, reason=error)
            ) from error
        step = now - self.last_uj
        self.total_uj += step if step >= 0 else step + self.range_uj
        self.last_uj = now
        return self.total_uj


class RaplCounter(EnergyCounter):
    """Energy of all CPU packages and of their memory, for the whole machine.

    Cores and graphics are parts of a package and are not added to it. A counter that wraps around
    is corrected, as long as it is read once in each round (about an hour at 70 W).

    Raises:
        MissingDependencyError: pyJoules is not installed.
        BackendUnavailableError: The machine has no such counter, or this user may not read it.

    Source: Intel Software Developer's Manual, volume 3, section on RAPL; pyJoules finds the
    counters.
    """

    resolution_seconds = 0.001

    def __init__(self) -> None:
        self._domains: list[_Domain] = []
        try:
            for path in _counter_files():
                self._domains.append(_open(path))
        except BaseException:
            self.close()
            raise
        names = ", ".join(_label(domain.path) for domain in self._domains)
        self.source = f"RAPL counters of this machine ({names})"

    def read(self) -> float:
        """Return the energy in J since the counter was made, of all domains."""
        return sum(domain.read() for domain in self._domains) / 1e6

    def close(self) -> None:
        """Close the counter files."""
        while self._domains:
            os.close(self._domains.pop().descriptor)


def _counter_files() -> list[Path]:
    """Return the folders of packages and their memory, as pyJoules finds them."""
    try:
        from pyJoules.device import rapl_device
        from pyJoules.exception import NoSuchDeviceError
    except ImportError as error:
        raise MissingDependencyError(t("profiling.needs_pyjoules")) from error
    root = Path(rapl_device.RAPL_API_DIR)
    try:
        packages = rapl_device.RaplDevice.available_package_domains()
        memories = rapl_device.RaplDevice.available_dram_domains()
    except (NoSuchDeviceError, OSError):
        packages, memories = [], []
    if not packages:
        raise BackendUnavailableError(t("profiling.no_rapl", root=root))
    found = [root / f"intel-rapl:{domain.socket}" for domain in packages]
    for domain in memories:
        parts = (root / f"intel-rapl:{domain.socket}").glob("intel-rapl:*:*")
        found += [part for part in parts if (part / "name").read_text().strip() == "dram"]
    return found


def _open(folder: Path) -> _Domain:
    path = folder / "energy_uj"
    try:
        range_uj = int((folder / "max_energy_range_uj").read_text())
        descriptor = os.open(path, os.O_RDONLY)
    except (OSError, ValueError) as error:
        raise BackendUnavailableError(
            t("profiling.rapl_unreadable", path=path, reason=error)
        ) from error
    domain = _Domain(path, descriptor, range_uj, 0)
    domain.read()
    domain.total_uj = 0
    return domain


def _label(path: Path) -> str:
    name = (path.parent / "name").read_text().strip()
    return name if name.startswith("package") else f"{name} of {path.parent.parent.name}"
