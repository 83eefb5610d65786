"""What the stages that bring a network to a chip share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy.typing as npt
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn.functional import pad

from spikeformer.config import instantiate
from spikeformer.conversion import PretrainedTransformer, load_converted
from spikeformer.cross_platform import PlatformDetector
from spikeformer.data import SpikingDataModule, TokenBatches
from spikeformer.data.batch import first, join
from spikeformer.error_handling import ConfigurationError, check_positive_int
from spikeformer.hardware import (
    InputShape,
    Lowered,
    NeuromorphicDeployer,
    Samples,
    SpikeGraph,
    spike_bytes,
)
from spikeformer.i18n import t
from spikeformer.pipeline.build import Components
from spikeformer.pipeline.run import Run

STAGE_KEYS = ("samples", "qat_epochs", "rate")
"""Keys of the group `hardware` that are the stages' own; the others are the deployer's."""


@dataclass(frozen=True)
class ChipSamples:
    """Test samples that run on the chip.

    Attributes:
        inputs: Shape (samples, ...), or such a tensor of each input by its name.
        targets: Classes, (samples,), or of a language model the next tokens, (samples, tokens).
    """

    inputs: Samples
    targets: npt.NDArray[Any]

    @property
    def shape(self) -> InputShape:
        """Shape of one sample, as `lower` takes it."""
        return input_shape(self.inputs)


def input_shape(inputs: Samples) -> InputShape:
    """Return the shape of one sample of inputs, as `lower` takes it."""
    if isinstance(inputs, Tensor):
        return tuple(inputs.shape[1:])
    return {name: tuple(x.shape[1:]) for name, x in inputs.items()}


def wants_chip(config: DictConfig) -> bool:
    """Whether the configuration names a hardware target."""
    return bool(config.hardware)


def make_deployer(config: DictConfig) -> NeuromorphicDeployer:
    """Create the deployer that the group `hardware` describes."""
    chosen = cast(dict[str, Any], OmegaConf.to_container(config.hardware, resolve=True))
    settings = {key: value for key, value in chosen.items() if key not in STAGE_KEYS}
    deployer: NeuromorphicDeployer = instantiate(
        settings, NeuromorphicDeployer, trusted=config.trusted_packages
    )
    return deployer


def check_hardware(config: DictConfig, parts: Components) -> None:
    """Find out before training whether the network can go to the chosen target.

    Raises:
        HardwareCompatibilityError: The toolchain is not installed, or a layer is not supported.
        ConfigurationError: The data or the task is not what the stages can work with.
    """
    check_positive_int("hardware.samples", config.hardware.samples)
    deployer = make_deployer(config)
    converted = converts(config, parts.module.net)
    if converted:
        deployer.check_converted()
        encoding = config.conversion.converter.spike_encoding
        if encoding != "rate":
            raise ConfigurationError(t("hardware.not_differential", encoding=encoding))
        if config.hardware.qat_epochs:
            raise ConfigurationError(t("pipeline.converted_not_tuned"))
    deployer.check()
    if config.hardware.qat_epochs and deployer.target.numbers is None:
        epochs, target = config.hardware.qat_epochs, deployer.target.name
        raise ConfigurationError(t("pipeline.target_takes_reals", epochs=epochs, target=target))
    samples = chip_samples(parts.data, 1, "fit")
    if not converted:
        lowered_network(deployer, parts.module.net, samples.shape)


def converts(config: DictConfig, net: nn.Module) -> bool:
    """Whether what goes to the chip is what the convert stage makes of the run's network."""
    return isinstance(net, PretrainedTransformer) and bool(config.conversion)


_CONVERTED: WeakKeyDictionary[nn.Module, tuple[int, nn.Module]] = WeakKeyDictionary()


