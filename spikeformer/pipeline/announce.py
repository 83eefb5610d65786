"""What a run tells the person in front of it."""

from __future__ import annotations

from lightning.pytorch.utilities import rank_zero_only


@rank_zero_only
def announce(name: str, text: str) -> None:
    """Print a stage's line."""
    print(f"{name:<8} {text}", flush=True)
