"""What became of every module of a converted network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.tracing.plan import ConversionPlan
from spikeformer.i18n import t


class ModuleStatus(StrEnum):
    """What became of a module."""

    CONVERTED = "converted"
    """Its products see spikes."""
    FLOATING = "floating"
    """It stays in floating point."""
    REFUSED = "refused"
    """It has no spiking form, and stays in floating point because `strict=False`."""
    UNUSED = "unused"
    """It has no arithmetic of its own."""

    @property
    def label(self) -> str:
        """Its name in the current locale; an unused module is never shown."""
        return "" if self is ModuleStatus.UNUSED else t(f"conversion.status_{self.value}")


@dataclass(frozen=True)
class ModuleReport:
    """One module.

    Attributes:
        path: Its path in the network; "" is the network itself.
        type: Its class.
        status: What became of it.
        reason: What that means for it.
    """

    path: str
    type: str
    status: ModuleStatus
    reason: str


@dataclass(frozen=True)
class ConversionReport:
    """What became of every module; print it for a table.

    Attributes:
        modules: All of them, in the network's order.
        num_sites: Populations of neurons.
        coding: How they encode activations.
        timesteps: Timesteps of a call.
        trade_off: Timesteps and levels against agreement and events, where it was measured; see
            `ConversionPipeline`.
        choice: The entry of `trade_off` that was chosen, and why.
    """

    modules: list[ModuleReport]
    num_sites: int
    coding: Coding
    timesteps: int
    trade_off: list[dict[str, Any]] = field(default_factory=list)
    choice: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        plan: ConversionPlan,
        types: Mapping[str, str],
        coding: Coding,
        timesteps: int,
        trade_off: list[dict[str, Any]],
        choice: dict[str, Any],
    ) -> ConversionReport:
        """Sort the modules of a plan."""
        populations = [site for site in plan.sites.values() if site.same_as is None]
        modules = [ModuleReport(path, kind, *_status(plan, path)) for path, kind in types.items()]
        return cls(modules, len(populations), coding, timesteps, trade_off, choice)

    def count(self, status: ModuleStatus) -> int:
        """Return how many modules have a status."""
        return sum(module.status == status for module in self.modules)

    @property
    def computing(self) -> list[ModuleReport]:
        """The modules with arithmetic of their own."""
        return [module for module in self.modules if module.status is not ModuleStatus.UNUSED]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        rows = self.computing
        cells = [(row.path or "(root)", row.type, row.status.label) for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            + f"  {row.reason}"
            for line, row in zip(cells, rows, strict=True)
        ]
        shown = [status for status in ModuleStatus if status is not ModuleStatus.UNUSED]
        counts = ", ".join(f"{self.count(status)} {status.label}" for status in shown)
        head = t(
            "conversion.summary",
            counts=counts,
            populations=self.num_sites,
            encoding=self.coding.encoding,
            neuron=self.coding.neuron_model,
            timesteps=self.timesteps,
        )
        return "\n".join([head, *lines])


def _status(plan: ConversionPlan, path: str) -> tuple[ModuleStatus, str]:
    products = [op for op in plan.operations.values() if op.module == path]
    floating, refused = plan.floating.get(path, []), plan.refused.get(path, [])
    kept = t("conversion.on_the_rate", names=", ".join(floating)) if floating else ""
    if refused:
        return ModuleStatus.REFUSED, t("conversion.stays_floating", names=", ".join(refused))
    spiking = [op for op in products if any(op.sites.values())]
    if spiking:
        names = ", ".join(dict.fromkeys(op.function for op in spiking))
        if kept:
            return ModuleStatus.CONVERTED, t(
                "conversion.on_events_and_floating", names=names, kept=kept
            )
        return ModuleStatus.CONVERTED, t("conversion.on_events", names=names)
    if products:
        return ModuleStatus.FLOATING, t("conversion.takes_input")
    if floating:
        return ModuleStatus.FLOATING, kept
    return ModuleStatus.UNUSED, ""
