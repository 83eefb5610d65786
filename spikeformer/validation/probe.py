"""Runs a network once on probe data and keeps what its neurons did."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.data.batch import Inputs, call, device_of
from spikeformer.encoding import EventCoding
from spikeformer.instrument import (
    ActivityProbe,
    LayerActivity,
    ModuleWatch,
    copy_network,
    eager,
    spikes_of,
)
from spikeformer.neurons import SpikingNeuron

_BATCH, _TOKENS, _TIMESTEPS = 8, 16, 4
_MAX_FEATURES = 256
_UNSETTLED = 0.05
"""Share of their initial values in running statistics that say nothing yet."""


@dataclass
class LayerRecord:
    """What one spiking layer did.

    Attributes:
        neuron: The layer.
        activity: Firing rate, silent and saturated neurons.
        largest_membrane: Largest absolute membrane after the last timestep, in thresholds.
        binary: Whether all spikes were 0 or 1.
        current: What flowed into some of its neurons, (1, timesteps, features).
    """

    neuron: SpikingNeuron
    activity: LayerActivity = field(default_factory=LayerActivity)
    largest_membrane: float = 0.0
    binary: bool = True
    current: Tensor | None = None


@dataclass
class ProbeRun:
    """What a network did.

    Attributes:
        network: The copy of the network that ran.
        outputs: What came out.
        repeated: What came out of a second run on the same input.
        layers: Its spiking layers by path, those that ran.
    """

    network: nn.Module
    outputs: Tensor
    repeated: Tensor
    layers: dict[str, LayerRecord]


@dataclass
class ModelSubject:
    """A network under examination.

    Attributes:
        model: The network; it is not changed.
        probe: Inputs to run it on; None makes some up.
    """

    model: nn.Module
    probe: Inputs | None = None

    @cached_property
    def inputs(self) -> Inputs | None:
        """The probe, or made-up inputs where the network says what it takes; else None."""
        return make_probe(self.model) if self.probe is None else self.probe

    @cached_property
    def recording(self) -> ProbeRun | Exception | None:
        """What the network did on the probe, why it failed, or None without a probe."""
        if self.inputs is None:
            return None
        try:
            return record(self.model, self.inputs)
        except Exception as error:
            # Whatever a stranger's network raises is a finding, not a failure of the check.
            return error

    @property
    def ran(self) -> ProbeRun | None:
        """What the network did, if it ran."""
        return self.recording if isinstance(self.recording, ProbeRun) else None


@dataclass
class ModeRun:
    """What a network did in one mode.

    Attributes:
        firing_rate: Over all its neurons.
        accuracy: Share of right predictions, None without classes.
    """

    firing_rate: float
    accuracy: float | None


@dataclass
class ModesSubject:
    """A trained network whose training and evaluation mode are under examination.

    Attributes:
        model: The network; it is not changed.
        inputs: Samples of its data, mixed as those of a training batch.
        targets: Their classes, (samples,); None, or targets of another kind, compare rates alone.
    """

    model: nn.Module
    inputs: Inputs
    targets: Tensor | None = None

    @cached_property
    def modes(self) -> tuple[ModeRun, ModeRun] | None:
        """What it did with its batch norms in training mode, and in evaluation mode.

        None where the modes are the same, without running statistics, or where it does not run,
        which a check of `ModelSubject` reports.
        """
        if not running_norms(self.model):
            return None
        try:
            return self._in_mode(training=True), self._in_mode(training=False)
        except Exception:
            return None

    def _in_mode(self, *, training: bool) -> ModeRun:
        # Only batch norms: dropout is meant to make a difference.
        network = copy_network(self.model).eval()
        for norm in running_norms(network):
            norm.train(training)
        with ActivityProbe(network) as activity:
            outputs = _seeded(network, self.inputs)
        targets, accuracy = self.targets, None
        if targets is not None and targets.ndim == 1 and not targets.is_floating_point():
            scores = outputs.mean(dim=1) if outputs.ndim == 3 else outputs
            right = scores.argmax(dim=-1) == targets.to(scores.device)
            accuracy = float(right.float().mean())
        return ModeRun(activity.firing_rate, accuracy)


def running_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the batch norms that keep running statistics, by which evaluation normalises."""
    kinds = nn.modules.batchnorm._BatchNorm
    norms = [module for module in network.modules() if isinstance(module, kinds)]
    return [norm for norm in norms if norm.running_mean is not None]


def make_probe(model: nn.Module) -> Inputs | None:
    """Return inputs that a network takes, the same at every call; None if it does not say.

    Networks say so by `image_shape` or `vocab_size`; of others the first layer with weights must be
    linear, and gets signals (batch, timesteps, features).
    """
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if (shape := getattr(module, "image_shape", None)) is not None:
            values = torch.rand(_BATCH, *shape, generator=generator)
            events = isinstance(getattr(module, "encoding", None), EventCoding)
            return values.round() if events else values
        if isinstance(vocabulary := getattr(module, "vocab_size", None), int):
            return torch.randint(vocabulary, (_BATCH, _TOKENS), generator=generator)
    first = next((m for m in model.modules() if getattr(m, "weight", None) is not None), None)
    if isinstance(first, nn.Linear):
        return torch.rand(_BATCH, _TIMESTEPS, first.in_features, generator=generator)
    return None


def unsettled_norms_on_batches(network: nn.Module) -> nn.Module:
    """Put a network in evaluation mode, batch norms that have seen too little data aside.

    Their running statistics still hold what they began with; those of the probe say more.
    """
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            tracked = module.num_batches_tracked
            kept = 1 - (1.0 if module.momentum is None else module.momentum)
            module.train(tracked is not None and kept ** int(tracked) > _UNSETTLED)
    return network


def record(model: nn.Module, inputs: Inputs) -> ProbeRun:
    """Run a copy of a network twice on the same input and note what its neurons do."""
    network = unsettled_norms_on_batches(copy_network(model))
    layers: dict[str, LayerRecord] = {}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with eager:
        with ModuleWatch(network, partial(_observe, layers), SpikingNeuron):
            outputs = _seeded(network, inputs)
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
        # Registered buffers are a network's declared state; what it hides elsewhere shows here.
        repeated = _seeded(network, inputs)
    return ProbeRun(network, outputs, repeated, layers)


@torch.no_grad()
def _seeded(network: nn.Module, inputs: Inputs) -> Tensor:
    device = device_of(network)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        outputs: Tensor = call(network, inputs)
        return outputs


def _observe(
    layers: dict[str, LayerRecord],
    path: str,
    neuron: SpikingNeuron,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Any,
) -> None:
    spikes, current, norm = spikes_of(output), args[0], kwargs.get("norm")
    layer = layers.setdefault(path, LayerRecord(neuron))
    layer.activity.update(spikes)
    layer.binary = layer.binary and bool(((spikes == 0) | (spikes == 1)).all())
    current = current if norm is None else norm(current)
    _, state = neuron.integrate(current, neuron.initial_state(current))
    largest = float(state.membrane.abs().max()) / abs(neuron.threshold or 1.0)
    layer.largest_membrane = max(layer.largest_membrane, largest)
    layer.current = current[:1].flatten(2)[..., :_MAX_FEATURES].clone()
