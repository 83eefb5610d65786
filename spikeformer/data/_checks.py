"""Compare what the configuration says of a dataset with what the dataset is."""

from __future__ import annotations

from spikeformer.error_handling import DataError


def check_classes(configured: int | None, found: list[str], where: str) -> None:
    """Raise `DataError` unless `configured` is None or the number of classes found."""
    if configured is not None and configured != len(found):
        raise DataError(
            f"data.num_classes={configured} but {where} has {len(found)} classes "
            f"({', '.join(found[:4])}{', ...' if len(found) > 4 else ''}); "
            f"set data.num_classes={len(found)}"
        )
