from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.neurons import LifNeuron
from spikeformer.profiling import (
    PRECISIONS,
    TECHNOLOGIES,
    Chip,
    Cmos45,
    Cost,
    EnergyProfiler,
    OperationCounts,
    Range,
    ann_equivalent,
    break_even,
    estimate,
    quantized,
)
from spikeformer.profiling.figures import plot_break_even


def counts_of(currents: torch.Tensor) -> OperationCounts:
    torch.manual_seed(0)
    model = nn.Sequential(LifNeuron(threshold=1.0), nn.Linear(40, 30))
    with torch.no_grad(), EnergyProfiler().measure() as recording:
        model(currents)
    return recording.counts


def currents(fired: int) -> torch.Tensor:
    """Let `fired` of the 40 neurons fire in each of 4 timesteps, and the others never."""
    x = torch.zeros(3, 4, 40)
    x[..., :fired] = 2.0
    return x


def chip(operation: Range) -> Chip:
    return Chip("mine", Cost(operation, "here"), neuron_update=Cost(Range.exactly(1.0), "here"))


def test_spikes_that_are_scaled_are_those_of_a_network_that_fires_so_often():
    assert counts_of(currents(5)).with_spikes(3.0) == counts_of(currents(15))


@pytest.mark.parametrize("technology", [Cmos45(), *TECHNOLOGIES.values()], ids=lambda x: x.name)
def test_at_the_rate_found_the_energies_are_equal(technology):
    counts = counts_of(currents(4))
    (found,) = break_even(counts, [technology])
    priced = Cmos45(PRECISIONS["int8"]) if technology.name == "simulation" else technology
    baseline = estimate(ann_equivalent(counts), Cmos45(quantized(3))).energy_uj
    assert (found.rate, found.bits, found.baseline) == (0.1, 3, baseline)
    assert found.energy == estimate(counts, priced).energy_uj
    if found.even is None:
        assert found.silent.value >= baseline.value
    elif found.even < 2:
        at = estimate(counts.with_spikes(found.even / found.rate), priced).energy_uj
        assert at.value == pytest.approx(baseline.value, rel=1e-4)
        assert found.energy_at(found.even) == pytest.approx(baseline.value, rel=1e-4)


def test_it_wins_below_the_rate_and_loses_above():
    rates = {}
    for fired in (1, 39):
        counts = counts_of(currents(fired))
        (found,) = break_even(counts, [chip(Range.exactly(3.0))])
        rates[fired] = found.even
        assert found.wins == (found.rate < found.even)
    assert rates[1] == pytest.approx(rates[39], rel=1e-4)  # whatever the rate today is
    assert counts_of(currents(1)).firing_rate < rates[1] < counts_of(currents(39)).firing_rate


def test_the_sentence_says_what_is_known():
    counts = counts_of(currents(4))
    wins, unsure, never, always = (
        break_even(counts, [technology])[0]
        for technology in (
            chip(Range.exactly(3.0)),
            chip(Range(0.0, 3.0, 5000.0)),
            Chip("mine", Cost(Range.exactly(1.0), ""), Cost(Range.exactly(1e6), "")),
            chip(Range.exactly(0.01)),
        )
    )
    assert wins.sentence().startswith("On mine, spikes win: ")
    assert f"a firing rate of {wins.even:.2%} (it is 10.00%)" in wins.sentence()
    assert "the other way round" not in wins.sentence()
    assert "the other way round" in unsure.sentence()
    assert unsure.even_low < unsure.even < unsure.even_high
    assert "spikes do not win" in never.sentence()
    assert "not at any firing rate" in never.sentence()
    assert always.sentence().endswith("; at any firing rate.")


def test_silence_and_anns_have_none():
    assert break_even(counts_of(currents(0))) == []
    with torch.no_grad(), EnergyProfiler().measure() as recording:
        nn.Linear(3, 3)(torch.rand(2, 3))
    assert break_even(recording.counts) == []


def test_the_figure_has_a_line_a_name_and_a_mark_for_each_technology():
    found = break_even(counts_of(currents(4)))
    axes = plot_break_even(found).axes[0]
    names = [text.get_text() for text in axes.texts]
    assert ", ".join(names[:-1]).split(", ") == list(TECHNOLOGIES)
    assert names[-1] == "its ANN, 3 bits"
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    marked = {(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots}
    assert marked == {(each.rate, each.energy.value) for each in found}
