"""Measures the activity of every spiking layer of a network while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from spikeformer.instrument.hooks import ModuleWatch
from spikeformer.instrument.recognition import neuron_kind
from spikeformer.metrics import FiringRate, SaturatedNeurons, SilentNeurons


@dataclass
class LayerActivity:
    """The running metrics of one spiking layer."""

    # Each process looks at its own spikes: waiting for the others would need all of them to ask.
    firing_rate: FiringRate = field(default_factory=partial(FiringRate, sync_on_compute=False))
    silent: SilentNeurons = field(default_factory=partial(SilentNeurons, sync_on_compute=False))
    saturated: SaturatedNeurons = field(
        default_factory=partial(SaturatedNeurons, sync_on_compute=False)
    )

    def update(self, spikes: Tensor) -> None:
        """Add spikes of shape (batch, timesteps, *features)."""
        for metric in (self.firing_rate, self.silent, self.saturated):
            metric.to(spikes.device).update(spikes)


def watch_spikes(
    model: nn.Module, observe: Callable[[str, Tensor], None], *, uncompiled: bool = True
) -> ModuleWatch:
    """Call `observe(path, spikes)` whenever a spiking layer of `model` fires.

    Args:
        model: The network.
        observe: What to call; spikes are (batch, timesteps, *features), of one timestep where the
            layer is called for each.
        uncompiled: Run compiled networks uncompiled meanwhile.

    Returns:
        The watch; close it, or use it in a `with` block.
    """
    kinds = {path: neuron_kind(module) for path, module in model.named_modules()}
    spiking = {
        path: kind
        for path, kind in kinds.items()
        if kind is not None and kind.does_fire(model.get_submodule(path))
    }

    def hear(path: str, neuron: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        observe(path, spiking[path].batch_first(neuron, output))

    return ModuleWatch(model, hear, paths=spiking, uncompiled=uncompiled)


class ActivityProbe:
    """Context manager that collects `LayerActivity` by layer name; leaves no hooks behind.

    Layers are those that `neuron_kind` recognises: ours, those of other libraries, your own.

    A compiled model runs uncompiled inside, since a compiled graph does not call new hooks.

    Args:
        model: The model to watch.

    Example:
        >>> import torch
        >>> from spikeformer.neurons import LifNeuron
        >>> model = nn.Sequential(LifNeuron())
        >>> with ActivityProbe(model) as probe:
        ...     spikes = model(torch.full((1, 4, 2), 5.0))
        >>> probe.layers["0"].firing_rate.compute().item()
        1.0
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.layers: dict[str, LayerActivity] = {}
        self._watch: ModuleWatch | None = None

    def _observe(self, path: str, spikes: Tensor) -> None:
        self.layers.setdefault(path, LayerActivity()).update(spikes)

    def __enter__(self) -> ActivityProbe:
        self._watch = watch_spikes(self.model, self._observe)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._watch is not None:
            self._watch.close()

    @property
    def firing_rate(self) -> float:
        """Firing rate over all neurons of all layers."""
        rates = [layer.firing_rate for layer in self.layers.values()]
        total = sum(float(rate.total) for rate in rates)
        return sum(float(rate.spikes) for rate in rates) / total if total else 0.0

    def summary(self) -> dict[str, dict[str, float]]:
        """Return `{"firing_rates" | "silent" | "saturated": {layer: value}}` as plain numbers."""
        layers = self.layers.items()
        return {
            "firing_rates": {name: float(a.firing_rate.compute()) for name, a in layers},
            "silent": {name: float(a.silent.compute()) for name, a in layers},
            "saturated": {name: float(a.saturated.compute()) for name, a in layers},
        }
