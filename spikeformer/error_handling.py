"""The exception tree, interruptions, argument checks and `error_context`. Imports nothing heavy.

What a programmer meets is English and written where it is raised: `ArgumentError`, the checks and
`error_context`. What a person at the command line reads goes through `spikeformer.i18n.t`.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from spikeformer.i18n import t


class SpikeformerError(Exception):
    """Base of every error that SpikeFormer raises on purpose.

    Catch it to handle all of them; `str(error)` says what was expected, what came and what to do.
    """


class NeuromorphicError(SpikeformerError):
    """Something about spiking computation or its deployment cannot work as asked."""


class HardwareCompatibilityError(NeuromorphicError):
    """A model, layer or toolchain does not fit the chosen hardware target."""


class ConversionError(NeuromorphicError):
    """A module of an ANN cannot be turned into a spiking one."""


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


class ProcessGroupError(SpikeformerError):
    """A process of a distributed run is gone, hangs, or was never there."""


class ConcurrencyError(SpikeformerError):
    """A request is unknown, was cancelled, or came after the end; or workers cannot be had."""


class StorageError(SpikeformerError, OSError):
    """A file cannot be written: the disk is full, or the folder is not ours."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to stop: Ctrl-C, or a scheduler that wants the machine back.

    No `SpikeformerError`: nothing went wrong, and `except Exception` must not swallow it.

    Args:
        signal_number: The signal.
        saved: What of the work is saved, for the message.
    """

    def __init__(self, signal_number: int, saved: str = "") -> None:
        self.signal_number = signal_number
        name = signal.Signals(signal_number).name
        key = "error_handling.stopped_and" if saved else "error_handling.stopped"
        super().__init__(t(key, signal=name, **({"saved": saved} if saved else {})))


SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
"""Ctrl-C, the end of a job, and what Slurm sends before it takes a machine away."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` where one of `SIGNALS` comes.

    Signals then end a run in the way that Ctrl-C does: what is done is kept, and a message says so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    previous = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


class ComplianceError(SpikeformerError):
    """A record of consent is absent, locked, or not what was asked for."""


class ConsentsChangedError(ComplianceError):
    """A run rests on data that may not be used any more, so that it must not be gone on with."""


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
        text = f"Expected `{argument}` to be {expected}, but got {value!r}."
        super().__init__(f"{text} {remedy}" if remedy else text)

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.argument, self.value, self.expected, self.remedy)
        return type(self), arguments, self.__dict__


class LocalizedError(SpikeformerError):
    """An error known by the key of its message; it reads in the locale of whoever prints it.

    Args:
        key: As for `spikeformer.i18n.t`.
        **values: Values by placeholder.

    Example:
        >>> raise LocalizedError("error.model_not_found", model_name="MyModel")
        Traceback (most recent call last):
        ...
        spikeformer.error_handling.LocalizedError: Model not found: MyModel
    """

    def __init__(self, key: str, /, **values: Any) -> None:
        super().__init__(key)
        self.key, self.values = key, values

    def __str__(self) -> str:
        return t(self.key, **self.values)


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
        raise ArgumentError(argument, value, f"one of {', '.join(map(repr, choices))}")
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
