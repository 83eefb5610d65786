"""How well a converted network does what its original does, and at what price."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]

from spikeformer.conversion.evaluation.activity import Activity
from spikeformer.conversion.evaluation.figures import Evaluation, StepFigures
from spikeformer.conversion.evaluation.tally import Tally, num_tokens
from spikeformer.conversion.generation import generates
from spikeformer.conversion.model import SpikingModel
from spikeformer.data.batch import arguments, device_of, num_samples, take, to_device
from spikeformer.error_handling import check_choice
from spikeformer.profiling import estimate

METRICS = (
    "accuracy",
    "agreement",
    "error",
    "perplexity",
    "events",
    "sparsity",
    "energy",
    "latency",
)
"""What `evaluate_conversion` can measure."""


@torch.no_grad()
def evaluate_conversion(
    spiking: SpikingModel,
    loader: Iterable[Any],
    metrics: Sequence[str] = METRICS,
    *,
    original: nn.Module | None = None,
    max_samples: int | None = None,
    progress: bool = False,
    count_bytes: Callable[[Tensor], int] | None = None,
) -> Evaluation:
    """Run a converted network and its original side by side, and compare them at every timestep.

    Args:
        spiking: The converted network.
        loader: Batches `(inputs, targets)`, dicts with an entry "labels", or inputs alone.
        metrics: Some of `METRICS`. Classes are needed for "accuracy" and "agreement", targets for
            "accuracy"; where they are absent the figures are None. For "perplexity", with the
            divergence, the original has to be a language model; without targets each token is
            that of the one before. "energy" is an estimate for
            digital logic in 45 nm with its memory traffic (`spikeformer.profiling`).
        original: What it was converted from; None takes the weights inside `spiking`, which
            differ from it after bias correction and fine-tuning.
        max_samples: Stop after the batch in which so many are reached.
        progress: Show a progress bar.
        count_bytes: Says how many bytes of text some tokens are, for bits per byte.

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
    language = generates(spiking.original)
    tally = Tally(spiking.confidence, language, count_bytes)
    seconds = [0.0, 0.0]
    batches = take(loader, max_samples or 2**62, num_tokens if language else num_samples)
    for raw, targets in tqdm(batches, desc="evaluating", disable=not progress):
        args, kwargs = arguments(to_device(raw, device_of(spiking)))
        start = time.perf_counter()
        wanted = reference(*args, **kwargs)
        seconds[0] += time.perf_counter() - start
        activity.samples += tally.begin(kwargs or args, wanted, targets)
        with spiking.recording(activity):
            seconds[1] += _compare(tally, spiking.readouts(*args, **kwargs))
    return _evaluation(tally, activity, spiking, set(metrics), seconds)


def _compare(tally: Tally, outputs: Iterator[Any]) -> float:
    """Hand a tally the outputs one by one; return the seconds that computing them took."""
    seconds, output, start = 0.0, None, time.perf_counter()
    for following in outputs:
        seconds += time.perf_counter() - start
        if output is not None:
            tally.add(output, last=False)
        output, start = following, time.perf_counter()
    seconds += time.perf_counter() - start
    tally.add(output, last=True)
    return seconds


def _evaluation(
    tally: Tally,
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
            figures.accuracy = tally.share("right", index)
        if "agreement" in metrics:
            figures.agreement = tally.share("same", index)
        if "error" in metrics:
            figures.error = tally.share("errors", index)
        if "perplexity" in metrics and tally.tokens:
            figures.perplexity = tally.perplexity(index)
            figures.divergence = tally.share("divergence", index)
        if "events" in metrics:
            figures.events_per_neuron = activity.events_per_neuron(step)
        if "energy" in metrics:
            figures.energy_uj = _energy(activity.counts(step))
        steps.append(figures)
    result = Evaluation(tally.samples, steps)
    if "perplexity" in metrics:
        result.original_perplexity = tally.perplexity(None)
        result.num_bytes = tally.num_bytes or None
    if "accuracy" in metrics and "right" in tally.original:
        result.original_accuracy = tally.original["right"] / tally.samples
        if steps[-1].accuracy is not None and result.original_accuracy:
            result.retention = steps[-1].accuracy / result.original_accuracy
    if "sparsity" in metrics or "events" in metrics:
        result.sparsity, result.rates = activity.sparsity, activity.rates()
    if "energy" in metrics:
        result.original_energy_uj = _energy(activity.original_counts())
        result.floating_evaluations = activity.evaluations / tally.samples
    if "latency" in metrics:
        result.original_seconds, result.seconds = (each / tally.samples for each in seconds)
    if tally.exits:
        exits = {name: total / tally.samples for name, total in tally.exits.items()}
        result.exit_timesteps, result.exit_agreement = exits["steps"], exits["same"]
        result.exit_accuracy = exits.get("right")
    return result


def _energy(counts: Any) -> tuple[float, float, float]:
    energy = estimate(counts, "simulation").energy_uj
    return energy.low, energy.value, energy.high
