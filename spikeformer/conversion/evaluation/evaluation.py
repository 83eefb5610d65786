"""How well a converted network does what its original does, and at what price."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from tqdm import tqdm  # type: ignore[import-untyped]

from spikeformer.conversion.evaluation.activity import Activity
from spikeformer.conversion.model import SpikingModel
from spikeformer.conversion.outputs import EarlyExit, class_scores
from spikeformer.data.batch import arguments, device_of, num_samples, take, to_device
from spikeformer.error_handling import ConversionError, check_choice
from spikeformer.profiling import estimate

METRICS = ("accuracy", "agreement", "error", "events", "sparsity", "energy", "latency")
"""What `evaluate_conversion` can measure."""


@dataclass
class StepFigures:
    """What holds if the output is read after a timestep.

    Attributes:
        timesteps: The timestep.
        accuracy: Share of samples whose class is right; None without targets or classes.
        agreement: Share of samples with the original's class; None without classes.
        error: Relative error of the output, `|r_t - y| / |y|`, mean over samples.
        events_per_neuron: Events of a neuron for one sample so far.
        energy_uj: Modelled energy of a sample so far: the estimate with its bounds, in µJ.
    """

    timesteps: int
    accuracy: float | None = None
    agreement: float | None = None
    error: float | None = None
    events_per_neuron: float | None = None
    energy_uj: tuple[float, float, float] | None = None


@dataclass
class Evaluation:
    """What `evaluate_conversion` measured; what was not asked for is None.

    Attributes:
        num_samples: Samples measured on.
        steps: Figures by timestep at which the output is read; the last is the network's own.
        original_accuracy: Accuracy of the original.
        retention: Accuracy of the spiking network in parts of the original's.
        sparsity: Share of neurons and timesteps without an event.
        rates: Events per neuron and timestep by site.
        original_energy_uj: Modelled energy of a sample in the original, low, value and high.
        floating_evaluations: Values per sample for which LayerNorm, softmax, GELU and the like
            are computed in floating point; they are in neither energy.
        seconds: Wall-clock time per sample of the spiking network on this machine.
        original_seconds: Likewise of the original.
        exit_timesteps: Mean timestep at which samples leave, if the network exits early.
        exit_accuracy: Accuracy with early exit.
        exit_agreement: Agreement with early exit.
    """

    num_samples: int
    steps: list[StepFigures]
    original_accuracy: float | None = None
    retention: float | None = None
    sparsity: float | None = None
    rates: dict[str, float] = field(default_factory=dict)
    original_energy_uj: tuple[float, float, float] | None = None
    floating_evaluations: float | None = None
    seconds: float | None = None
    original_seconds: float | None = None
    exit_timesteps: float | None = None
    exit_accuracy: float | None = None
    exit_agreement: float | None = None

    @property
    def last(self) -> StepFigures:
        """Figures after the last timestep."""
        return self.steps[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@torch.no_grad()
def evaluate_conversion(
    spiking: SpikingModel,
    loader: Iterable[Any],
    metrics: Sequence[str] = METRICS,
    *,
    original: nn.Module | None = None,
    max_samples: int | None = None,
    progress: bool = False,
) -> Evaluation:
    """Run a converted network and its original side by side, and compare them at every timestep.

    Args:
        spiking: The converted network.
        loader: Batches `(inputs, targets)`, dicts with an entry "labels", or inputs alone.
        metrics: Some of `METRICS`. Classes are needed for "accuracy" and "agreement", targets for
            "accuracy"; where they are absent the figures are None. "energy" is an estimate for
            digital logic in 45 nm with its memory traffic (`spikeformer.profiling`).
        original: What it was converted from; None takes the weights inside `spiking`, which
            differ from it after bias correction and fine-tuning.
        max_samples: Stop after the batch in which so many are reached.
        progress: Show a progress bar.

    Raises:
        ArgumentError: The loader is empty or does not hold tensors, or there is no such metric.

    Example:
        >>> net = torch.nn.Linear(8, 2).eval()
        >>> snn = SpikeformerConverter(timesteps=8).convert(net)
        >>> evaluate_conversion(snn, [torch.randn(16, 8)], ["agreement"]).last.agreement
        1.0
    """
    for metric in metrics:
        check_choice("metrics", metric, METRICS)
    reference = (spiking.original if original is None else original).eval()
    activity = Activity(spiking.plan, spiking.coding)
    tally = _Tally(spiking.confidence)
    seconds = [0.0, 0.0]
    batches = take(loader, max_samples or 2**62)
    for raw, targets in tqdm(batches, desc="evaluating", disable=not progress):
        args, kwargs = arguments(to_device(raw, device_of(spiking)))
        start = time.perf_counter()
        wanted = reference(*args, **kwargs)
        seconds[0] += time.perf_counter() - start
        with spiking.recording(activity):
            start = time.perf_counter()
            outputs = list(spiking.readouts(*args, **kwargs))
            seconds[1] += time.perf_counter() - start
        activity.samples += num_samples(raw)
        tally.add(outputs, wanted, targets)
    return _evaluation(tally, activity, spiking, set(metrics), seconds)


def _evaluation(
    tally: _Tally,
    activity: Activity,
    spiking: SpikingModel,
    metrics: set[str],
    seconds: Sequence[float],
) -> Evaluation:
    radix = spiking.coding.encoding == "radix"
    steps = []
    for index in range(tally.num_steps):
        step = spiking.timesteps if radix else index + 1
        figures = StepFigures(step)
        if "accuracy" in metrics:
            figures.accuracy = tally.share(tally.right, index)
        if "agreement" in metrics:
            figures.agreement = tally.share(tally.same, index)
        if "error" in metrics:
            figures.error = tally.share(tally.errors, index)
        if "events" in metrics:
            figures.events_per_neuron = activity.events_per_neuron(step)
        if "energy" in metrics:
            figures.energy_uj = _energy(activity.counts(step))
        steps.append(figures)
    result = Evaluation(tally.samples, steps)
    if "accuracy" in metrics and tally.right:
        result.original_accuracy = tally.original_right / tally.samples
        if steps[-1].accuracy is not None and result.original_accuracy:
            result.retention = steps[-1].accuracy / result.original_accuracy
    if "sparsity" in metrics or "events" in metrics:
        result.sparsity, result.rates = activity.sparsity, activity.rates()
    if "energy" in metrics:
        result.original_energy_uj = _energy(activity.original_counts())
        result.floating_evaluations = activity.evaluations / tally.samples
    if "latency" in metrics:
        result.original_seconds, result.seconds = (each / tally.samples for each in seconds)
    if tally.exits is not None:
        result.exit_timesteps = tally.exits / tally.samples
        result.exit_agreement = tally.exit_same / tally.samples
        result.exit_accuracy = tally.exit_right / tally.samples if tally.right else None
    return result


def _energy(counts: Any) -> tuple[float, float, float]:
    energy = estimate(counts, "simulation").energy_uj
    return energy.low, energy.value, energy.high


class _Tally:
    """Adds up comparisons over batches."""

    def __init__(self, confidence: float | None) -> None:
        self.confidence = confidence
        self.samples = self.num_steps = 0
        self.right: list[float] = []
        self.same: list[float] = []
        self.errors: list[float] = []
        self.original_right = self.exit_right = self.exit_same = 0
        self.exits: float | None = None

    def share(self, sums: list[float], index: int) -> float | None:
        """Return a sum in parts of all samples, if there is one."""
        return sums[index] / self.samples if sums else None

    def add(self, outputs: list[Any], wanted: Any, targets: Tensor | None) -> None:
        """Compare one batch at every timestep."""
        self.num_steps = len(outputs)
        _add(self.errors, [_relative_error(output, wanted) for output in outputs])
        try:
            scores = class_scores(wanted)
        except ConversionError:
            self.samples += len(_first(wanted))
            return
        classes = scores.argmax(dim=-1)
        ours = [class_scores(output).argmax(dim=-1) for output in outputs]
        self.samples += len(classes)
        _add(self.same, [float((mine == classes).sum()) for mine in ours])
        if targets is not None:
            truth = targets.to(classes.device)
            _add(self.right, [float((mine == truth).sum()) for mine in ours])
            self.original_right += int((classes == truth).sum())
        if self.confidence is not None:
            self._exit(outputs, classes, targets)

    def _exit(self, outputs: list[Any], classes: Tensor, targets: Tensor | None) -> None:
        assert self.confidence is not None
        logits = torch.stack([class_scores(output) for output in outputs])
        leave = EarlyExit.steps(logits, self.confidence)
        chosen = logits.argmax(dim=-1).gather(0, leave.unsqueeze(0))[0]
        self.exits = (self.exits or 0.0) + float((leave + 1).sum())
        self.exit_same += int((chosen == classes).sum())
        if targets is not None:
            self.exit_right += int((chosen == targets.to(chosen.device)).sum())


def _add(sums: list[float], values: list[float]) -> None:
    sums[:] = [a + b for a, b in zip(sums or [0.0] * len(values), values, strict=True)]


def _first(output: Any) -> Tensor:
    """Return the first floating-point tensor of an output, the one that matters."""
    return next(
        leaf
        for leaf in tree_leaves(output)
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.ndim
    )


def _relative_error(output: Any, wanted: Any) -> float:
    ours, theirs = (_first(x).reshape(len(_first(x)), -1) for x in (output, wanted))
    return float(((ours - theirs).norm(dim=1) / theirs.norm(dim=1).clamp(min=1e-12)).sum())
