"""What the host makes of inputs before a network's first synapse: embeddings, log-mel frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.operators import Array
from spikeformer.i18n import t
from spikeformer.multimodal import LogMelFrames


@dataclass(frozen=True, eq=False)
class HostFunction(ABC):
    """How the host makes the values of a source from an input of the network.

    Attributes:
        argument: Name of the network's input.
    """

    argument: str

    @abstractmethod
    def input_shape(self, source: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one sample of the input, for a source of a shape."""

    @abstractmethod
    def __call__(self, samples: Array) -> Array:
        """Map inputs (samples, *input_shape) to values (samples, size), float64."""


@dataclass(frozen=True, eq=False)
class Lookup(HostFunction):
    """Embeddings of ids: `values[n] = table[ids[n]]`.

    Attributes:
        table: Shape (vocabulary, channels).
    """

    table: Array

    def input_shape(self, source: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the ids."""
        return source[:-1]

    def __call__(self, samples: Array) -> Array:
        """Map integer ids (samples, tokens) to values (samples, tokens * channels).

        Raises:
            HardwareCompatibilityError: An id is not in the table.
        """
        size = len(self.table)
        outside = samples.size and not 0 <= samples.min() <= samples.max() < size
        if samples.dtype.kind not in "iu" or outside:
            raise HardwareCompatibilityError(t("hardware.ids_out_of_range", size=size))
        count, tokens = samples.shape
        values: Array = self.table[samples].reshape(count, tokens * self.table.shape[1])
        return values.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Spectrogram(HostFunction):
    """Log-mel frames of waveforms.

    Attributes:
        num_samples: Samples of a waveform.
        frames: What computes them.
    """

    num_samples: int
    frames: LogMelFrames

    def input_shape(self, source: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a waveform."""
        return (self.num_samples,)

    def __call__(self, samples: Array) -> Array:
        """Map waveforms (samples, num_samples) to values (samples, bands * frames)."""
        values: Array = self.frames(torch.from_numpy(samples)).flatten(1).numpy()
        return values.astype(np.float64)
