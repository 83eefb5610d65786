"""One test sample, recorded spike by spike, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spikeformer.data import SpikingDataModule
from spikeformer.data.batch import first, named_tensors, to_device
from spikeformer.instrument import watch_spikes
from spikeformer.models.mechanisms import AttentionMechanism
from spikeformer.runs import SampleResults
from spikeformer.training import SpikingModule

MAX_NEURONS = 256
"""Neurons recorded of each layer, evenly spread over it."""


def record_sample(module: SpikingModule, data: SpikingDataModule) -> SampleResults:
    """Run the first test sample through the network."""
    inputs, target = next(iter(data.test_dataloader()))
    one = first(inputs, 1)
    spikes: dict[str, Tensor] = {}
    module.eval()
    watch = watch_spikes(module.net, lambda name, x: spikes.__setitem__(name, x[0]))
    with watch, torch.no_grad():
        output = module(to_device(one, module.device))[0].float().cpu()
    return SampleResults(
        inputs=_shown(one, data),
        target=target[0].numpy(),
        prediction=output.mean(dim=0).argmax(dim=-1).numpy(),
        output=output.numpy(),
        spikes={name: _thin(x) for name, x in spikes.items()},
        attention=_attention(module.net, one, spikes),
    )


def _attention(
    net: nn.Module, inputs: Any, spikes: Mapping[str, Tensor]
) -> dict[str, npt.NDArray[np.float32]]:
    """Return what attention lets pass at each token of an image, for layers that tell tokens apart.

    Query-key token attention has a gate for each token and head; spike-driven attention counts over
    tokens and has none.
    """
    if not isinstance(inputs, Tensor) or inputs.ndim < 4:
        return {}
    height, width = inputs.shape[-2:]
    found = {}
    for path, module in net.named_modules():
        fired = spikes.get(f"{path}.neuron" if path else "neuron")
        if not isinstance(module, AttentionMechanism) or fired is None or fired.ndim < 3:
            continue
        tokens = fired.shape[1]  # of (timesteps, tokens, heads, ...)
        rows = round((tokens * height / width) ** 0.5)
        if tokens > 1 and rows * (tokens // rows) == tokens:
            share = (fired != 0).float().flatten(2).mean(dim=(0, 2))
            found[path] = share.view(rows, -1).cpu().numpy()
    return found


def _shown(inputs: Any, data: SpikingDataModule) -> dict[str, npt.NDArray[Any]]:
    """Return what a person wants to see of an input: images and sounds, or the words."""
    named = named_tensors(inputs)
    if "mask" in named:
        named = {"tokens": named["input_ids"][named["mask"]][None]}
    return {
        name or "input": x[0].numpy()
        if x.is_floating_point()
        else np.array(data.tokens(x[0].tolist()), dtype=np.str_)
        for name, x in named.items()
    }


def _thin(spikes: Tensor) -> npt.NDArray[np.uint8]:
    """Return at most `MAX_NEURONS` neurons of (timesteps, *features)."""
    flat = spikes.flatten(1)
    if flat.shape[1] > MAX_NEURONS:
        flat = flat[:, torch.linspace(0, flat.shape[1] - 1, MAX_NEURONS).long()]
    fired: npt.NDArray[np.uint8] = (flat != 0).to(torch.uint8).cpu().numpy()
    return fired
