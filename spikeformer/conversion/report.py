"""What became of every module of a converted network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.tracing.plan import Plan
from spikeformer.i18n import t

CONVERTED, FLOATING, REFUSED, UNUSED = "converted", "floating point", "refused", "no arithmetic"


@dataclass(frozen=True)
class ModuleReport:
    """One module.

    Attributes:
        path: Its path in the network; "" is the network itself.
        type: Its class.
        status: "converted" (its products see spikes), "floating point", "refused" (stays floating
            point because `strict=False`), or "no arithmetic" of its own.
        reason: What that means for it.
    """

    path: str
    type: str
    status: str
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
        plan: Plan,
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

    def count(self, status: str) -> int:
        """Return how many modules have a status."""
        return sum(module.status == status for module in self.modules)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [module for module in self.modules if module.status != UNUSED]
        labels = _status_labels()
        cells = [(row.path or "(root)", row.type, labels[row.status]) for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            + f"  {row.reason}"
            for line, row in zip(cells, rows, strict=True)
        ]
        counts = ", ".join(f"{self.count(status)} {label}" for status, label in labels.items())
        head = t(
            "conversion.summary",
            counts=counts,
            populations=self.num_sites,
            encoding=self.coding.encoding,
            neuron=self.coding.neuron_model,
            timesteps=self.timesteps,
        )
        return "\n".join([head, *lines])


def _status_labels() -> dict[str, str]:
    """Return the statuses of modules that compute, in the current locale."""
    return {
        CONVERTED: t("conversion.status_converted"),
        FLOATING: t("conversion.status_floating"),
        REFUSED: t("conversion.status_refused"),
    }


def _status(plan: Plan, path: str) -> tuple[str, str]:
    products = [op for op in plan.operations.values() if op.module == path]
    floating, refused = plan.floating.get(path, []), plan.refused.get(path, [])
    kept = t("conversion.on_the_rate", names=", ".join(floating)) if floating else ""
    if refused:
        return REFUSED, t("conversion.stays_floating", names=", ".join(refused))
    spiking = [op for op in products if any(op.sites.values())]
    if spiking:
        names = ", ".join(dict.fromkeys(op.function for op in spiking))
        if kept:
            return CONVERTED, t("conversion.on_events_and_floating", names=names, kept=kept)
        return CONVERTED, t("conversion.on_events", names=names)
    if products:
        return FLOATING, t("conversion.takes_input")
    if floating:
        return FLOATING, kept
    return UNUSED, ""
