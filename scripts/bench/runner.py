"""Runs a benchmark: outputs and memory first, then paired times.

Contenders take turns (ours, a baseline, ours, the next, ...), each in a process of its own, so a
ratio compares two turns that followed each other on the same machine.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.client import Worker, WorkerError
from bench.compare import complaint, disagreement
from bench.registry import OURS, Benchmark, Case, Contender, load_benchmark
from bench.summary import paired_ratios, summarize


def _say(line: str) -> None:
    print(line, flush=True)  # progress, also where the output is a file


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Args:
        rounds: Turns that a contender gets, each paired with one of ours.
        turn_seconds: How long a turn repeats its step; at least one step runs.
        quick: Only the first case of each device.
        baselines: Whose contenders run beside ours; None means all.
        devices: Devices to run on.
        report: Called with every line of progress.
    """

    rounds: int = 9
    turn_seconds: float = 0.1
    quick: bool = False
    baselines: Collection[str] | None = None
    devices: Collection[str] = ("cpu", "cuda")
    report: Callable[[str], None] = _say


@dataclass
class _Runner:
    """A contender that is ready to be timed."""

    worker: Worker
    row: dict[str, Any]
    outputs: dict[str, torch.Tensor]
    turns: list[float] = field(default_factory=list)


def run_benchmark(module: str, plan: Plan) -> dict[str, Any]:
    """Run the cases of a module's benchmark and return the result, ready for JSON."""
    benchmark = load_benchmark(module)
    versions: dict[str, dict[str, str]] = {}
    cases = [_run_case(module, benchmark, case, plan, versions) for case in benchmark.cases]
    return {
        "benchmark": module.rpartition(".")[2],
        "title": benchmark.title,
        "description": benchmark.description,
        "definition": benchmark.definition,
        "command": shlex.join(["python", "scripts/bench/run.py", *sys.argv[1:]]),
        **machine.describe(),
        "threads": torch.get_num_threads(),
        "rounds": plan.rounds,
        "baselines": versions,
        "cases": cases,
    }


def _run_case(
    module: str, benchmark: Benchmark, case: Case, plan: Plan, versions: dict[str, dict[str, str]]
) -> dict[str, Any]:
    plan.report(f"{benchmark.title}: {case.title}")
    rows = {c.name: {"contender": c.name, "library": c.library} for c in benchmark.contenders}
    obstacle = _case_obstacle(benchmark, case, plan)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not obstacle:
            torch.save(benchmark.inputs(case), folder / "inputs.pt")
        ready: dict[str, _Runner] = {}
        for contender in benchmark.contenders:
            row = rows[contender.name]
            try:
                if reason := obstacle or _contender_obstacle(contender, case, plan):
                    raise WorkerError(reason)
                ready[contender.name] = _prepare(module, case, contender, row, folder, stack)
                versions[contender.library] = row.pop("versions")
            except WorkerError as error:
                row["not_measured"] = str(error)
            if not obstacle:
                plan.report(f"  {_progress(row)}")
        _keep_those_that_agree(ready, benchmark, case)
        _time(ready, plan)
        if benchmark.operations and case.device == "cpu":
            for runner in ready.values():
                runner.row["operations"] = runner.worker("operations")["milliseconds"]
    for row in rows.values():
        if "first_call_seconds" in row:
            plan.report(f"  {_progress(row)}")
    return {
        "title": case.title,
        "device": case.device,
        "options": dict(case.options),
        "rows": list(rows.values()),
    }


def _case_obstacle(benchmark: Benchmark, case: Case, plan: Plan) -> str:
    if case.device not in plan.devices:
        return "left out by --device"
    if case.device == "cuda" and not torch.cuda.is_available():
        return "this machine has no GPU that torch can use"
    first = next(other for other in benchmark.cases if other.device == case.device)
    return "left out by --quick" if plan.quick and case is not first else ""


def _contender_obstacle(contender: Contender, case: Case, plan: Plan) -> str:
    if plan.baselines is not None and contender.library not in {"spikeformer", *plan.baselines}:
        return "left out by --baseline"
    return contender.obstacle(case)


def _prepare(
    module: str,
    case: Case,
    contender: Contender,
    row: dict[str, Any],
    folder: Path,
    stack: ExitStack,
) -> _Runner:
    worker = stack.enter_context(Worker(contender.library))
    outputs = folder / f"{contender.name}.pt"
    reply = worker(
        "prepare",
        benchmark=module,
        case=case.title,
        contender=contender.name,
        inputs=str(folder / "inputs.pt"),
        outputs=str(outputs),
        threads=torch.get_num_threads(),
    )
    row["first_call_seconds"] = reply["first_call"]
    row["peak_bytes"] = worker("memory")["bytes"]
    row["versions"] = reply["versions"]
    return _Runner(worker, row, torch.load(outputs, weights_only=True))


def _keep_those_that_agree(ready: dict[str, _Runner], benchmark: Benchmark, case: Case) -> None:
    """Exclude the contenders that computed something else, and say so in their rows."""
    definition = benchmark.definition
    expected = ready[definition].outputs if definition in ready else None
    for contender, runner in list(ready.items()):
        if benchmark.contender(contender).yardstick:
            continue
        if expected is None:
            reason = f"nothing to compare with: {definition} did not run"
        else:
            shares = disagreement(expected, runner.outputs, case.tolerance)
            runner.row["disagreement"] = shares
            reason = complaint(shares)
        if reason:
            runner.row["not_measured"] = reason
            del ready[contender]
        runner.outputs = {}


def _time(ready: dict[str, _Runner], plan: Plan) -> None:
    ours = ready.get(OURS)
    baselines = [runner for runner in ready.values() if runner is not ours]
    for runner in ready.values():
        _turn(runner, plan)  # to warm up
        runner.turns.clear()
    for _ in range(plan.rounds):
        for baseline in baselines:
            if ours:
                _turn(ours, plan)
            _turn(baseline, plan)
        if ours and not baselines:
            _turn(ours, plan)
    for runner in ready.values():
        runner.row["milliseconds"] = summarize([1e3 * seconds for seconds in runner.turns])
    if ours:
        for i, baseline in enumerate(baselines):
            own = ours.turns[i :: len(baselines)]
            baseline.row["ratio"] = paired_ratios(zip(own, baseline.turns, strict=True))


def _turn(runner: _Runner, plan: Plan) -> None:
    # Idle threads of the process before spin for a moment; let them go to sleep.
    time.sleep(0.005)
    runner.turns.append(runner.worker("time", seconds=plan.turn_seconds)["seconds"])


def _progress(row: dict[str, Any]) -> str:
    if "not_measured" in row:
        return f"{row['contender']}: not measured: {row['not_measured']}"
    if "milliseconds" not in row:
        return f"{row['contender']}: first call {row['first_call_seconds']:.2f} s"
    ratio = f", ours / theirs {row['ratio']['median']:.2f}" if "ratio" in row else ""
    return f"{row['contender']}: {row['milliseconds']['median']:.3g} ms{ratio}"
