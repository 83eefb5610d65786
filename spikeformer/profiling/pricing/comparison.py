"""Networks side by side: ANN, quantised, spiking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from spikeformer.i18n import format_number, t
from spikeformer.profiling.counting.counts import OperationCounts
from spikeformer.profiling.pricing.baselines import ann_equivalent, equivalent_bits
from spikeformer.profiling.pricing.break_even import even_factor
from spikeformer.profiling.pricing.cmos import PRECISIONS, Cmos45, Precision, quantized
from spikeformer.profiling.pricing.costs import Range, energy_text
from spikeformer.profiling.pricing.estimate import estimate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ComparisonRow:
    """One network in one number format.

    Attributes:
        name: What to call it.
        network: "ANN", "QNN" (quantised) or "SNN".
        precision: Number format, such as "fp32" or "int3".
        energy_uj: Modelled energy of one sample in µJ.
        breakdown: Its parts by purpose.
        macs: Multiply-accumulates of one sample without a zero in them.
        acs: Accumulates of one sample.
        timesteps: Timesteps of one sample.
        firing_rate: Spikes per neuron and timestep; None without neurons.
    """

    name: str
    network: str
    precision: str
    energy_uj: Range
    breakdown: dict[str, Range]
    macs: float
    acs: float
    timesteps: int
    firing_rate: float | None


@dataclass(frozen=True)
class ComparisonReport:
    """Networks with their baselines; print it, draw it, or take it to pandas.

    Attributes:
        rows: One for each network and number format.
        break_even: For each spiking network the factor on its number of spikes at which it takes as
            much energy as the quantised network; None if even silence costs more.
        source: Publications behind the numbers.
        kind: Always "estimate".
    """

    rows: tuple[ComparisonRow, ...]
    break_even: dict[str, float | None]
    source: str
    kind: str = "estimate"

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each network and number format; energies in µJ."""
        import pandas as pd

        return pd.DataFrame([_flat(row) for row in self.rows])

    def plot(self) -> Figure:
        """Draw the energies as bars, stacked by purpose, with their bounds."""
        from spikeformer.profiling.figures import plot_comparison

        return plot_comparison(self.rows)

    def verdict(self) -> list[str]:
        """Return a sentence for each spiking network: does it win, and what would make it."""
        sentences = []
        for row in self.rows:
            if row.name not in self.break_even or row.precision != "int8":
                continue
            baseline = min(
                (other for other in self.rows if other.network == "QNN"),
                key=lambda other: other.energy_uj.value,
            )
            sentences.append(_verdict(row, baseline, self.break_even[row.name]))
        return sentences

    def to_html(self) -> str:
        """Return the table as HTML."""
        head = "".join(f"<th>{escape(name)}</th>" for name in _headings())
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(row)) + "</tr>"
            for row in self.rows
        )
        notes = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.verdict())
        source = f"<p>{escape(self._source_text())}</p>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}{source}"

    _repr_html_ = to_html

    def __str__(self) -> str:
        cells = [_headings(), *(_cells(row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in cells
        ]
        return "\n".join([*lines, *self.verdict(), self._source_text()])

    def _source_text(self) -> str:
        return f"{t('profiling.estimates')} {self.source}"


def compare_counts(networks: Mapping[str, OperationCounts]) -> ComparisonReport:
    """Compare what networks did for a sample, as `EnergyProfiler.compare` does with networks.

    Args:
        networks: Counts by name, of ANNs, of spiking networks, or of both.
    """
    spiking = {name: counts for name, counts in networks.items() if _spikes(counts)}
    anns = {name: counts for name, counts in networks.items() if name not in spiking}
    baselines = anns or {
        _ann_of(name, len(spiking)): ann_equivalent(counts) for name, counts in spiking.items()
    }
    bits = equivalent_bits(max((counts.timesteps for counts in spiking.values()), default=255))
    rows = [_row(name, "ANN", counts, PRECISIONS["fp32"]) for name, counts in baselines.items()]
    rows += [_row(name, "QNN", counts, quantized(bits)) for name, counts in baselines.items()]
    for name, counts in spiking.items():
        rows += [_row(name, "SNN", counts, PRECISIONS[format_]) for format_ in ("fp32", "int8")]
    int8 = Cmos45(PRECISIONS["int8"])
    quantised = [row.energy_uj.value for row in rows if row.network == "QNN"]
    break_even = {
        name: even_factor(counts, int8, min(quantised)) if quantised else None
        for name, counts in spiking.items()
    }
    return ComparisonReport(tuple(rows), break_even, Cmos45().source)


def _ann_of(name: str, networks: int) -> str:
    return t("profiling.its_ann") if networks == 1 else t("profiling.ann_of", name=name)


def _spikes(counts: OperationCounts) -> bool:
    return any(layer.neuron_updates or layer.synaptic_operations for layer in counts.layers)


def _row(name: str, network: str, counts: OperationCounts, precision: Precision) -> ComparisonRow:
    result = estimate(counts, Cmos45(precision))
    return ComparisonRow(
        name=name,
        network=network,
        precision=precision.name,
        energy_uj=result.energy_uj,
        breakdown=result.breakdown,
        macs=counts.per_sample("macs"),
        acs=counts.per_sample("acs"),
        timesteps=counts.timesteps,
        firing_rate=counts.firing_rate,
    )


def _verdict(row: ComparisonRow, baseline: ComparisonRow, factor: float | None) -> str:
    share = (
        row.energy_uj.value / baseline.energy_uj.value if baseline.energy_uj.value else float("inf")
    )
    start = t(
        "profiling.share",
        name=row.name,
        share=share,
        baseline=baseline.name,
        bits=baseline.precision.removeprefix("int"),
    )
    if factor is None:
        return t("profiling.never_even", start=start)
    if row.firing_rate is None:
        return t("profiling.even_at_factor", start=start, factor=factor)
    even, rate = factor * row.firing_rate, row.firing_rate
    return t("profiling.even_at_rate", start=start, even=even, rate=rate)


def _flat(row: ComparisonRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "network": row.network,
        "precision": row.precision,
        "energy_uj": row.energy_uj.value,
        "low_uj": row.energy_uj.low,
        "high_uj": row.energy_uj.high,
        **{f"{purpose}_uj": part.value for purpose, part in row.breakdown.items()},
        "macs": row.macs,
        "acs": row.acs,
        "timesteps": row.timesteps,
        "firing_rate": row.firing_rate,
        "kind": "estimate",
    }


def _headings() -> list[str]:
    return [
        t("profiling.head_network"),
        "",
        t("profiling.head_format"),
        "T",
        t("profiling.head_rate"),
        t("profiling.head_energy"),
        t("profiling.head_from"),
        t("profiling.head_to"),
        t("profiling.head_compute"),
    ]


def _cells(row: ComparisonRow) -> list[str]:
    energy = row.energy_uj
    return [
        row.name,
        row.network,
        row.precision,
        str(row.timesteps),
        "" if row.firing_rate is None else format_number(row.firing_rate, ".1%"),
        *map(energy_text, (energy.value, energy.low, energy.high, row.breakdown["compute"].value)),
    ]
