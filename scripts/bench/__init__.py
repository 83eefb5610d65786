"""Benchmarks: one registry, one runner, correctness checked before anything is timed.

Start with `registry.py` (what a benchmark is) and `ops/lif.py` (one of them); `runner.py` runs them
in worker processes and `report.py` writes the pages. `run.py` is the command.
"""