def chip_network(run: Run, weights: str = "last") -> nn.Module:
    """Return the network that goes to the chip: the converted one, or the run's with its weights.

    Args:
        run: The run.
        weights: As for `Run.trained`.
    """
    net = run.parts.module.net
    if not converts(run.config, net):
        return run.trained(weights)
    folder = run.folder / "converted"
    file = folder / "model.safetensors"
    written = file.stat().st_mtime_ns if file.is_file() else 0
    kept = _CONVERTED.get(net)
    if kept is None or kept[0] != written:
        kept = _CONVERTED[net] = (written, load_converted(folder))
    return kept[1]


def prepared(run: Run, samples: ChipSamples) -> ChipSamples:
    """Return samples as the network that goes to the chip takes them."""
    net = run.parts.module.net
    if not converts(run.config, net):
        return samples
    assert isinstance(net, PretrainedTransformer)
    named = net.arguments(samples.inputs)
    tensors = {name: x for name, x in named.items() if isinstance(x, Tensor)}
    return replace(samples, inputs=tensors)


RECORDS = 4
"""Times that a stage holds the spikes of all samples: of PyTorch, and of up to three runs."""


def check_memory(graph: SpikeGraph, samples: int, available: int | None = None) -> None:
    """Refuse more samples than the memory holds, before the first of them runs.

    Args:
        graph: The network.
        samples: How many run.
        available: Bytes that are free; None asks the machine.

    Raises:
        ConfigurationError: The spikes of all samples do not fit; the message says how many do.
    """
    if available is None:
        available = PlatformDetector().detect_platform().available_bytes
    needed = RECORDS * spike_bytes(graph)
    if samples * needed > available:
        numbers = {"samples": samples, "most": available // needed}
        sizes = {"needed": samples * needed / 2**30, "free": available / 2**30}
        raise ConfigurationError(t("pipeline.spikes_do_not_fit", **numbers, **sizes))


_LOWERED: WeakKeyDictionary[nn.Module, tuple[Any, Lowered]] = WeakKeyDictionary()


def lowered_network(
    deployer: NeuromorphicDeployer, net: nn.Module, input_shape: InputShape
) -> Lowered:
    """Return a run's network as a spike graph, lowered anew only if its weights have changed."""
    tensors = [*net.parameters(), *net.buffers()]
    state = (type(deployer), input_shape, [(x.data_ptr(), x._version) for x in tensors])
    kept = _LOWERED.get(net)
    if kept is None or kept[0] != state:
        kept = _LOWERED[net] = (state, deployer.lowered(net, input_shape))
    return kept[1]


def chip_samples(data: SpikingDataModule, count: int, split: str = "test") -> ChipSamples:
    """Return the first samples of the test split, or of the training split for "fit"."""
    data.setup(split)
    loader = data.test_dataloader() if split == "test" else data.train_dataloader()
    inputs: list[Samples] = []
    targets: list[Tensor] = []
    for batch, target in loader:
        if not _fits(batch, target):
            raise ConfigurationError(t("pipeline.only_classifiers"))
        inputs.append(data.of_one_size(batch))
        if target.ndim == 2:
            size = input_shape(inputs[-1])
            assert isinstance(size, Mapping)
            missing = size["mask"][0] - target.shape[1]
            target = pad(target, (0, missing), value=TokenBatches.ignore_index)
        targets.append(target)
        if sum(map(len, targets)) >= count:
            break
    return ChipSamples(first(join(inputs), count), torch.cat(targets)[:count].numpy())


def _fits(inputs: Any, target: Tensor) -> bool:
    """Whether a network for such a batch can be lowered: a tensor, or several by their names."""
    named = isinstance(inputs, Mapping) and all(isinstance(x, Tensor) for x in inputs.values())
    if target.is_floating_point() or not (named or isinstance(inputs, Tensor)):
        return False
    return target.ndim == 1 or (named and "mask" in inputs and target.shape == inputs["mask"].shape)


def hardware_folder(run: Run) -> Path:
    """Return where everything about the chip lies."""
    folder = run.files.hardware
    folder.mkdir(parents=True, exist_ok=True)
    return folder
