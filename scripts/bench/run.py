"""Run benchmarks and write their results, tables and plots to docs/benchmarks.

python scripts/bench/run.py                                 all benchmarks
python scripts/bench/run.py --op lif --baseline spikingjelly    one op against one baseline
python scripts/bench/run.py --report-only                   pages and plots of stored results

Baselines need environments of their own, which `make bench-baselines` makes. Only a whole run of a
benchmark replaces the stored result; with --quick, --baseline or --device results go to
outputs/benchmarks, or where --output says.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

# The package `bench` beside this file's folder, and SpikeFormer where it is not installed.
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

from bench import report  # noqa: E402
from bench.client import BASELINES, WorkerError, interpreter  # noqa: E402
from bench.registry import benchmark_modules, load_benchmark  # noqa: E402
from bench.runner import Plan, run_benchmark  # noqa: E402

STORED = REPOSITORY / "docs" / "benchmarks"
PARTIAL = REPOSITORY / "outputs" / "benchmarks"


def main() -> None:
    arguments = _parse()
    partial = arguments.quick or arguments.baseline is not None or arguments.device is not None
    folder = arguments.output or (PARTIAL if partial else STORED)
    if arguments.list:
        _list(arguments.modules)
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.report_only:
        plan = Plan(
            rounds=arguments.rounds or (3 if arguments.quick else Plan.rounds),
            quick=arguments.quick,
            baselines=arguments.baseline,
            devices=arguments.device or Plan.devices,
        )
        for name, module in arguments.modules.items():
            result = run_benchmark(module, plan)
            (folder / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    for path in report.write(folder):
        print(path)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--op", nargs="+", metavar="NAME", help="benchmarks to run (all)")
    parser.add_argument(
        "--baseline", nargs="*", metavar="NAME", help=f"baselines: {', '.join(BASELINES)} (all)"
    )
    parser.add_argument("--device", nargs="+", metavar="NAME", help="cpu, cuda (both)")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"turns ({Plan.rounds})")
    parser.add_argument("--quick", action="store_true", help="first cases only, 3 rounds")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="where results go")
    parser.add_argument("--list", action="store_true", help="list cases and contenders")
    parser.add_argument("--report-only", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    modules = benchmark_modules()
    names = _known("--op", arguments.op, modules) or modules
    arguments.modules = {name: modules[name] for name in names}
    _known("--baseline", arguments.baseline, BASELINES)
    _known("--device", arguments.device, Plan.devices)
    if arguments.rounds is not None and arguments.rounds < 1:
        _stop(f"--rounds must be at least 1, but got {arguments.rounds}")
    try:
        for baseline in arguments.baseline or ():
            interpreter(baseline)
    except WorkerError as error:
        _stop(str(error))
    return arguments


def _known(option: str, values, accepted):
    for value in values or ():
        if value not in accepted:
            _stop(f"{option} must be one of {', '.join(accepted)}, but got {value!r}")
    return values


def _stop(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _list(modules: dict[str, str]) -> None:
    for name, module in modules.items():
        benchmark = load_benchmark(module)
        print(name)
        for case in benchmark.cases:
            print(f"  case       {case.title}")
        for contender in benchmark.contenders:
            print(f"  contender  {contender.name}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        _stop("interrupted; the benchmark that ran was not stored")
