"""A network, what its outputs mean, and what a request costs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.config import bundled
from spikeformer.conversion import Activity, SpikingModel
from spikeformer.conversion.preprocessing import Preprocessing
from spikeformer.data import SpikingDataModule
from spikeformer.data.batch import call
from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t
from spikeformer.instrument import copy_network
from spikeformer.models import SpikingNetwork
from spikeformer.profiling import EnergyProfiler, OperationCounts, estimate
from spikeformer.runs import RunFolder, TextGenerator, is_language_model, load_run

_TOP = 5
"""Classes that a prediction lists."""


@dataclass
class Predictor:
    """What the server needs of a network.

    Attributes:
        name: What it is called.
        model: The network, in evaluation mode.
        data: The data of its training, not set up; None if they are unknown.
        class_names: Names of the classes, empty if its outputs are something else.
        technology: Whose prices the energy of a request is estimated with.
    """

    name: str
    model: nn.Module
    data: SpikingDataModule | None = None
    class_names: Sequence[str] = ()
    technology: str = "simulation"
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _counted: nn.Module | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of a sample, where the network says it."""
        shape = getattr(getattr(self.model, "backbone", None), "image_shape", None)
        return None if shape is None else tuple(shape)

    def predictions(self, outputs: Tensor, confidence: float | None = None) -> list[dict[str, Any]]:
        """Return what outputs mean, one mapping for each sample.

        The output is averaged over time. With `confidence` it is read at the first timestep
        after which the leading class is at least so probable, and else at the last one.

        Args:
            outputs: Of the network, shape (samples, timesteps, ...).
            confidence: From 0 to 1; None reads after the last timestep.
        """
        outputs = outputs.float()
        if not self.class_names or outputs.ndim != 3 or outputs.shape[2] != len(self.class_names):
            return [
                {"outputs": sample.tolist(), "timesteps": outputs.shape[1]}
                for sample in outputs.mean(dim=1)
            ]
        counts = torch.arange(1, outputs.shape[1] + 1).view(1, -1, 1)
        probabilities = (outputs.cumsum(dim=1) / counts).softmax(dim=-1)
        return [self._of_classes(sample, confidence) for sample in probabilities]

    def _of_classes(self, probabilities: Tensor, confidence: float | None) -> dict[str, Any]:
        last = len(probabilities) - 1
        if confidence is not None:
            sure = (probabilities.amax(dim=-1) >= confidence).nonzero()
            last = int(sure[0]) if len(sure) else last
        values, places = probabilities[last].topk(min(_TOP, probabilities.shape[1]))
        top = [
            {"class": self.class_names[place], "probability": value}
            for value, place in zip(values.tolist(), places.tolist(), strict=True)
        ]
        return {**top[0], "timesteps": last + 1, "top": top}

    def energy(self, inputs: Any) -> dict[str, Any]:
        """Return the estimated energy of a sample of these inputs, in µJ, with its bounds.

        The network runs once more, on a copy whose operations are counted; with early reading, too,
        all timesteps count. What a converted network computes in floating point (LayerNorm,
        softmax, ...) is no part of it.
        """
        with self._lock:
            if self._counted is None:
                self._counted = copy_network(self.model).cpu()
            counts = _counts(self._counted, inputs)
        found = estimate(counts, self.technology)
        return {
            "energy_per_sample_uj": found.energy_uj.value,
            "energy_per_sample_low_uj": found.energy_uj.low,
            "energy_per_sample_high_uj": found.energy_uj.high,
            "kind": found.kind,
            "technology": self.technology,
            "uncovered_operations": sum(found.uncovered.values()),
            "firing_rate": counts.firing_rate,
        }


@torch.no_grad()
def _counts(network: nn.Module, inputs: Any) -> OperationCounts:
    """Return what a network does for these inputs."""
    if isinstance(network, Readouts):
        spiking = network.spiking
        activity = Activity(spiking.plan, spiking.coding)
        with spiking.recording(activity):
            activity.samples = len(call(network, inputs))
        return activity.counts()
    with EnergyProfiler().attach(network).measure() as recording:
        call(network, inputs)
    return recording.counts


class Readouts(nn.Module):
    """A converted classifier that takes what data modules give, and has outputs over time.

    Averaged over the first timesteps, the outputs are the logits that are read after them.

    Args:
        spiking: The converted network, whose outputs have a field `logits`.
        prepare: Turns images in [0, 1] into what it takes; None for token ids.
    """

    def __init__(self, spiking: SpikingModel, prepare: nn.Module | None) -> None:
        super().__init__()
        self.spiking, self.prepare = spiking, prepare

    @classmethod
    def of(cls, spiking: SpikingModel, pretrained: str) -> Readouts:
        """Return it for a network that was converted from a pretrained one.

        Raises:
            ConversionError: Nothing says how its images are prepared.
        """
        takes_images = getattr(spiking.original, "main_input_name", None) == "pixel_values"
        config = getattr(spiking.original, "config", None)
        return cls(spiking, Preprocessing.of(pretrained, config) if takes_images else None)

    def forward(
        self,
        images: Tensor | None = None,
        *,
        input_ids: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return outputs, shape (batch, timesteps, classes)."""
        if images is not None and self.prepare is not None:
            given: dict[str, Any] = {"pixel_values": self.prepare(images)}
        else:
            given = {"input_ids": input_ids}
            given |= {} if mask is None else {"attention_mask": mask.long()}
        read = torch.stack([found.logits for found in self.spiking.readouts(**given)], dim=1)
        sums = read * torch.arange(1, read.shape[1] + 1, device=read.device).view(1, -1, 1)
        return torch.diff(sums, dim=1, prepend=torch.zeros_like(sums[:, :1]))


def load_predictor(name: str, *, technology: str = "simulation") -> Predictor | TextGenerator:
    """Return the predictor of a run, a sweep's best run, a saved network or a bundled one.

    A run's language model becomes a `TextGenerator`.

    Args:
        name: A folder, or a name that `spikeformer models` lists.
        technology: Whose prices the energy of a request is estimated with.

    Raises:
        ConfigurationError: There is none, or a file cannot be read.
    """
    folder = Path(name)
    files = RunFolder(folder)
    if files.config.is_file() or files.sweep.is_file():
        run = load_run(folder)
        if is_language_model(run.network):
            return TextGenerator(run)
        names = run.results.data.class_names if run.results.data is not None else []
        task = str(run.config.task.module.get("_target_", "")) if "task" in run.config else ""
        classes = names if task.endswith(".ClassificationModule") else []
        model = run.network
        if isinstance(model, SpikingModel):
            model = Readouts.of(model, str(run.config.model.get("pretrained")))
        return Predictor(run.results.name, model, run.data(), classes, technology)
    if not folder.is_dir() and bundled(name) is None:
        raise ConfigurationError(t("cli.no_such_run", name=name))
    net = SpikingNetwork.from_pretrained(name)
    data = None if net.trained_on is None else net.trained_on.data()
    told = "classification" if net.run is None else net.run.choices.get("task", "classification")
    known = [] if net.trained_on is None else net.trained_on.preparation.class_names
    classes = known if told == "classification" else []
    return Predictor(folder.name, net, data, classes, technology)
