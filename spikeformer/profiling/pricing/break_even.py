"""At which firing rate a spiking network takes as much energy as its own quantised ANN."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from spikeformer.i18n import t
from spikeformer.profiling.counting.counts import OperationCounts
from spikeformer.profiling.pricing.baselines import ann_equivalent, equivalent_bits
from spikeformer.profiling.pricing.cmos import PRECISIONS, Cmos45, quantized
from spikeformer.profiling.pricing.costs import Range, energy_text
from spikeformer.profiling.pricing.estimate import estimate
from spikeformer.profiling.pricing.technology import TECHNOLOGIES, Technology


@dataclass(frozen=True)
class BreakEven:
    """A spiking network on one technology beside its ANN in few bits on 45 nm logic.

    Attributes:
        technology: What runs the spiking network.
        rate: Its firing rate, spikes for each neuron and timestep.
        energy: Its energy for a sample in µJ.
        silent: What it would take if no neuron fired, in µJ.
        baseline: What the ANN takes, in µJ.
        bits: Bits of the ANN's activations; its weights have 8.
        even: Firing rate at which the two take the same; above 1 where spikes win at any rate, None
            where even silence costs more.
        even_low: The same if the network's upper bound meets the ANN's lower one.
        even_high: The same if the network's lower bound meets the ANN's upper one.
    """

    technology: str
    rate: float
    energy: Range
    silent: Range
    baseline: Range
    bits: int
    even: float | None
    even_low: float | None
    even_high: float | None

    @property
    def wins(self) -> bool:
        """Whether the spiking network takes less."""
        return self.energy.value < self.baseline.value

    @property
    def is_certain(self) -> bool:
        """Whether the bounds of the two do not overlap."""
        low, high = (self.energy, self.baseline) if self.wins else (self.baseline, self.energy)
        return low.high < high.low

    def energy_at(self, rate: float) -> float:
        """Return the energy for a sample at another firing rate, in µJ; linear in the spikes."""
        caused = self.energy.value - self.silent.value
        return self.silent.value + caused * rate / self.rate

    def sentence(self) -> str:
        """Say whether spikes win here, and at which firing rate they would draw level."""
        if self.even is None:
            level = t("profiling.level_never", silent=energy_text(self.silent.value))
        elif self.even >= 1:
            level = t("profiling.level_always")
        else:
            level = t("profiling.level_at", even=self.even, rate=self.rate)
        parts = [
            t(
                "profiling.spikes_win" if self.wins else "profiling.spikes_lose",
                technology=self.technology,
                energy=energy_text(self.energy.value),
                bits=self.bits,
                baseline=energy_text(self.baseline.value),
            ),
            level,
        ]
        if not self.is_certain:
            parts.append(t("profiling.bounds_overlap"))
        return t("profiling.sentences_joined", first=parts[0], second=" ".join(parts[1:]))


def break_even(counts: OperationCounts, technologies: Iterable[Technology] = ()) -> list[BreakEven]:
    """Compare a spiking network with its own quantised ANN on each technology.

    The ANN is the network's layers run once on real values, with 8-bit weights and activations of
    `ceil(log2(T + 1))` bits, in 45 nm. The spiking network has 8-bit weights there too; on a chip
    it takes what was published of it. What spikes cause is taken to go along with the firing rate.

    Args:
        counts: What the spiking network did.
        technologies: What runs it; none takes 45 nm logic and all chips.

    Returns:
        One comparison for each technology; none if no neuron fired.
    """
    rate = counts.firing_rate
    if not rate:
        return []
    bits = equivalent_bits(counts.timesteps)
    baseline = estimate(ann_equivalent(counts), Cmos45(quantized(bits))).energy_uj
    found = []
    for technology in technologies or TECHNOLOGIES.values():
        if isinstance(technology, Cmos45):
            technology = Cmos45(PRECISIONS["int8"], technology.name)
        found.append(_on(technology, counts, rate, baseline, bits))
    return found


def even_factor(
    counts: OperationCounts, technology: Technology, baseline_uj: float
) -> float | None:
    """Return how many times its spikes a network could fire for the energy of a baseline in µJ.

    None if even silence costs more; infinite if spikes cost nothing.
    """
    silent = estimate(counts.with_spikes(0.0), technology).energy_uj.value
    caused = estimate(counts, technology).energy_uj.value - silent
    if silent >= baseline_uj:
        return None
    return (baseline_uj - silent) / caused if caused else float("inf")


def _on(
    technology: Technology, counts: OperationCounts, rate: float, baseline: Range, bits: int
) -> BreakEven:
    def energy(rate_: float) -> Range:
        return estimate(counts.with_spikes(rate_ / rate), technology).energy_uj

    return BreakEven(
        technology=technology.name,
        rate=rate,
        energy=energy(rate),
        silent=energy(0.0),
        baseline=baseline,
        bits=bits,
        even=_meets(lambda x: energy(x).value, baseline.value),
        even_low=_meets(lambda x: energy(x).high, baseline.low),
        even_high=_meets(lambda x: energy(x).low, baseline.high),
    )


def _meets(energy: Callable[[float], float], level: float) -> float | None:
    """Return the rate at which a growing energy reaches a level, 2 if none up to that does."""
    low, high = 0.0, 2.0
    if energy(low) >= level:
        return None
    if energy(high) <= level:
        return high
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if energy(middle) < level else (low, middle)
    return high
