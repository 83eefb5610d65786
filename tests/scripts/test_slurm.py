"""A sweep on a Slurm of one node; `make setup` unpacks it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import REPOSITORY, SMALL

INSTALLED = REPOSITORY / ".toolchains" / "slurm"
DEMO = REPOSITORY / "scripts" / "slurm" / "demo.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (INSTALLED / ".installed").exists(),
        reason=f"no Slurm in {INSTALLED}: make setup unpacks it from Debian's packages",
    ),
]


def test_a_sweep_of_two_jobs(tmp_path):
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    stages = "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]"
    process = subprocess.run(
        [
            *(sys.executable, str(DEMO), f"paths.output_dir={tmp_path}", *SMALL),
            *("debug=fast", "logger=none", stages),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    (sweep,) = tmp_path.glob("*/*/sweep.yaml")
    seeds = set()
    for child in ("0", "1"):
        manifest = json.loads((sweep.parent / child / "manifest.json").read_text())
        assert manifest["stages"]["fit"]["status"] == "done"
        seeds.add(json.loads((sweep.parent / child / "environment.json").read_text())["seed"])
    assert seeds == {1, 2}
    ended = [line.split() for line in process.stdout.splitlines() if "COMPLETED" in line]
    assert len(ended) == 2
    assert "Bypassing sacct" not in process.stderr
    left = [
        command
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(INSTALLED) in (command := _read(path)) or str(tmp_path) in command
    ]
    assert left == []


def _read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it has just ended
        return ""
