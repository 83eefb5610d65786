"""Which test samples a person should look at, found while the test runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.data import SpikingDataModule
from spikeformer.data.batch import named_tensors, select
from spikeformer.runs import ExampleResults

MAX_EXAMPLES = 12


class ExampleCollector:
    """Keeps the most confident errors among the test samples, then the least certain hits.

    Only samples that are one image, one recording of events or one text are kept; the others have
    no simple picture.

    Args:
        data: The data module, for the words of token ids.
    """

    def __init__(self, data: SpikingDataModule) -> None:
        self._data = data
        self._kept: list[tuple[float, Any, int, int, float]] = []

    def add(self, inputs: Any, outputs: Tensor, targets: Tensor) -> None:
        """Look at one batch.

        Args:
            inputs: The network's inputs.
            outputs: Scores averaged over time, shape (batch, classes), on the CPU.
            targets: True class indices, shape (batch,).
        """
        confidences, predictions = outputs.softmax(dim=1).max(dim=1)
        wrong = predictions != targets
        # Errors come before hits; the more confident an error, the less certain a hit, the sooner.
        order = torch.where(wrong, 2 + confidences, 1 - confidences)
        for index in order.topk(min(MAX_EXAMPLES, len(order))).indices.tolist():
            shown = self._shown(select(inputs, slice(index, index + 1)))
            if shown is None:
                return
            numbers = int(targets[index]), int(predictions[index]), float(confidences[index])
            self._kept.append((float(order[index]), shown, *numbers))
        self._kept.sort(key=lambda example: -example[0])
        del self._kept[MAX_EXAMPLES:]

    def results(self) -> ExampleResults | None:
        """Return what was kept; None if there was nothing to look at."""
        if not self._kept:
            return None
        _, inputs, targets, predictions, confidences = zip(*self._kept, strict=True)
        return ExampleResults(
            np.array(inputs) if isinstance(inputs[0], str) else np.stack(inputs),
            np.array(targets),
            np.array(predictions),
            np.array(confidences, dtype=np.float32),
        )

    def _shown(self, one: Any) -> Any:
        """Return an image (channels, height, width), a text, or None.

        Of events it is their sum over time, or for a line of sensors (1, sensors, timesteps).
        """
        named = named_tensors(one)
        if "mask" in named:
            ids = named["input_ids"][named["mask"]]
            return " ".join(self._data.tokens(ids.tolist()))
        if len(named) != 1:
            return None
        (x,) = named.values()
        if x.ndim == 5 and x.shape[3] > 1:
            x = x.sum(dim=1)
        elif x.ndim == 5:  # a line of sensors: like a spectrogram
            x = x.sum(dim=2).permute(0, 2, 3, 1)
        is_image = x.ndim == 4 and x.is_floating_point()
        return x[0].float().cpu().numpy() if is_image else None
