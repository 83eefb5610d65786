"""Pages, plots and the overview in docs/benchmarks, all made from the stored results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import plots
from bench.registry import DEVICES, DISAGREEMENT_LIMIT, OURS
from bench.summary import duration_text, spread_text

NOT_MEASURED = "not measured"
_NOT_COMPARED = ""

_BASELINES = {
    "spikeformer": "torch or NumPy",
    "spikingjelly": "SpikingJelly",
    "snntorch": "snnTorch",
    "norse": "Norse",
}


def write(folder: Path) -> list[Path]:
    """Write a page and a plot for every result, and the overview; return their paths."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    results = {name: result for name, result in results.items() if "cases" in result}
    written = []
    for name, result in results.items():
        plot = plots.write(result, folder / f"{name}.svg")
        written.append(_write(folder / f"{name}.md", page(result, plot)))
        written += [plot] if plot else []
    with_digits = (folder / "digits.md").exists()
    written.append(_write(folder / "index.md", overview(results, with_digits=with_digits)))
    return written


def page(result: dict[str, Any], plot: Path | None = None) -> str:
    """Return one benchmark's page."""
    name = result["benchmark"]
    image = f"\n![Time per step, by contender]({plot.name})\n" if plot else ""
    sections = "\n".join(_section(case) for case in result["cases"])
    return f"""# {result["title"]}

{result["description"]}

Time is the median of all turns, with quartiles in brackets. "{OURS} takes" is the median of its
time divided by the contender's in turns that followed each other: below 1x, {OURS} is faster.
Memory is the peak of a step above what is held between steps. The first call is that of a new
process with no compiled kernels on disk. "Differs" is the share of elements, in the worst output or
gradient, that are not the definition's ({result["definition"]}); a contender beyond
{DISAGREEMENT_LIMIT:.2%} is not timed.
{image}
{sections}
{_provenance(result)} The numbers are in [{name}.json]({name}.json).
"""


