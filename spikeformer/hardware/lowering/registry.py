"""Which module becomes what on a chip: one rule for each type of layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from spikeformer.conversion import SpikingModel
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.i18n import t

Rule = Callable[..., Any]
"""Called as `rule(builder, module, *args, **kwargs)` in place of the module's `forward`."""
Obstacle = Callable[[Any], str | None]
"""Returns why a module is not supported by spiking chips and what to do, or None if it has one."""

_RULES: dict[type[nn.Module], Rule] = {}
_OBSTACLES: dict[type[nn.Module], Obstacle] = {}
_COMPUTES: dict[Any, Rule] = {}
_REFUSED: dict[Any, str] = {}


def lowers(*kinds: type[nn.Module]) -> Callable[[Rule], Rule]:
    """Register a rule for types of modules and, unless they have their own, their subclasses.

    A rule gets the builder, the module and what the module was called with, tensors as
    `TracedTensor`, and returns what the module would. A module without a rule is run as it is:
    its children and its tensor operations are lowered one by one.

    Example:
        >>> from spikeformer.hardware.lowering import lowers
        >>> class Halve(nn.Module):
        ...     def forward(self, x):
        ...         return x / 2
        >>> @lowers(Halve)
        ... def halve(builder, module, x):
        ...     return x * 0.5
    """

    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def refuses(*kinds: type[nn.Module]) -> Callable[[Obstacle], Obstacle]:
    """Register what may be wrong with types of modules and their subclasses."""

    def register(obstacle: Obstacle) -> Obstacle:
        _OBSTACLES.update(dict.fromkeys(kinds, obstacle))
        return obstacle

    return register


def computes(*operators: Any) -> Callable[[Rule], Rule]:
    """Register a rule for ATen operators, called as `rule(builder, *args, **kwargs)`."""

    def register(rule: Rule) -> Rule:
        _COMPUTES.update(dict.fromkeys(operators, rule))
        return rule

    return register


def refuses_operator(key: str, *operators: Any) -> None:
    """Register the message that says why operators are not supported, and what to do."""
    _REFUSED.update(dict.fromkeys(operators, key))


def compute(builder: GraphBuilder, operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Write down what an ATen operator does to traced tensors, or refuse it."""
    rule = _COMPUTES.get(operator)
    if rule is not None:
        return rule(builder, *args, **kwargs)
    key = _REFUSED.get(operator, "hardware.unknown_operator")
    raise builder.refuse(t(key, operator=operator))


def rule_for(module: nn.Module) -> Callable[[GraphBuilder], Rule] | None:
    """Return the rule of the nearest class of `module`, waiting for a builder."""
    rule = _nearest(_RULES, module)
    if rule is None:
        return None
    return lambda builder: lambda *args, **kwargs: rule(builder, module, *args, **kwargs)


def check_supported(model: nn.Module) -> None:
    """Refuse a network with layers that are not supported, naming each and what to do.

    Raises:
        HardwareCompatibilityError: There is such a layer.
    """
    found: dict[str, list[str]] = {}
    for path, reason in obstacles(model):
        found.setdefault(reason, []).append(path or t("hardware.the_network"))
    if found:
        lines = [f"{_listed(paths)}: {reason}" for reason, paths in found.items()]
        raise HardwareCompatibilityError(t("hardware.no_place", layers="\n".join(lines)))


def obstacles(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield path and reason of each layer that is not supported by spiking chips.

    Of a converted network there are none: what the chip does not compute, its host does.
    """
    if isinstance(model, SpikingModel):
        return
    for path, module in model.named_modules():
        obstacle = _nearest(_OBSTACLES, module)
        reason = obstacle(module) if obstacle else None
        if reason:
            yield path, f"{type(module).__name__} {reason}"


def _listed(paths: list[str]) -> str:
    first = ", ".join(paths[:2])
    return t("hardware.and_more", paths=first, number=len(paths) - 2) if paths[2:] else first


def _nearest(table: dict[type[nn.Module], Any], module: nn.Module) -> Any:
    return next((table[kind] for kind in type(module).__mro__ if kind in table), None)
