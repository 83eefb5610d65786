"""What a configuration may create: types of known kinds, registered factories, and a user's own."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from omegaconf import DictConfig, ListConfig, OmegaConf

from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t

F = TypeVar("F", bound=Callable[..., Any])

FRAMEWORK_TYPES = (
    ("torch.nn.Module", "torch.nn.modules"),
    ("torch.optim.Optimizer", "torch.optim"),
    ("torch.optim.lr_scheduler.LRScheduler", "torch.optim.lr_scheduler"),
    ("lightning.pytorch.Trainer", "lightning.pytorch.trainer.trainer"),
    ("lightning.pytorch.Callback", "lightning.pytorch.callbacks"),
    ("lightning.pytorch.loggers.CSVLogger", "lightning.pytorch.loggers.csv_logs"),
    ("lightning.pytorch.loggers.TensorBoardLogger", "lightning.pytorch.loggers.tensorboard"),
    ("lightning.pytorch.strategies.Strategy", "lightning.pytorch.strategies"),
    ("lightning.pytorch.plugins.Precision", "lightning.pytorch.plugins.precision"),
    ("lightning.pytorch.profilers.Profiler", "lightning.pytorch.profilers"),
    ("torchmetrics.Metric", "torchmetrics.classification"),
    ("torchmetrics.Metric", "torchmetrics.regression"),
)
"""Base classes, and the package in which a subclass must be defined to be created by anyone.

Loggers that send what they get to a server that a configuration names are left out, metrics that
download a network too.
"""

_OURS = (
    "torch.nn.Module",
    "lightning.pytorch.Callback",
    "lightning.pytorch.LightningDataModule",
    "lightning.pytorch.strategies.Strategy",
)
"""Subclasses of these in this package need no `registered`."""

_REGISTERED: set[Any] = set()


def registered(target: F) -> F:
    """Let every configuration name a function, or a class of this package and its subclasses.

    Modules, callbacks, data modules and strategies need it not: their base class tells.

    Example:
        >>> @registered
        ... def silence(outputs, target):
        ...     return 0 * outputs.sum()
    """
    _REGISTERED.add(target)
    return target


def resolve_target(key: str, target: Any, trusted: Collection[str] = ()) -> Any:
    """Return the type or factory that a `_target_` names.

    Nothing is imported from a package that is neither ours nor trusted.

    Args:
        key: Full key of the `_target_`, for the message.
        target: Its dotted path.
        trusted: Packages of the user's own, in which every class and function may be named.

    Raises:
        ConfigurationError: It lies elsewhere, is no type of an allowed kind, or does not exist.
    """
    if not isinstance(target, str):
        raise ConfigurationError(t("config.target_is_text", key=key, target=target))
    parts = target.split(".")
    package = parts[0]
    own = package in trusted
    if not own and package not in TRUSTED_PACKAGES:
        raise _not_trusted(key, target, package, trusted)
    hidden = any(part.startswith("_") for part in parts)
    if not own and (hidden or not any(_lies_in(target, place) for place in _PLACES)):
        raise ConfigurationError(t("config.wrong_kind", key=key, target=target))
    try:
        found = pkgutil.resolve_name(target)
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigurationError(
            t("config.no_target", key=key, target=target, reason=reason)
        ) from (error)
    if not is_allowed(found, trusted):
        raise ConfigurationError(t("config.wrong_kind", key=key, target=target))
    return found


def is_allowed(found: Any, trusted: Collection[str] = ()) -> bool:
    """Return whether a configuration may create an object with `found`.

    What a package has merely imported counts where it was defined.
    """
    module = getattr(found, "__module__", None) if callable(found) else None
    if not isinstance(module, str):
        return False
    if module.partition(".")[0] in trusted:
        return True
    if _is_registered(found):
        return True
    if not isinstance(found, type):
        return False
    if module.partition(".")[0] == "spikeformer":
        return any(_is_subclass(found, base) for base in _OURS)
    return any(
        _lies_in(module, home) and _is_subclass(found, base) for base, home in FRAMEWORK_TYPES
    )


def check_kind(key: str, found: Any, kind: Any, trusted: Collection[str] = ()) -> None:
    """Raise `ConfigurationError` unless a target is of the kind that its group expects.

    Args:
        key: Full key of the `_target_`, for the message.
        found: What it names.
        kind: A type, a factory, or a tuple of them.
        trusted: Packages of the user's own; a factory of theirs is judged by what it returns.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    types = tuple(each for each in kinds if isinstance(each, type))
    if any(found is each for each in kinds) or (
        isinstance(found, type) and issubclass(found, types)
    ):
        return
    module = str(getattr(found, "__module__", ""))
    if not isinstance(found, type) and module.partition(".")[0] in trusted:
        return
    raise _other_kind(key, getattr(found, "__qualname__", found), kinds)


def check_result(key: str, result: Any, kind: Any) -> None:
    """Raise `ConfigurationError` unless what a factory returned is of the expected kind."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    types = tuple(each for each in kinds if isinstance(each, type))
    if types == kinds and not isinstance(result, types):
        raise _other_kind(key, type(result).__qualname__, kinds)


def targets_in(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield full key and value of every `_target_` in a node and below it."""
    if not isinstance(node, DictConfig | ListConfig) or node._is_none() or node._is_missing():
        return
    keys: Any = list(node.keys()) if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        if OmegaConf.is_missing(node, key):
            continue
        if key == "_target_" and isinstance(node, DictConfig):
            yield str(node._get_full_key(key)), node[key]
        else:
            yield from targets_in(node[key])


_PLACES = ("spikeformer", "torch.nn", "torch.optim", "lightning", "torchmetrics")
"""Where a path begins that is looked up at all."""


def _lies_in(path: str, package: str) -> bool:
    return path == package or path.startswith(f"{package}.")


def _is_registered(found: Any) -> bool:
    """Whether a function, or a class of this package or one of its bases, is registered."""
    if isinstance(found, type):
        return found.__module__.startswith("spikeformer.") and not _REGISTERED.isdisjoint(
            found.__mro__
        )
    try:
        return found in _REGISTERED
    except TypeError:  # not hashable, so never registered
        return False


def _is_subclass(found: type, base: str) -> bool:
    """Whether a class descends from one that is named; a base not yet imported has no subclass."""
    package, _, name = base.rpartition(".")
    kind = getattr(sys.modules.get(package), name, None)
    return isinstance(kind, type) and issubclass(found, kind)


def _not_trusted(
    key: str, target: str, package: str, trusted: Collection[str]
) -> ConfigurationError:
    names = ", ".join(sorted({*TRUSTED_PACKAGES, *trusted}))
    return ConfigurationError(
        t("config.not_trusted", key=key, target=target, package=package, trusted=names)
    )


def _other_kind(key: str, found: object, kinds: tuple[Any, ...]) -> ConfigurationError:
    expected = ", ".join(getattr(each, "__qualname__", str(each)) for each in kinds)
    return ConfigurationError(t("config.other_kind", key=key, found=found, expected=expected))


TRUSTED_PACKAGES = ("spikeformer", "torch", "torchmetrics", "lightning")
"""Packages of whose types any configuration may create those of `FRAMEWORK_TYPES` and ours."""
