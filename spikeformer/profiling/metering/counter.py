"""What an energy counter is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Self


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
