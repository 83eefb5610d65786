"""The report of a plan: an estimate, and said to be one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spikeformer.hardware import LOIHI2, lower, plan
from spikeformer.reporting import build_report
from spikeformer.runs import PlanResults, RunFolder, load_results
from tests.hardware.networks import vit
from tests.reporting.synthetic import write_run


@pytest.mark.parametrize("measured", [False, True])
def test_page_shows_chips_and_what_crosses(tmp_path, measured):
    write_run(tmp_path)
    graph = lower(vit(), (1, 6, 6)).graph
    rates = {p.name: 0.5 for p in graph.neurons} if measured else 0.5
    limits = replace(LOIHI2, cores_per_chip=2)
    found = plan(graph, limits, rates, target="Loihi 2", largest_system=1152)
    PlanResults(**vars(found)).save(RunFolder(tmp_path))
    assert load_results(tmp_path).plan.crossing == pytest.approx(found.crossing)
    page = build_report(tmp_path).read_text()
    section = page.partition('<section id="plan"')[2].partition("</section>")[0]
    for text in (
        "This is an estimate",
        f"{found.num_cores} cores on {len(found.chips)} chips",
        "1,152 chips",
        "measured in PyTorch" if measured else "is assumed",
        f"{found.crossing:,.0f}",
    ):
        assert text in section, text
    assert (tmp_path / "figures" / "plan.svg").is_file()
