"""Samples and timesteps of a forward pass, as its neurons show them or somebody declares them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NoReturn

from spikeformer.error_handling import ProfilingError, check_positive_int
from spikeformer.i18n import t


@dataclass(frozen=True)
class Declared:
    """What is said about time by somebody who knows the network.

    Args:
        time_axis: Axis of time in the network's input: 0 for (timesteps, batch, ...), 1 for
            (batch, timesteps, ...). Together with `timesteps` the two may be one axis, which
            `time_axis` then says the order of: 0 if it holds a timestep after the other.
        timesteps: Timesteps of a sample.

    Raises:
        ArgumentError: One of them is no such number.
    """

    time_axis: int | None = None
    timesteps: int | None = None

    def __post_init__(self) -> None:
        if self.timesteps is not None:
            check_positive_int("timesteps", self.timesteps)
        if self.time_axis is not None:
            check_positive_int("time_axis + 1", self.time_axis + 1)


@dataclass
class Timing:
    """How the rows of a pass are divided into samples and timesteps.

    It is settled from the beginning where the network's input tells, and else by the first neurons
    that fire.

    Args:
        network: What to call the network.
        declared: What is known of time.
        spiking: Whether neurons will show more.
        timesteps: Timesteps that the network says it simulates at once.
    """

    network: str
    declared: Declared
    spiking: bool
    timesteps: int = 1
    batch: int = 1
    time_first: bool = False
    settled: bool = False
    shape: tuple[int, ...] | None = None
    calls: Counter[str] = field(default_factory=Counter)

    def start(self, shape: tuple[int, ...], says: int | None) -> None:
        """Take in the shape of the network's input, and the timesteps that it says it has."""
        shape = tuple(shape)
        self.shape, self.batch = shape, shape[0]
        axis, timesteps = self.declared.time_axis, self.declared.timesteps
        if axis is not None:
            self._split(shape, axis, timesteps)
        elif says is not None or not self.spiking:
            self.timesteps = timesteps or says or 1
            self.settled = True

    def _split(self, shape: tuple[int, ...], axis: int, timesteps: int | None) -> None:
        given = shape[axis] if axis < len(shape) else None
        if len(shape) > 1 and given is not None and timesteps in (None, given):
            self.batch, self.timesteps = shape[1] if axis == 0 else shape[0], given
        elif timesteps is not None and shape[0] % timesteps == 0:
            self.batch, self.timesteps = shape[0] // timesteps, timesteps
        else:
            raise ProfilingError(
                t("profiling.no_such_axis", shape=shape, axis=axis, timesteps=timesteps or "T")
            )
        self.time_first, self.settled = axis == 0, True

    def hear(self, layer: str, axis: int | None, batch: int, timesteps: int) -> None:
        """Take in a call of neurons.

        Args:
            layer: Their name.
            axis: Axis of time in what they return; None if a call is one timestep.
            batch: Samples in the call.
            timesteps: Timesteps in the call.

        Raises:
            ProfilingError: It does not agree with what is declared, or does not say enough.
        """
        found = (batch, timesteps)
        if axis is None:
            self.calls[layer] += 1
        if not self.settled:
            self._settle(layer, axis, batch, timesteps)
        elif self.declared.time_axis is not None and batch % self.batch:
            self._disagree(layer, found)
        if axis is not None:
            if self.declared != Declared() and timesteps != self.timesteps:
                self._disagree(layer, found)
            self.timesteps = max(self.timesteps, timesteps)

    def _settle(self, layer: str, axis: int | None, batch: int, timesteps: int) -> None:
        shape = self.shape or (batch,)
        starts = (shape[0], shape[1] if len(shape) > 1 else 0)
        if axis is None:
            fits = batch in starts or shape[0] % batch == 0
        else:
            fits = shape[0] in (batch, batch * timesteps) or starts == (timesteps, batch)
        if not fits:
            self._ask(layer, (batch, timesteps))
        self.batch, self.time_first = batch, axis != 1
        self.timesteps = (self.declared.timesteps if axis is not None else None) or timesteps
        self.settled = True

    def steps(self, layers: set[int]) -> int:
        """Return the timesteps that the pass had, once it is over.

        Args:
            layers: How often layers with weights were called.

        Raises:
            ProfilingError: Its neurons do not agree with each other or with what is declared.
        """
        if not self.calls:
            return self.timesteps
        counts = set(self.calls.values())
        calls = min(counts)
        declared = self.declared.timesteps
        if self.declared.time_axis is not None:
            declared = self.timesteps
        if declared is not None:
            if declared in (calls, *layers) or (calls == 1 and self.declared.time_axis is None):
                return declared if declared in (calls, *layers) else 1
            layer = next(name for name, count in self.calls.items() if count == calls)
            self._disagree(layer, (self.batch, calls))
        if len(counts) > 1:
            each = ", ".join(f"{name}: {count}" for name, count in self.calls.items())
            raise ProfilingError(t("profiling.ask_calls", network=self.network, calls=each))
        if not self._explains(calls):
            self._ask(next(iter(self.calls)), (self.batch, calls))
        return max(calls, self.timesteps)

    def _explains(self, calls: int) -> bool:
        """Whether the network's input can be that of so many calls for a batch."""
        if not self.shape or self.shape[0] == self.batch:
            return True
        if len(self.shape) > 1 and self.shape[1] == self.batch:
            return self.shape[0] == calls
        return self.shape[0] == self.batch * calls

    def _ask(self, layer: str, found: tuple[int, int]) -> NoReturn:
        raise ProfilingError(
            t(
                "profiling.ask_time",
                network=self.network,
                shape=self.shape,
                layer=layer,
                samples=found[0],
                timesteps=found[1],
            )
        )

    def _disagree(self, layer: str, found: tuple[int, int]) -> NoReturn:
        raise ProfilingError(
            t(
                "profiling.wrong_time",
                network=self.network,
                shape=self.shape,
                samples=self.batch,
                timesteps=self.timesteps,
                layer=layer,
                found_samples=found[0],
                found_timesteps=found[1],
            )
        )
