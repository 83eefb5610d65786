"""A tree of counter files as Linux shows them, to be read where there is no counter."""

from __future__ import annotations

from pathlib import Path


class FakeRapl:
    """Packages with cores and memory, each with a counter that tests set."""

    RANGE_UJ = 262_143_328_850

    def __init__(self, root: Path, packages: int = 1, dram: bool = True) -> None:
        self.root = root / "intel-rapl"
        self.counters: dict[str, Path] = {}
        for number in range(packages):
            package = self.root / f"intel-rapl:{number}"
            self._domain(package, f"package-{number}")
            self._domain(package / f"intel-rapl:{number}:0", "core")
            if dram:
                self._domain(package / f"intel-rapl:{number}:1", "dram", f"dram-{number}")

    def _domain(self, folder: Path, name: str, key: str | None = None) -> None:
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{self.RANGE_UJ}\n")
        self.counters[key or name] = folder / "energy_uj"
        self.set(key or name, 1_000_000)

    def set(self, name: str, energy_uj: int) -> None:
        """Let a counter show so many µJ, in place as the kernel does."""
        self.counters[name].write_text(f"{energy_uj}\n")
