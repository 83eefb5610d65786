"""Every op has a benchmark, a page and tests of its name; every benchmark is well formed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bench.client import BASELINES
from bench.registry import OURS, benchmark_modules, load_benchmark

REPOSITORY = Path(__file__).parents[2]
OPS = sorted(path.parent.name for path in (REPOSITORY / "spikeformer" / "ops").glob("*/op.py"))


@pytest.mark.parametrize("op", OPS)
def test_every_op_has_a_benchmark_a_page_and_tests(op):
    assert benchmark_modules()[op] == f"bench.ops.{op}"
    assert (REPOSITORY / "docs" / "api" / "ops" / f"{op}.md").exists()
    assert (REPOSITORY / "tests" / "ops" / op / "test_op.py").exists()


@pytest.mark.parametrize("module", benchmark_modules().values())
def test_benchmarks_are_well_formed(module):
    benchmark = load_benchmark(module)
    titles = [case.title for case in benchmark.cases]
    names = [contender.name for contender in benchmark.contenders]
    assert len(set(titles)) == len(titles)
    assert len(set(names)) == len(names)
    assert benchmark.definition in names
    assert {contender.library for contender in benchmark.contenders} <= {"spikeformer", *BASELINES}
    if module.startswith("bench.ops."):
        assert names[0] == OURS


@pytest.mark.parametrize("module", benchmark_modules().values())
def test_inputs_are_the_same_in_every_run(module):
    benchmark = load_benchmark(module)
    case = benchmark.cases[0]
    first, second = benchmark.inputs(case), benchmark.inputs(case)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_baselines_are_pinned_beside_the_torch_of_the_others():
    for path in (REPOSITORY / "scripts" / "bench" / "baselines").glob("*.txt"):
        lines = path.read_text().splitlines()
        assert lines[0] == "torch==2.13.0"
        assert lines[1].startswith(f"{path.stem}==")
