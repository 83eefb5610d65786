"""A backbone and a head, as one network."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import msgspec
import torch
from torch import Tensor, nn

from spikeformer.config import Described, RunRecord, inert, instantiate
from spikeformer.data import Preparation, SpikingDataModule
from spikeformer.error_handling import ConfigurationError, SpikeformerError
from spikeformer.files import UnreadableFileError, read_json, write_json
from spikeformer.models.hub import HubMixin
from spikeformer.models.weights import check_layout, put_file, read_layout, save_weights

FORMAT = 1


@dataclass(frozen=True)
class TrainedOn:
    """The data of a network's training: what its inputs are, and what its outputs mean.

    Attributes:
        settings: Configuration of the data module, without its place on a machine.
        preparation: Classes, tokens and scale.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    preparation: Preparation = field(default_factory=Preparation)

    def data(self, *, trusted: Collection[str] = (), **changes: Any) -> SpikingDataModule:
        """Return the data module, or other data prepared as those of the training.

        Args:
            trusted: Packages of your own that the settings may name.
            **changes: Arguments of the data module that differ, as `path="/other/data"`.

        Raises:
            ConfigurationError: There is no such argument, or nothing is known of the data.
        """
        settings = {**inert(self.settings), **changes}
        data: SpikingDataModule = instantiate(settings, SpikingDataModule, trusted=trusted)
        data.use(self.preparation)
        return data


@dataclass(frozen=True)
class NetworkFile:
    """What `config.json` holds.

    Attributes:
        format: Version of this class.
        network: How to build the network, for `instantiate`.
        trained_on: The data, if they are known.
        run: What the command line needs of the run that made it.
    """

    format: Annotated[int, msgspec.Meta(ge=1)]
    network: dict[str, Any]
    trained_on: TrainedOn | None = None
    run: RunRecord | None = None


class SavedNetwork(HubMixin, Described, nn.Module):
    """A network that `save_pretrained` writes: how to build it, its weights and its data.

    The arguments of a subclass's constructor are what a file can name, as `Described` has it.

    Attributes:
        trained_on: The data of its training, if they are known; saved with the network.
        run: What is known of the run that trained it, likewise.
    """

    hub_files: ClassVar = ("config.json", "model.safetensors")
    trained_on: TrainedOn | None = None
    run: RunRecord | None = None

    def _write(self, folder: Path) -> None:
        node = self.description
        _check_built_so(self, node)
        save_weights(self, folder / "model.safetensors")
        content = NetworkFile(FORMAT, node, self.trained_on, self.run)
        write_json(folder / "config.json", asdict(content))

    @classmethod
    def _read(  # type: ignore[override]
        cls, folder: Path, *, trusted: Collection[str] = ()
    ) -> Self:
        content, weights = read_network_file(folder), folder / "model.safetensors"
        if not weights.is_file():
            raise ConfigurationError(f"{folder} has no {weights.name}, the network's weights.")
        try:
            # Without memory first: a file can name any size, and the weights tell the right one.
            with torch.device("meta"):
                check_layout(_build(content.network, cls, trusted), read_layout(weights), weights)
            net: Self = _build(content.network, cls, trusted)
            put_file(net, weights)
        except SpikeformerError:
            raise
        except Exception as error:
            # A stranger's files make their readers raise what they like.
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ConfigurationError(f"{folder} holds no network: {reason}") from error
        net.trained_on, net.run = content.trained_on, content.run
        return net.eval()


class SpikingNetwork(SavedNetwork):
    """Chains a backbone and a head, handing the padding mask to both.

    Args:
        backbone: Maps inputs to features (batch, timesteps, tokens, d_model).
        head: Maps features to outputs (batch, timesteps, ...).

    Example:
        >>> import torch
        >>> from spikeformer.models import ClassificationHead, SpikingViT
        >>> backbone = SpikingViT(1, 8, d_model=16, nhead=2, num_layers=1, stem_strides=[1, 2])
        >>> net = SpikingNetwork(backbone, ClassificationHead(16, num_classes=10))
        >>> net(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 4, 10])
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, *inputs: Tensor, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Return outputs for every timestep, shape (batch, timesteps, ...).

        Args:
            *inputs: The backbone's inputs.
            mask: True at real tokens, shape (batch, tokens); None if there is no padding.
            **kwargs: The backbone's further inputs, by name.
        """
        if mask is None:
            outputs: Tensor = self.head(self.backbone(*inputs, **kwargs))
        else:
            outputs = self.head(self.backbone(*inputs, mask=mask, **kwargs), mask=mask)
        return outputs


def read_network_file(folder: Path) -> NetworkFile:
    """Return what the `config.json` of a saved network holds.

    Raises:
        ConfigurationError: It is absent, of another version, or holds something else.
    """
    path = folder / "config.json"
    try:
        content = read_json(path, NetworkFile)
    except (FileNotFoundError, UnreadableFileError) as error:
        raise ConfigurationError(
            f"{error} {folder} is no folder that `SpikingNetwork.save_pretrained` wrote."
        ) from error
    if content.format != FORMAT:
        raise ConfigurationError(
            f"{path} has the format {content.format}, and this version of SpikeFormer reads"
            f" {FORMAT}."
        )
    return content


def _build(node: dict[str, Any], kind: type[nn.Module], trusted: Collection[str]) -> Any:
    return instantiate(inert(node), kind, trusted=trusted)


def _check_built_so(net: nn.Module, node: dict[str, Any]) -> None:
    """Refuse a network that was changed after it was built: the file would describe another one.

    Raises:
        ConfigurationError: A module or a setting is another one than the description makes.
    """
    packages = {type(module).__module__.partition(".")[0] for module in net.modules()}
    with torch.device("meta"):
        again = _build(node, type(net), packages)
    made, there = dict(again.named_modules()), dict(net.named_modules())
    for path in sorted(made.keys() | there.keys()):
        before, now = made.get(path), there.get(path)
        where = f"layer {path!r}" if path else "the network"
        if before is None or now is None or type(before) is not type(now):
            names = [type(module).__name__ for module in (before, now)]
            raise _changed(where, *names)
        expected, found = dict(_settings(before)), dict(_settings(now))
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise _changed(f"`{name}` of {where}", expected.get(name), found.get(name))


def _settings(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the plain attributes of a layer, without those that say how it is being used."""
    plain = (bool, int, float, str, tuple, type(None))
    for name, value in vars(module).items():
        if isinstance(value, plain) and not name.startswith("_") and name not in _IN_USE:
            yield name, value


_IN_USE = ("training", "over_processes", "recompute", "trained_on", "run", "call_super_init")


def _changed(where: str, before: object, now: object) -> ConfigurationError:
    return ConfigurationError(
        f"Expected the network that its constructor makes, but {where} has become {now} where"
        f" that makes {before}. Change it by its arguments, or save its `state_dict`."
    )
