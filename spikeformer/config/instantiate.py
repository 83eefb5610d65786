"""The one place where a configuration becomes objects."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from spikeformer.config.targets import check_kind, check_result, resolve_target, targets_in
from spikeformer.error_handling import ArgumentError, ConfigurationError, SpikeformerError
from spikeformer.i18n import t


def instantiate(
    config: Any, kind: Any = object, *, trusted: Collection[str] = (), **kwargs: Any
) -> Any:
    """Create the object that a configuration describes.

    It reads `_target_`, `_args_` and `_partial_` as Hydra does, but resolves a configuration once,
    looks up each target once, and calls what it has checked. Constructors get plain lists and
    dicts.

    Args:
        config: A node with `_target_`, or a list or dict with such nodes in it; None gives None.
        kind: What the caller expects: a type, a factory, or a tuple of them.
        trusted: Packages of your own that may be named besides those that `is_allowed` knows; a
            configuration names them under `trusted_packages`.
        **kwargs: Arguments that override or add to the node's own.

    Returns:
        The object, or a `functools.partial` where the node says `_partial_: true`.

    Raises:
        ConfigurationError: A target is not allowed, of another kind or absent, or its constructor
            refused an argument. The message names the key.
    """
    if config is None:
        return None
    if isinstance(config, dict | list):
        config = OmegaConf.create(config, flags={"allow_objects": True})
    node = OmegaConf.to_container(config, resolve=True)
    return _Builder(config, trusted).build(node, _full_key(config, None), kind, kwargs)


def check_targets(config: Any, trusted: Collection[str] = ()) -> None:
    """Raise `ConfigurationError` if any `_target_` below `config` may not be created."""
    for key, target in targets_in(config):
        resolve_target(key, target, trusted)


@dataclass(frozen=True)
class _Builder:
    """Creates the objects of one configuration, which error messages ask for keys."""

    config: DictConfig | ListConfig
    trusted: Collection[str]

    def build(self, node: Any, key: str, kind: Any = None, extra: Mapping[str, Any] = {}) -> Any:
        """Return the object of a resolved node, whose children are made before it."""
        if isinstance(node, list):
            return [self.build(child, f"{key}[{index}]") for index, child in enumerate(node)]
        if not isinstance(node, dict):
            if node == MISSING:
                raise ConfigurationError(t("config.no_value", key=key))
            return node
        prefix = f"{key}." if key else ""
        if "_target_" not in node:
            return {name: self.build(child, f"{prefix}{name}") for name, child in node.items()}
        target_key = f"{prefix}_target_"
        found = resolve_target(target_key, node["_target_"], self.trusted)
        if kind is not None:
            check_kind(target_key, found, kind, self.trusted)
        positional = self.build(node.get("_args_") or [], f"{prefix}_args_")
        named = {
            name: self.build(child, f"{prefix}{name}")
            for name, child in node.items()
            if name not in (*_SPECIAL, *extra)
        }
        if node.get("_partial_"):
            return partial(found, *positional, **named, **extra)
        try:
            made = found(*positional, **named, **extra)
        except Exception as error:
            raise self._explained(error, key, str(node["_target_"])) from error
        if kind is not None:
            check_result(target_key, made, kind)
        return made

    def _explained(self, error: Exception, key: str, target: str) -> SpikeformerError:
        """Turn a constructor's error into one that names the key."""
        if isinstance(error, ArgumentError):
            named = _key_of(self.config, error.argument, error.value) or error.argument
            return ConfigurationError(f"{named}={error.value}: {error}")
        if isinstance(error, SpikeformerError):
            return error
        text = str(error).strip() or type(error).__name__
        return ConfigurationError(f"{key or target}: {text.splitlines()[0]}")


_SPECIAL = ("_target_", "_args_", "_partial_", "_convert_")
"""Keys of a node that are no arguments."""


def _full_key(node: DictConfig | ListConfig, key: Any) -> str:
    return str(node._get_full_key(key) or "")


def _origin(node: DictConfig | ListConfig, key: Any) -> str:
    """Return the full key of a value, or of the one that an interpolation takes it from."""
    child: Any = node._get_node(key)
    source = child._dereference_node() if child._is_interpolation() else child
    return str(source._get_full_key(None))


def _key_of(node: Any, argument: str, value: Any) -> str | None:
    """Return the full key under which a refused argument stands, in `node` or below it.

    A part that is built later, as the neurons inside a model, stands under its own group: there
    the node behind an interpolation tells its own key.
    """
    if not isinstance(node, DictConfig | ListConfig):
        return None
    for key, child in _items(node):
        if key == argument and child == value:
            return _origin(node, key)
    for _, child in _items(node):
        if (found := _key_of(child, argument, value)) is not None:
            return found
    return None


def _items(node: DictConfig | ListConfig) -> Iterator[tuple[Any, Any]]:
    keys: Any = node.keys() if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        if not OmegaConf.is_missing(node, key):
            yield key, node[key]
