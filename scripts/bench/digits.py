"""Train the default run with several seeds and write docs/benchmarks/digits.{json,md}.

python scripts/bench/digits.py --seeds 0 1 2
python scripts/bench/digits.py --name digits-ilif neuron=ilif timesteps=1
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TABLES = REPOSITORY / "docs" / "benchmarks"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--name", default="digits", help="name of the two files")
    parser.add_argument("overrides", nargs="*", help="further arguments of train.py")
    arguments = parser.parse_args()
    runs, environment = [], {}
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            command = [f"seed={seed}", "logger=none", *arguments.overrides]
            subprocess.run(
                [sys.executable, "train.py", f"paths.output_dir={folder}", *command],
                cwd=REPOSITORY,
                check=True,
            )
            (manifest,) = Path(folder).glob("**/manifest.json")
            stages = json.loads(manifest.read_text())["stages"]
            environment = json.loads((manifest.parent / "environment.json").read_text())
        fit, test = stages["fit"]["result"], stages["test"]["result"]
        runs.append(
            {
                "seed": seed,
                "accuracy": test["accuracy"],
                "training_seconds": fit["seconds"],
                "epochs": fit["epochs"],
                "firing_rate": test["firing_rate"],
                "num_parameters": fit["num_parameters"],
                "num_samples": test["num_samples"],
            }
        )
    result = {
        "command": " ".join(["python scripts/bench/digits.py", *sys.argv[1:]]),
        "name": arguments.name,
        "overrides": arguments.overrides,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            key: environment[key] for key in ("cpu", "cores", "memory_gib", "gpu", "python")
        },
        "torch": environment["packages"]["torch"],
        "runs": runs,
    }
    table = TABLES / arguments.name
    table.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    table.with_suffix(".md").write_text(page(result))
    print(table.with_suffix(".md").read_text())


def _what(result: dict) -> str:
    """Say what was trained."""
    parameters = f"{result['runs'][0]['num_parameters']:,} parameters"
    if result["overrides"]:
        return f"`python train.py {' '.join(result['overrides'])}`: {parameters}"
    return f"""The default run, `python train.py`: {parameters}, T = 4, direct coding,
QK-token attention, LIF neurons with hard reset"""


def page(result: dict) -> str:
    """Return the table as a page of the documentation."""
    runs, machine = result["runs"], result["machine"]
    rows = "\n".join(
        f"| {run['seed']} | {run['accuracy']:.2%} | {run['training_seconds']:.0f} s "
        f"| {run['epochs']} | {run['firing_rate']:.1%} |"
        for run in runs
    )
    mean = statistics.fmean(run["accuracy"] for run in runs)
    device = machine["gpu"] or f"{machine['cpu']}, {machine['cores']} threads"
    title = f"Digits, {' '.join(result['overrides'])}".removesuffix(", ")
    return f"""# {title}

{_what(result)}, on the scikit-learn digits (80/20 split with
equal class shares; {runs[0]["num_samples"]} test images; a twentieth of the training images is
held out for validation).
The accuracy is that of the weights after the last epoch.

| seed | test accuracy | training | epochs | firing rate |
|---|---|---|---|---|
{rows}

Mean test accuracy: **{mean:.2%}**.

Measured on {result["date"]} on {device}, torch {result["torch"]}, by `{result["command"]}`;
the numbers are in [{result["name"]}.json]({result["name"]}.json).
"""


if __name__ == "__main__":
    main()
