"""The network's own spikes in PyTorch, in the form in which targets record theirs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from spikeformer.conversion import SpikingModel
from spikeformer.data import batch
from spikeformer.encoding import DeltaCoding, SpikeEncoder
from spikeformer.hardware.events import record_events
from spikeformer.hardware.ir.graph import Array
from spikeformer.instrument import ModuleWatch, copy_network, spikes_of, uncompiled
from spikeformer.multimodal import LogMelFrames
from spikeformer.neurons import IntegerLifNeuron, SpikingNeuron

Samples: TypeAlias = Tensor | Mapping[str, Tensor]
"""Samples as a network takes them: (samples, ...), or such a tensor of each input by its name."""

BATCH = 64
"""Samples that go through the network at once."""

_OBSERVED = (SpikingNeuron, SpikeEncoder, nn.Embedding, LogMelFrames)


@dataclass(frozen=True)
class Reference:
    """What a network computed.

    Attributes:
        inputs: Arrays of the graph's sources, made from the samples.
        spikes: Spikes of every neuron layer, uint8 (samples, timesteps, size), by module path; of
            integer neurons their number; of a converted network its events, int32, by site.
        outputs: Outputs averaged over time, (samples, ...).
    """

    inputs: dict[str, Array]
    spikes: dict[str, Array]
    outputs: Array


def record_reference(
    model: nn.Module, samples: Samples, *, dtype: torch.dtype = torch.float64
) -> Reference:
    """Run a network and record all its spikes.

    In float64 the order of sums does not matter to a spike, except where sums are integers
    and exact; in float32 about one in a million currents lies so near the threshold that it does.

    Args:
        model: The network; it is not changed.
        samples: Inputs, (samples, ...), or such a tensor of each input by its name.
        dtype: Precision in which the network runs.
    """
    if isinstance(model, SpikingModel):
        return _record_converted(model, samples, dtype)
    net = uncompiled(copy_network(model)).cpu().to(dtype).eval()
    found: dict[str, list[Array]] = defaultdict(list)
    inputs: dict[str, list[Array]] = defaultdict(list)
    calls: Counter[str] = Counter()
    for _, module in net.named_modules():
        if dtype == torch.float64 and hasattr(module, "backend"):
            module.backend = "reference"  # the definition in plain torch; kernels are for float32

    def observe(path: str, module: Any, args: Any, kwargs: Any, output: Any) -> None:
        if isinstance(module, nn.Embedding | LogMelFrames):
            if output.ndim == 3:  # of tokens, not of places
                inputs[path].append(output.flatten(1).numpy())
            return
        spikes = spikes_of(output)
        if isinstance(module, SpikeEncoder):
            if not module.constant:
                for name, train in split_signs(module, spikes).items():
                    inputs[name].append(train)
            return
        calls[path] += 1
        name = path if calls[path] == 1 else f"{path}_{calls[path]}"
        counts = spikes * module.max_spikes if isinstance(module, IntegerLifNeuron) else spikes
        found[name].append(counts.round().flatten(2).numpy().astype(np.uint8))

    outputs = []
    with torch.no_grad(), ModuleWatch(net, observe, _OBSERVED):
        for part in batch.parts(samples, BATCH):
            calls.clear()
            converted = tree_map(lambda x: x.to(dtype) if x.is_floating_point() else x, part)
            outputs.append(batch.call(net, converted).mean(dim=1).numpy())
    arrays = {name: np.concatenate(parts) for name, parts in inputs.items()}
    if isinstance(samples, Mapping):
        arrays |= {name: x.to(dtype).flatten(1).numpy() for name, x in samples.items()}
    elif not arrays:
        arrays = {"input": samples.to(dtype).flatten(1).numpy()}
    spikes = {name: np.concatenate(parts) for name, parts in found.items()}
    return Reference(arrays, spikes, np.concatenate(outputs))


def _record_converted(model: SpikingModel, samples: Samples, dtype: torch.dtype) -> Reference:
    main = getattr(model.original, "main_input_name", "input")
    named = {main: samples} if isinstance(samples, Tensor) else samples
    parts = [part for part in batch.parts(named, BATCH) if isinstance(part, Mapping)]
    events, outputs = record_events(model, parts, dtype)
    inputs = {name: x.to(torch.float64).flatten(1).numpy() for name, x in named.items()}
    return Reference(inputs, events, outputs)


def split_signs(encoder: SpikeEncoder, spikes: Tensor) -> dict[str, Array]:
    """Return the sources' spike trains (samples, timesteps, size) of what an encoder gave."""
    flat = spikes.flatten(2).numpy()
    if isinstance(encoder, DeltaCoding):
        parts = {"input.up": flat > 0, "input.down": flat < 0}
        return {name: part.astype(np.uint8) for name, part in parts.items()}
    return {"input": flat.astype(np.uint8)}
