"""What a result was measured on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_KEYS = ("cpu", "cores", "memory_gib", "gpu", "python", "platform")


def describe() -> dict[str, Any]:
    """Return date, machine, commit and our packages, ready for JSON."""
    from spikeformer.pipeline.environment import describe_environment  # seconds of imports

    environment = describe_environment(seed=0)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {key: environment[key] for key in _KEYS},
        "packages": environment["packages"],
        "git": environment["git"],
    }
