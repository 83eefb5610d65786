"""Folders as a sweep leaves them, as far as its page reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml


def write_sweep(
    folder: Path,
    runs: Sequence[tuple[Mapping[str, object], *tuple[float | None, ...]]],
    objective: Sequence[str] = (),
) -> Path:
    """Write one run for each (settings, validation accuracy, and maybe energy); None has failed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.yaml").write_text("[]")
    for number, (settings, accuracy, *energy) in enumerate(runs):
        child = folder / str(number)
        child.mkdir()
        failed = accuracy is None
        stages = {
            "fit": {
                "status": "failed" if failed else "done",
                "error": "out of memory" if failed else None,
                "result": {} if failed else {"val/accuracy": accuracy},
            },
        }
        if energy:
            result = {"energy_per_sample_uj": energy[0]}
            stages["profile"] = {"status": "done", "error": None, "result": result}
        manifest = {"name": "x", "created": f"2026-01-01T00:00:{number:02d}", "stages": stages}
        (child / "manifest.json").write_text(json.dumps(manifest))
        config = {**settings, "objective": list(objective)}
        (child / "config.yaml").write_text(yaml.safe_dump(config))
        lines = [f"{key}={value}" for key, value in settings.items()]
        (child / "overrides.yaml").write_text(yaml.safe_dump(lines))
    return folder
