"""The one place where a configuration becomes objects."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from spikeformer.error_handling import ArgumentError, ConfigurationError, SpikeformerError
from spikeformer.i18n import t

TRUSTED_PACKAGES = ("spikeformer", "torch", "torchmetrics", "lightning")
"""Packages whose objects any configuration may create."""


def instantiate(config: Any, *, trusted: Collection[str] = (), **kwargs: Any) -> Any:
    """Create the object that a configuration describes.

    Args:
        config: A node with `_target_`; None gives None.
        trusted: Packages allowed besides `TRUSTED_PACKAGES`; a configuration names them under
            `trusted_packages`.
        **kwargs: Arguments that override or add to the node's own.

    Returns:
        The object, or a `functools.partial` where the node says `_partial_: true`.

    Raises:
        ConfigurationError: The target is not trusted or does not exist, or its constructor
            refused an argument. The message names the key.
    """
    if config is None:
        return None
    if isinstance(config, dict | list):
        config = OmegaConf.create(config, flags={"allow_objects": True})
    check_targets(config, trusted)
    _check_origins(config, {*TRUSTED_PACKAGES, *trusted})
    try:
        return hydra.utils.instantiate(config, **kwargs)
    except MissingMandatoryValue as error:
        key = _full_key(config, error.full_key)
        raise ConfigurationError(t("config.no_value", key=key)) from error
    except InstantiationException as error:
        raise _explain(error, config) from error


def check_targets(config: Any, trusted: Collection[str] = ()) -> None:
    """Raise `ConfigurationError` if any `_target_` below `config` lies outside trusted packages."""
    allowed = {*TRUSTED_PACKAGES, *trusted}
    for key, target in _targets(config):
        package = str(target).partition(".")[0]
        if package not in allowed:
            raise ConfigurationError(
                t(
                    "config.not_trusted",
                    key=key,
                    target=target,
                    package=package,
                    trusted=", ".join(sorted(allowed)),
                )
            )


def _check_origins(config: Any, allowed: Collection[str]) -> None:
    """Refuse what a trusted package has merely imported, as in `torch.os.system`."""
    for key, target in _targets(config):
        try:
            found = hydra.utils.get_object(str(target))
        except Exception:
            continue
        module = getattr(getattr(found, "func", found), "__module__", None)
        if module is not None and module.partition(".")[0] not in allowed:
            raise ConfigurationError(
                t(
                    "config.origin_not_trusted",
                    key=key,
                    target=target,
                    package=module.partition(".")[0],
                    trusted=", ".join(sorted(allowed)),
                )
            )


def _targets(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, DictConfig | ListConfig):
        for key, value in _items(node):
            if key == "_target_":
                yield _full_key(node, key), value
            else:
                yield from _targets(value)


def _items(node: DictConfig | ListConfig) -> Iterator[tuple[Any, Any]]:
    keys: Any = node.keys() if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        if not OmegaConf.is_missing(node, key):
            yield key, node[key]


def _explain(error: InstantiationException, config: Any) -> SpikeformerError:
    """Turn Hydra's report of a failed constructor into one that names the key and the remedy."""
    cause = error.__cause__
    if isinstance(cause, ArgumentError):
        key = _key_of(config, cause.argument, cause.value) or cause.argument
        return ConfigurationError(f"{key}={cause.value}: {cause}")
    if isinstance(cause, SpikeformerError):
        return cause
    key = _full_key(config, None) or str(OmegaConf.select(config, "_target_", default="config"))
    return ConfigurationError(f"{key}: {_first_line(cause or error)}")


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


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
