"""The command: its lists and its answers to mistakes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench" / "run.py"


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the script in this process; returns its exit code, output and errors."""
    monkeypatch.setattr(sys, "path", sys.path.copy())

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
        spec = importlib.util.spec_from_file_location("bench_run", SCRIPT)
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        code = 0
        try:
            script.main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--op", "nothing"], "--op must be one of lif, "),
        (
            ["--baseline", "nothing"],
            "--baseline must be one of norse, rockpool, sinabs, snntorch, spikingjelly, but got",
        ),
        (["--device", "tpu"], "--device must be one of cpu, cuda, but got 'tpu'"),
        (["--rounds", "0"], "--rounds must be at least 1, but got 0"),
    ],
)
def test_a_mistake_is_one_line(run, arguments, message):
    code, _, errors = run(*arguments)
    assert code == 2
    assert errors.startswith(f"error: {message}")
    assert errors.count("\n") == 1


def test_list_names_cases_and_contenders(run):
    code, output, _ = run("--op", "lif", "--list")
    assert code == 0
    assert "  contender  SpikingJelly, compiled\n" in output
    assert "  case       CPU, float32, forward and backward: T=16" in output


def test_report_only_measures_nothing(run, tmp_path):
    code, output, _ = run("--report-only", "--output", str(tmp_path))
    assert code == 0
    assert output == f"{tmp_path / 'index.md'}\n"
