"""The exception tree, argument checks and `error_context`. Imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any


class SpikeformerError(Exception):
    """Base of every error that SpikeFormer raises on purpose.

    Catch it to handle all of them; `str(error)` says what was expected, what came and what to do.
    """


class NeuromorphicError(SpikeformerError):
    """Something about spiking computation or its deployment cannot work as asked."""


class HardwareCompatibilityError(NeuromorphicError):
    """A model, layer or toolchain does not fit the chosen hardware target."""


class ConversionError(NeuromorphicError):
    """A module of an ordinary network cannot be turned into a spiking one."""


class SpikingDynamicsError(NeuromorphicError):
    """A neuron received or produced values that have no dynamics: NaN, Inf, a bad shape."""


class DataError(SpikeformerError):
    """A dataset is absent, unreadable, or not what the configuration says it is."""


class ToolchainError(HardwareCompatibilityError):
    """A vendor's toolchain hung, died, or left no usable result."""


class BackendUnavailableError(SpikeformerError):
    """An explicitly chosen backend cannot run here."""


class MissingDependencyError(SpikeformerError):
    """A feature needs an optional package that is not installed."""


class ProfilingError(SpikeformerError):
    """There is nothing to report energy of, or it cannot be measured as asked."""


class ComplianceError(SpikeformerError):
    """A record of consent is absent, locked, or not what was asked for."""


class LedgerTamperedError(ComplianceError):
    """The ledger of consents is not what was written into it."""


class ConfigurationError(SpikeformerError, ValueError):
    """The configuration cannot be built; the message names the key."""


class ArgumentError(SpikeformerError, ValueError):
    """An argument has a value outside its documented range.

    Args:
        argument: Name of the argument, as in the signature.
        value: The value received.
        expected: What would have been accepted, as in "a positive number".
        remedy: What to do about it, where it is not obvious.
    """

    def __init__(self, argument: str, value: Any, expected: str, remedy: str = "") -> None:
        self.argument, self.value, self.expected, self.remedy = argument, value, expected, remedy
        hint = f" {remedy}" if remedy else ""
        super().__init__(f"Expected `{argument}` to be {expected}, but got {value!r}.{hint}")

    def __reduce__(self) -> tuple[type[ArgumentError], tuple[str, Any, str, str]]:
        return type(self), (self.argument, self.value, self.expected, self.remedy)


def check_positive_int(argument: str, value: int) -> int:
    """Return `value` if it is an integer of at least one, else raise `ArgumentError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(argument, value, "an integer of at least 1")
    return value


def check_positive(argument: str, value: float) -> float:
    """Return `value` if it is a finite number above zero, else raise `ArgumentError`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(argument, value, "a number above 0")
    if not 0 < value < math.inf:
        raise ArgumentError(argument, value, "a finite number above 0")
    return value


def check_interval(argument: str, value: float, low: float, high: float) -> float:
    """Return `value` if it lies in the closed interval [low, high], else raise `ArgumentError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ArgumentError(argument, value, f"a number from {low} to {high}")
    return value


def check_choice(argument: str, value: str, choices: Collection[str]) -> str:
    """Return `value` if it is one of `choices`, else raise `ArgumentError` listing them."""
    if value not in choices:
        raise ArgumentError(argument, value, "one of " + ", ".join(map(repr, choices)))
    return value


def check_divisible(argument: str, value: int, divisor_name: str, divisor: int) -> int:
    """Return `value` if `divisor` divides it, else raise `ArgumentError` naming both."""
    if check_positive_int(argument, value) % check_positive_int(divisor_name, divisor):
        raise ArgumentError(argument, value, f"divisible by {divisor_name}={divisor}")
    return value


@contextmanager
def error_context(component: str, operation: str) -> Iterator[None]:
    """Add to any error where it happened; its type and cause stay as they were.

    Args:
        component: The part at work, as in "spike_encoding".
        operation: What it was doing, as in "encode".

    Example:
        >>> with error_context("spike_encoding", "encode"):
        ...     raise SpikingDynamicsError("input holds NaN")
        Traceback (most recent call last):
        ...
        spikeformer.error_handling.SpikingDynamicsError: input holds NaN
        while running spike_encoding.encode
    """
    try:
        yield
    except Exception as error:
        error.add_note(f"while running {component}.{operation}")
        raise
