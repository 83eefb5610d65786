"""Map-style datasets that hand out whole batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset


class TensorBatches(Dataset[tuple[Tensor, Tensor]]):
    """Tensors in memory; a batch is two index operations instead of a Python loop.

    Args:
        inputs: (samples, ...) float32, or uint8, which becomes float32 batch by batch so that the
            cache stays a quarter of the size.
        targets: (samples,) int64.
        unit: The uint8 that becomes 1: 255 for images, 1 for counts.

    Example:
        >>> data = TensorBatches(torch.zeros(5, 1, 8, 8), torch.arange(5))
        >>> images, labels = data.__getitems__([3, 1])
        >>> images.shape, labels
        (torch.Size([2, 1, 8, 8]), tensor([3, 1]))
    """

    def __init__(self, inputs: Tensor, targets: Tensor, *, unit: float = 255.0) -> None:
        self.inputs, self.targets, self.unit = inputs, targets, unit

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self.__getitems__([index])
        return inputs[0], targets[0]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return `(inputs, targets)` of `indices`."""
        chosen = torch.as_tensor(indices)
        inputs = self.inputs[chosen]
        if inputs.dtype == torch.uint8:
            inputs = inputs.float().div_(self.unit)
        return inputs, self.targets[chosen]


class DictBatches(Dataset[tuple[dict[str, Tensor], Tensor]]):
    """Several tensors for each sample, in memory, as a network's keyword arguments.

    Args:
        inputs: By name, each (samples, ...).
        targets: (samples,) int64.

    Example:
        >>> data = DictBatches({"vision": torch.zeros(5, 1, 8, 8)}, torch.arange(5))
        >>> inputs, labels = data.__getitems__([3, 1])
        >>> inputs["vision"].shape, labels
        (torch.Size([2, 1, 8, 8]), tensor([3, 1]))
    """

    def __init__(self, inputs: dict[str, Tensor], targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[dict[str, Tensor], Tensor]:
        return {name: x[index] for name, x in self.inputs.items()}, self.targets[index]

    def __getitems__(self, indices: Sequence[int]) -> tuple[dict[str, Tensor], Tensor]:
        """Return `(inputs, targets)` of `indices`."""
        chosen = torch.as_tensor(indices)
        return {name: x[chosen] for name, x in self.inputs.items()}, self.targets[chosen]


class TokenBatches(Dataset[tuple[dict[str, Tensor], Tensor]]):
    """Token sequences of different lengths, padded to the longest of each batch.

    Args:
        sequences: One list of token ids per sample, none empty.
        targets: (samples,) int64 classes; or None for language modelling, where the target of
            each position is the next token and a sequence of n ids gives n - 1 positions.
        pad_id: Token id written at padded positions (the mask is False there).

    Example:
        >>> data = TokenBatches([[5, 6], [7]], torch.tensor([0, 1]), pad_id=0)
        >>> inputs, target = data.__getitems__([0, 1])
        >>> inputs["input_ids"].tolist(), inputs["mask"].tolist()
        ([[5, 6], [7, 0]], [[True, True], [True, False]])
    """

    ignore_index = -100

    def __init__(
        self, sequences: Sequence[Sequence[int]], targets: Tensor | None, *, pad_id: int
    ) -> None:
        # One flat tensor: forked workers share it, where lists would be copied on first touch.
        self.tokens = torch.tensor([t for ids in sequences for t in ids], dtype=torch.int64)
        lengths = torch.tensor([0, *map(len, sequences)])
        self.offsets = lengths.cumsum(0)
        self.targets, self.pad_id = targets, pad_id

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> tuple[dict[str, Tensor], Tensor]:
        inputs, targets = self.__getitems__([index])
        return {name: value[0] for name, value in inputs.items()}, targets[0]

    def __getitems__(self, indices: Sequence[int]) -> tuple[dict[str, Tensor], Tensor]:
        """Return `({"input_ids": ..., "mask": ...}, targets)` of `indices`."""
        rows = [self.tokens[self.offsets[i] : self.offsets[i + 1]] for i in indices]
        if self.targets is None:
            inputs = self._pad([row[:-1] for row in rows], self.pad_id)
            targets = self._pad([row[1:] for row in rows], self.ignore_index)
        else:
            inputs = self._pad(rows, self.pad_id)
            targets = self.targets[torch.as_tensor(indices)]
        shift = 0 if self.targets is not None else 1
        lengths = torch.tensor([len(row) - shift for row in rows])
        mask = torch.arange(inputs.shape[1]) < lengths[:, None]
        return {"input_ids": inputs, "mask": mask}, targets

    @staticmethod
    def _pad(rows: list[Tensor], value: int) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
