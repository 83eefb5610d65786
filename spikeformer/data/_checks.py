"""Compare what the configuration says of a dataset with what the dataset is."""

from __future__ import annotations

from spikeformer.error_handling import DataError
from spikeformer.i18n import t


def check_classes(configured: int | None, found: list[str], where: str) -> None:
    """Raise `DataError` unless `configured` is None or the number of classes found."""
    if configured is not None and configured != len(found):
        raise DataError(
            t(
                "data.num_classes",
                configured=configured,
                where=where,
                found=len(found),
                names=", ".join(found[:4]),
                more=", ..." if len(found) > 4 else "",
            )
        )
