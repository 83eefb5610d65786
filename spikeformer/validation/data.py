"""Data under examination: a batch, or the splits of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from spikeformer.data.batch import Inputs, named_tensors
from spikeformer.encoding import SpikeEncoder

_CHUNK = 512


@dataclass
class InputSubject:
    """Inputs under examination.

    Attributes:
        data: One batch, (samples, ...), or named tensors as a network takes them.
        model: The network that will get it; None checks what holds for every network.
    """

    data: Inputs
    model: nn.Module | None = None

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name; a single one has none."""
        return named_tensors(self.data)

    @property
    def values(self) -> Tensor | None:
        """The tensor of real values, None for tokens."""
        found = [x for name, x in self.tensors.items() if name != "mask"]
        return found[0] if len(found) == 1 and found[0].is_floating_point() else None

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Shape of a sample that the network takes, if it says so."""
        found = _attribute(self.model, "image_shape")
        return None if found is None else tuple(found)

    @property
    def vocab_size(self) -> int | None:
        """Number of tokens that the network knows, if it says so."""
        found = _attribute(self.model, "vocab_size")
        return found if isinstance(found, int) else None

    @property
    def encoder(self) -> SpikeEncoder | None:
        """The network's spike encoder, if it has one that looks at values."""
        modules = () if self.model is None else self.model.modules()
        encoders = (m for m in modules if isinstance(m, SpikeEncoder) and not m.constant)
        return next(encoders, None)


@dataclass
class TargetSubject:
    """Targets under examination.

    Attributes:
        targets: Classes (samples,), or values.
        num_samples: How many there should be; None if unknown.
        num_classes: How many classes there are; None if there are none, or it is unknown.
        fingerprints: One number for each input's content, to find equal ones; None if unknown.
        location: The split.
    """

    targets: Tensor
    num_samples: int | None = None
    num_classes: int | None = None
    fingerprints: Tensor | None = None
    location: str = ""

    @property
    def are_classes(self) -> bool:
        """Whether there is one class for each sample."""
        return self.targets.ndim == 1 and not self.targets.is_floating_point()


@dataclass
class SplitSample:
    """Some samples of a split.

    Attributes:
        inputs: One batch of them.
        targets: All their targets.
        fingerprints: One number for the content of each.
        size: Samples of the whole split.
    """

    inputs: Inputs
    targets: Tensor
    fingerprints: Tensor
    size: int


@dataclass
class SplitsSubject:
    """Splits of a data set under examination.

    Attributes:
        splits: A data module's splits, with `train`, `val` and `test`.
        max_samples: Most samples to look at in each, evenly spread.
        batch_size: Samples of a training batch.
    """

    splits: Any
    max_samples: int | None = None
    batch_size: int = 1

    @cached_property
    def samples(self) -> dict[str, SplitSample]:
        """What was looked at, by the name of the split."""
        named = {name: getattr(self.splits, name) for name in ("train", "val", "test")}
        return {
            name: draw(split, self.max_samples)
            for name, split in named.items()
            if split is not None and len(split)
        }


def draw(dataset: Any, most: int | None) -> SplitSample:
    """Return at most so many samples of a map-style data set, evenly spread over it."""
    size = len(dataset)
    count = size if most is None else min(size, most)
    indices = [i * size // count for i in range(count)]
    first: Inputs | None = None
    targets: list[Tensor] = []
    prints: list[Tensor] = []
    for start in range(0, count, _CHUNK):
        inputs, target = fetch(dataset, indices[start : start + _CHUNK])
        first = inputs if first is None else first
        targets.append(torch.as_tensor(target))
        prints.append(fingerprints(inputs))
    assert first is not None
    # Language modelling pads its targets to the longest of each batch.
    same = len({t.shape[1:] for t in targets}) == 1
    return SplitSample(first, torch.cat(targets if same else targets[:1]), torch.cat(prints), size)


def fetch(dataset: Any, indices: list[int]) -> tuple[Inputs, Tensor]:
    """Return the batch `(inputs, targets)` of some samples."""
    if hasattr(dataset, "__getitems__"):
        return dataset.__getitems__(indices)
    return default_collate([dataset[index] for index in indices])


def fingerprints(inputs: Inputs) -> Tensor:
    """Return one number of 64 bits for the content of each sample, (samples,).

    The bits of each value, times a random odd number of its place, added up modulo 2^64: integers
    add up to the same in any order, so equal samples have equal fingerprints in every
    batch. Two that differ share one with a probability of about 2^-64. Padding does not count.
    """
    named = named_tensors(inputs)
    mask = named.get("mask")
    total = torch.zeros((), dtype=torch.int64)
    for number, name in enumerate(name for name in named if name != "mask"):
        bits = _bits(named[name])
        # Padding counts as 0, which no token does.
        flat = (bits if mask is None or mask.shape != bits.shape else bits * mask.long()).flatten(1)
        generator = torch.Generator().manual_seed(number)
        places = torch.randint(-(2**62), 2**62, (flat.shape[1],), generator=generator) * 2 + 1
        total = total + (flat * places).sum(dim=1)
    return total


def _bits(x: Tensor) -> Tensor:
    """Return an integer for each value, another one for another value; tokens from 1."""
    if x.is_floating_point():
        return x.float().contiguous().view(torch.int32).long()
    return x.long() + 1


def _attribute(model: nn.Module | None, name: str) -> Any:
    modules = () if model is None else model.modules()
    return next((found for m in modules if (found := getattr(m, name, None)) is not None), None)
