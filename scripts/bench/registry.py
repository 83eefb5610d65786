"""What a benchmark is: cases, contenders, and the tensors that they all get.

Imports torch alone: workers load it in the environments of the baselines as well.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench import models, ops

OURS = "SpikeFormer"
"""The contender that the others are paired with."""

DEVICES = {"cpu": "CPU", "cuda": "GPU"}

Tensors = dict[str, Tensor]

DISAGREEMENT_LIMIT = 1e-4
"""Largest share of elements that may differ: a rounding at the threshold may flip a spike."""


@dataclass(frozen=True)
class Case:
    """One piece of work, the same for every contender.

    Args:
        name: Its shapes, as the page writes them.
        options: Shapes and settings, ready for JSON.
        device: "cpu", or "cuda" for a GPU (ROCm too).
        dtype: Name of the dtype in torch.
        train: Forward and backward; else forward without gradients.
        tolerance: Relative difference at which two elements count as different.
    """

    name: str
    options: Mapping[str, Any]
    device: str = "cpu"
    dtype: str = "float32"
    train: bool = True
    tolerance: float = 1e-3

    @property
    def title(self) -> str:
        """Heading of the case, unique in its benchmark."""
        passes = "forward and backward" if self.train else "forward"
        return f"{DEVICES[self.device]}, {self.dtype}, {passes}: {self.name}"

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype itself."""
        return getattr(torch, self.dtype)


class Work(NamedTuple):
    """What a contender does for a case.

    Args:
        step: The step that is timed; returns what it computed.
        outputs: Maps that to tensors in the benchmark's layout, which are compared.
    """

    step: Callable[[], Any]
    outputs: Callable[[Any], Tensors] = lambda result: result


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    Args:
        name: What the page calls it, unique in its benchmark.
        build: Makes the step from a case and its inputs, which lie on the case's device.
        library: Whose environment it needs: "spikeformer" or a file's name in `baselines/`.
        obstacle: Says why it cannot do a case, or returns "".
        yardstick: It computes something else, whose time is to be compared all the same.
    """

    name: str
    build: Callable[[Case, Tensors], Work]
    library: str = "spikeformer"
    obstacle: Callable[[Case], str] = lambda case: ""
    yardstick: bool = False


@dataclass(frozen=True)
class Benchmark:
    """One page of results.

    Args:
        title: Heading of the page.
        description: What is computed, and how each baseline was set to compute the same; Markdown.
        cases: The pieces of work.
        contenders: Who does them.
        inputs: Makes the tensors of a case, the same in every run.
        definition: Name of the contender whose outputs the others must match.
        operations: Whether to say where the time goes, for every contender on the CPU.
    """

    title: str
    description: str
    cases: tuple[Case, ...]
    contenders: tuple[Contender, ...]
    inputs: Callable[[Case], Tensors]
    definition: str = "SpikeFormer reference"
    operations: bool = False

    def case(self, title: str) -> Case:
        """Return the case of this title."""
        return next(case for case in self.cases if case.title == title)

    def contender(self, name: str) -> Contender:
        """Return the contender of this name."""
        return next(contender for contender in self.contenders if contender.name == name)


def benchmark_modules() -> dict[str, str]:
    """Return the modules of all benchmarks by name: the files in `ops` and `models`."""
    return {
        module.name: f"{folder.__name__}.{module.name}"
        for folder in (ops, models)
        for module in pkgutil.iter_modules(folder.__path__)
    }


def load_benchmark(module: str) -> Benchmark:
    """Return the `BENCHMARK` of a module."""
    return import_module(module).BENCHMARK
