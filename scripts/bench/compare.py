"""Whether a contender computed what the definition computed."""

from __future__ import annotations

from bench.registry import DISAGREEMENT_LIMIT, Tensors


def disagreement(expected: Tensors, actual: Tensors, tolerance: float) -> dict[str, float]:
    """Return, for each tensor, the share of its elements that differ.

    Two elements differ if they are further apart than `tolerance` times the element plus the
    tensor's root mean square, or are not both finite. A tensor of another shape differs in all.
    """
    if expected.keys() != actual.keys():
        raise ValueError(f"Expected the outputs {sorted(expected)}, but got {sorted(actual)}.")
    return {name: _share(expected[name], actual[name], tolerance) for name in expected}


def complaint(shares: dict[str, float]) -> str:
    """Say which tensors differ in more elements than `DISAGREEMENT_LIMIT`; "" if none does."""
    wrong = {name: share for name, share in shares.items() if share > DISAGREEMENT_LIMIT}
    return ", ".join(
        f"{name} differs in {share:.2%} of its elements" for name, share in wrong.items()
    )


def _share(expected, actual, tolerance: float) -> float:
    if expected.shape != actual.shape:
        return 1.0
    expected, actual = expected.double(), actual.double()
    scale = expected.abs() + expected.square().mean().sqrt()
    agree = (expected - actual).abs() <= tolerance * scale
    return 1.0 - agree.double().mean().item()