def _section(case: dict[str, Any]) -> str:
    rows = [row for row in case["rows"] if "not_measured" not in row]
    missing: dict[str, list[str]] = {}
    for row in case["rows"]:
        if "not_measured" in row:
            missing.setdefault(row["not_measured"], []).append(row["contender"])
    table = f"""| contender | time | {OURS} takes | peak memory | first call | differs |
|---|---|---|---|---|---|
{_rows(rows)}"""
    notes = (
        f"Not measured: {'; '.join(contenders) if rows else 'all'}: {reason}."
        for reason, contenders in missing.items()
    )
    parts = [f"## {case['title']}", table if rows else "", *notes, _operations(rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _operations(rows: list[dict[str, Any]]) -> str:
    """Where the time of a step goes, if that was measured."""
    measured = [row for row in rows if "operations" in row]
    if not measured:
        return ""
    kinds = dict.fromkeys(kind for row in measured for kind in row["operations"])
    lines = [
        f"| {kind} | "
        + " | ".join(f"{row['operations'].get(kind, 0.0):.1f}" for row in measured)
        + " |"
        for kind in kinds
    ]
    totals = " | ".join(f"{sum(row['operations'].values()):.1f}" for row in measured)
    return f"""Milliseconds of a step by kind of operation, under torch's profiler:

| kind | {" | ".join(row["contender"] for row in measured)} |
|---|{"---|" * len(measured)}
{chr(10).join(lines)}
| together | {totals} |"""


def _rows(rows: list[dict[str, Any]]) -> str:
    return "\n".join(f"| {row['contender']} | {' | '.join(_cells(row))} |" for row in rows)


def _cells(row: dict[str, Any]) -> list[str]:
    ratio, peak = row.get("ratio"), row["peak_bytes"]
    without_ratio = "" if row["contender"] == OURS else NOT_MEASURED
    return [
        duration_text(row["milliseconds"]),
        spread_text(ratio, "x") if ratio else without_ratio,
        NOT_MEASURED if peak is None else f"{peak / 2**20:.3g} MiB",
        f"{row['first_call_seconds']:.2f} s",
        _share(max(row["disagreement"].values())) if "disagreement" in row else "another function",
    ]


def _share(share: float) -> str:
    return "0" if share == 0 else f"{share:.1e}"


def _provenance(result: dict[str, Any]) -> str:
    machine, packages = result["machine"], result["packages"]
    baselines = "; ".join(
        f"{_BASELINES[baseline]} {found[baseline]} with torch {found['torch']}"
        for baseline, found in sorted(result["baselines"].items())
        if baseline in found
    )
    return (
        f"Measured on {result['date']} on {machine['cpu']}, {result['threads']} threads, "
        f"{machine['memory_gib']} GiB, GPU: {machine['gpu'] or 'none'}; "
        f"Python {machine['python']}, torch {packages['torch']}; {baselines or 'no baselines'}; "
        f"rounds: {result['rounds']}; by `{result['command']}`."
    )


def overview(results: dict[str, dict[str, Any]], *, with_digits: bool) -> str:
    """Return the index page."""
    heads = " | ".join(_BASELINES.values())
    lines: list[str] = []
    missing: dict[str, list[str]] = {}
    for name, result in results.items():
        link = f"[{result['title']}]({name}.md)"
        for key, device in DEVICES.items():
            ranges = [_range(result, key, baseline) for baseline in _BASELINES]
            if set(ranges) != {_NOT_COMPARED}:
                processor = result["machine"]["gpu" if key == "cuda" else "cpu"]
                lines.append(f"| {link} | {' | '.join(ranges)} | {processor} |")
            elif any(case["device"] == key for case in result["cases"]):
                missing.setdefault(device, []).append(link)
    rows = "\n".join(lines)
    gaps = "".join(
        f"\nNot measured on a {device} yet: {', '.join(links)}.\n"
        for device, links in missing.items()
    )
    others = """
[Digits](digits.md) has the accuracy and the training time of the default run, and
[Digits with integer neurons](digits-ilif.md) those of the same network in one timestep.

[Accuracy in a given time](tables.md) has digits, CIFAR-10, SST-2 and spoken digits beside an
ANN of the same size and SpikingJelly's Spikformer.

[Audio-visual digits](digits_av.md) has the accuracy by sight, by sound and by both, under noise.

[Recordings of events](events.md) has spoken spikes with and without delays, with their steps in
order and shuffled, the accuracy after each step, and SpikingJelly's networks beside ours.

[Serving](serving.md) has the speed of many requests in batches, beside calls one by one.

[Caching](caching.md) has the time that decoding once saves.

[Data loading](data-loading.md) has the share of a step that waits for data.

[Interruptions](interruption.md) has a run that was killed twenty times, and what that cost it.

[Hybrid training](hybrid.md) has the accuracy of starting with rates, with and without a teacher.

[NIR files](nir.md) has networks exchanged with other libraries, spike for spike.

[A busy machine](busy.md) has training beside processes that want the same cores.

[Growth](growth.md) has the time and the memory of a training step over each of its sizes.

[Waiting](waiting.md) has what a person waits for at the command line: imports, help, the first
batch, the report.

[Conversion](conversion.md) has what remains of trained transformers as spikes, and
[A language model](language.md) its perplexity after calibration on other text.

[Continual learning](continual.md) has what elastic weight consolidation, replay and
metaplastic synapses keep; [Adaptive thresholds](adaptive-threshold.md) has firing rates under a
tenfold change of the input.
"""
    return f"""# Benchmarks

{OURS}'s time divided by that of the fastest way of each library to do the same work, as the
range over a benchmark's cases: below 1x, {OURS} is faster. Every page says what was compared. An
empty cell: not measured.

| benchmark | {heads} | processor |
|---|{"---|" * len(_BASELINES)}---|
{rows}
{gaps}{others if with_digits else ""}
`make bench` measures digits, kernels and Spikformer again, and every other page names its command;
`make bench-baselines` installs the other libraries, each in an environment
of its own.
"""


def _range(result: dict[str, Any], device: str, baseline: str) -> str:
    """Ratios to the fastest contender of a baseline in each case, least to greatest."""
    worst = []
    for case in result["cases"]:
        ratios = [
            row["ratio"]["median"]
            for row in case["rows"]
            if case["device"] == device and row["library"] == baseline and "ratio" in row
        ]
        worst += [max(ratios)] if ratios else []
    if not worst:
        return _NOT_COMPARED
    low, high = f"{min(worst):.3g}", f"{max(worst):.3g}"
    return f"{low}x" if low == high else f"{low} to {high}x"


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
