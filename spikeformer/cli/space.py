"""What overrides say of a search: `choice(...)`, `range(...)`, `interval(...)`, `tag(log, ...)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t

Space = dict[str, BaseDistribution]


def search_space(overrides: Sequence[str]) -> tuple[Space, dict[str, str]]:
    """Return the distributions of what is searched, and the values of what is fixed, by key.

    The last override of a key counts.

    Example:
        >>> space, fixed = search_space(["seed=3", "timesteps=choice(2, 4)"])
        >>> space, fixed
        ({'timesteps': CategoricalDistribution(choices=(2, 4))}, {'seed': '3'})
    """
    space: Space = {}
    fixed: dict[str, str] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element()
        space.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            space[key] = _distribution(override)
        else:
            fixed[key] = override.get_value_element_as_str()
    return space, fixed


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        assert low is not None, "Hydra's parser gives both"
        assert high is not None, "Hydra's parser gives both"
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    choices: list[Any] = list(override.sweep_iterator(transformer=Transformer.encode))
    if override.is_range_sweep() and not value.shuffle:  # type: ignore[union-attr]
        # As in a sweep, the stop itself is none of the values.
        step = value.step  # type: ignore[union-attr]
        low, high = min(choices), max(choices)
        if all(isinstance(x, int) for x in (low, high, step)):
            return IntDistribution(int(low), int(high), step=abs(int(step)))
        return FloatDistribution(float(low), float(high), step=abs(float(step)))
    return CategoricalDistribution(choices)


def grid(space: Mapping[str, BaseDistribution]) -> dict[str, list[Any]]:
    """Return the values of each key.

    Raises:
        ConfigurationError: A key has an interval, which has no grid.
    """
    return {key: _values(key, distribution) for key, distribution in space.items()}


def _values(key: str, distribution: BaseDistribution) -> list[Any]:
    match distribution:
        case CategoricalDistribution():
            return list(distribution.choices)
        case IntDistribution(log=False):
            return list(range(distribution.low, distribution.high + 1, distribution.step))
        case FloatDistribution(step=float(step)):
            low, count = distribution.low, round((distribution.high - distribution.low) / step)
            return [low + number * step for number in range(count + 1)]
    raise ConfigurationError(t("cli.no_grid", key=key))
