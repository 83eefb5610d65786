"""The network of a run, and its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from spikeformer.config import instantiate
from spikeformer.data import Preparation
from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t
from spikeformer.models import SpikingNetwork
from spikeformer.models.network import read_network_file
from spikeformer.runs.layout import RunFolder
from spikeformer.training import SpikingModule

RECALIBRATED = "recalibrated"
"""The last weights with the statistics of batch norms taken anew."""


def build_network(config: DictConfig) -> nn.Module:
    """Create the network alone: backbone and head, or a model that brings its own."""
    trusted = config.trusted_packages
    _check_encoding(config)
    backbone = instantiate(config.model, nn.Module, trusted=trusted)
    if getattr(backbone, "has_head", False):
        network: nn.Module = backbone
        return network
    return SpikingNetwork(backbone, instantiate(config.task.head, nn.Module, trusted=trusted))


def choose_checkpoint(files: RunFolder, config: DictConfig, weights: str = "last") -> Path:
    """Return the file with a run's weights: its own, or that of the checkpoint it was given.

    A run that has trained never falls back on what it began with.

    Args:
        files: The run's.
        config: Its configuration.
        weights: "last", "best", "recalibrated", or "finetuned" for the chip.

    Raises:
        ConfigurationError: There are no such weights.
    """
    if weights == "finetuned":
        return files.finetuned
    own = files.checkpoint(weights)
    if own.is_file():
        return own
    trained = {path.stem for path in own.parent.glob("*.ckpt")} - {RECALIBRATED}
    if trained or not config.get("checkpoint"):
        raise ConfigurationError(t("pipeline.no_weights", folder=files.path, file=own.name))
    return Path(config.checkpoint)


def load_weights(module: nn.Module, path: Path) -> None:
    """Load the weights of a run's checkpoint into a LightningModule or a bare network.

    Raises:
        ConfigurationError: There is no such file, it is no checkpoint, or it belongs to a
            network of another shape.
    """
    put_weights(module, read_weights(path), path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the network's weights of a run's checkpoint, or of a saved network's file.

    Raises:
        ConfigurationError: There is no such file, or it is no checkpoint.
    """
    with _reading(path):
        if path.suffix == ".safetensors":
            saved: dict[str, Tensor] = safetensors.torch.load_file(path)
            return saved
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        return {
            key.removeprefix("net."): torch.as_tensor(value)
            for key, value in state.items()
            if key.startswith("net.")
        }


def read_preparation(path: Path) -> Preparation | None:
    """Return how the data were prepared that a run's checkpoint was trained on.

    None if the checkpoint does not tell.

    Raises:
        ConfigurationError: There is no such file, or it is no checkpoint.
        DataError: What it tells cannot be read.
    """
    if path.suffix == ".safetensors":
        trained_on = read_network_file(path.parent).trained_on
        return None if trained_on is None else trained_on.preparation
    with _reading(path):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        parts = [part for part in content.values() if isinstance(part, dict)]
    # Lightning keeps what a data module tells under the name of its class.
    plain = next((part["preparation"] for part in parts if "preparation" in part), None)
    return None if plain is None else Preparation.from_plain(plain)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say of whatever goes wrong inside that the file is no checkpoint."""
    if not path.is_file():
        raise ConfigurationError(t("pipeline.no_such_checkpoint", path=path))
    try:
        yield
    except Exception as error:
        message = t("pipeline.unreadable_checkpoint", path=path, reason=error)
        raise ConfigurationError(message) from error


def put_weights(module: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Give a network its weights, and leave one alone that has them already.

    Args:
        module: A LightningModule or a bare network.
        weights: What `read_weights` returned.
        path: Where from, for the message.

    Raises:
        ConfigurationError: They belong to a network of another shape.
    """
    target = module.net if isinstance(module, SpikingModule) else module
    if _has(target, weights):
        return
    try:
        target.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise ConfigurationError(
            t("pipeline.foreign_checkpoint", path=path, reason=reason)
        ) from error


def _has(network: nn.Module, weights: dict[str, Tensor]) -> bool:
    """Whether a network has exactly these weights, so that nothing made from it is out of date."""
    state = network.state_dict()
    return state.keys() == weights.keys() and all(
        isinstance(own, Tensor)
        and own.dtype == weights[key].dtype
        and torch.equal(own.cpu(), weights[key])
        for key, own in state.items()
    )


def _check_encoding(config: DictConfig) -> None:
    direct = "spikeformer.encoding.DirectCoding"
    if "encoding" not in config.model and config.encoding._target_ != direct:
        encoding, model = config.encoding._target_, config.model._target_
        raise ConfigurationError(t("pipeline.takes_no_encoder", encoding=encoding, model=model))
