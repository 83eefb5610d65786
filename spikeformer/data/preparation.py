"""What a network depends on in the data that it was trained on, kept beside its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from spikeformer.error_handling import DataError
from spikeformer.i18n import t


@dataclass(frozen=True)
class Preparation:
    """What other data need so that a trained network means by them what it learnt.

    Attributes:
        class_names: Names of the classes in the order of the network's outputs.
        tokenizer: The tokenizer that was trained on the training split, as its library's JSON.
        vocabulary: SHA-256 of a pretrained tokenizer's tokens and ids.
        loudest_db: Loudness that became 1 in a spectrogram, in dB.

    Example:
        >>> given = Preparation(["cat", "dog"])
        >>> Preparation.from_plain(given.to_plain()) == given
        True
    """

    class_names: list[str] = field(default_factory=list)
    tokenizer: str | None = None
    vocabulary: str | None = None
    loudest_db: float | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_plain(cls, plain: Any) -> Self:
        """Return what `to_plain` was made of.

        Raises:
            DataError: It is something else.
        """
        try:
            return msgspec.convert(plain, cls)
        except (msgspec.ValidationError, RecursionError) as error:
            raise DataError(t("data.no_preparation", reason=error)) from error

    def check_same(self, found: Preparation) -> None:
        """Refuse data that were prepared in another way.

        Raises:
            DataError: The classes, their order, the tokens or the scale differ.
        """
        check_known(found.class_names, self.class_names)
        if self.class_names and found.class_names and found.class_names != self.class_names:
            raise DataError(
                t(
                    "data.other_order",
                    known=", ".join(self.class_names),
                    found=", ".join(found.class_names),
                )
            )
        tokens = (self.tokenizer, self.vocabulary)
        if any(tokens) and tokens != (found.tokenizer, found.vocabulary):
            raise DataError(t("data.other_vocabulary"))
        if self.loudest_db is not None:
            loudest = math.nan if found.loudest_db is None else found.loudest_db
            # Spectrograms of two machines differ in their last digits.
            if not abs(loudest - self.loudest_db) < 0.01:
                raise DataError(t("data.other_scale", known=self.loudest_db, found=loudest))


def check_known(found: Sequence[str], known: Sequence[str]) -> None:
    """Refuse classes that a network does not know.

    Raises:
        DataError: Some of them are not among those that it was trained on.
    """
    foreign = [name for name in found if name not in known]
    if known and foreign:
        raise DataError(
            t(
                "data.foreign_classes",
                foreign=_some(foreign),
                known=_some(known),
            )
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join([*map(repr, names[:6]), *(["..."] if len(names) > 6 else [])])
