"""Tasks that each see the pixels in another order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeformer.data.sampling import derive_seed
from spikeformer.error_handling import DataError
from spikeformer.i18n import t
from spikeformer.research.tasks import TaskSequence


class PermutedTasks(TaskSequence):
    """Each task has all samples, with the pixels in an order of its own; the first is in order.

    Images are not augmented: a shift of permuted pixels is no shift. The arguments are those of
    `TaskSequence`, whose `base` gives the images.

    Source: Goodfellow et al., 2013, arXiv:1312.6211; Kirkpatrick et al., 2017,
    doi:10.1073/pnas.1611835114.
    """

    _orders: Tensor | None = None

    @property
    def task_names(self) -> list[str]:
        """The number of each order."""
        return ["in order", *(f"order {task}" for task in range(1, self.num_tasks))]

    def members(self, labels: Tensor, classes: int) -> list[Tensor]:
        """Return all indices, for each task."""
        return [torch.arange(len(labels)) for _ in range(self.num_tasks)]

    def change(self, inputs: Any, target: Tensor, tasks: Tensor) -> tuple[Any, Tensor]:
        """Return the images with the pixels of each in the order of its task."""
        if not isinstance(inputs, Tensor) or inputs.ndim != 4:
            raise DataError(t("research.no_images", type=type(inputs).__name__))
        pixels = inputs.flatten(2)
        orders = self._pixel_orders(pixels.shape[2])[tasks]
        return pixels.gather(2, orders[:, None].expand_as(pixels)).view_as(inputs), target

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """Return the batch itself."""
        return batch

    def _pixel_orders(self, pixels: int) -> Tensor:
        if self._orders is None:
            generator = torch.Generator().manual_seed(derive_seed(self.task_seed))
            others = [torch.randperm(pixels, generator=generator) for _ in range(1, self.num_tasks)]
            self._orders = torch.stack([torch.arange(pixels), *others])
        return self._orders
