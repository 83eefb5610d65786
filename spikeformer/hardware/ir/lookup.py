"""What the host looks up before a network's first synapse: the embeddings of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.operators import Array
from spikeformer.i18n import t


@dataclass(frozen=True, eq=False)
class Lookup:
    """How the host makes the values of a source from ids: `values[n] = table[ids[n]]`.

    Attributes:
        ids: Name of the network's input that holds them.
        table: Shape (vocabulary, channels).
    """

    ids: str
    table: Array

    def __call__(self, ids: Array) -> Array:
        """Map integer ids (samples, tokens) to values (samples, tokens * channels).

        Raises:
            HardwareCompatibilityError: An id is not in the table.
        """
        if ids.dtype.kind not in "iu" or (ids.size and not 0 <= ids.min() <= ids.max() < len(self)):
            raise HardwareCompatibilityError(t("hardware.ids_out_of_range", size=len(self)))
        samples, tokens = ids.shape
        values: Array = self.table[ids].reshape(samples, tokens * self.table.shape[1])
        return values.astype(np.float64)

    def __len__(self) -> int:
        return len(self.table)
