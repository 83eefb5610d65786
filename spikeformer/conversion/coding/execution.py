"""One call of a converted network: its state, its neurons, its events.

All timesteps of a chunk run through the network's own code at once. `torch.vmap` adds the axis of
timesteps behind the code's back, so that it sees the shapes that it was written for; what does not
change in time (embeddings, masks, the first convolution of an image) is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

import torch
from torch import Tensor

from spikeformer.conversion.coding import integers
from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.coding.forms import form_of, group
from spikeformer.conversion.coding.integers import PackedWeights
from spikeformer.conversion.coding.neuron import Fired, NeuronState, fire
from spikeformer.conversion.tracing.functions import NONLINEAR
from spikeformer.conversion.tracing.interception import Affine, Bilinear, Engine
from spikeformer.conversion.tracing.plan import ConversionPlan, Operation
from spikeformer.error_handling import ConversionError, SpikingDynamicsError
from spikeformer.instrument import Function, Trail


class ExecutionRecorder(Protocol):
    """Hears of every event and of every operation of a call."""

    def on_fire(self, site: str, first_step: int, fired: Fired) -> None:
        """A population has fired in the timesteps of a chunk."""
        ...

    def on_operation(
        self,
        operation: Operation,
        first_step: int,
        operands: tuple[Tensor, ...],
        parameters: tuple[Tensor | None, ...],
        result: Tensor,
    ) -> None:
        """A product has been computed; shapes are those of one timestep."""
        ...

    def on_evaluation(self, steps: int, result: Any) -> None:
        """A function that stays in floating point has been computed."""
        ...


class Tuner(Protocol):
    """Changes a network while it runs, layer by layer."""

    def choose(self, site: str, rates: Tensor, theta: Tensor) -> Tensor:
        """Return the levels with which a site is to encode `rates` (timesteps, *shape)."""
        ...

    def correct(self, operation: Operation, parameters: tuple[Tensor | None, ...]) -> None:
        """Change the bias of a layer whose input has just been encoded."""
        ...


@dataclass
class Execution(Engine):
    """The engine of one call of a converted network.

    Args:
        plan: What the analysis found.
        thresholds: Largest level of each site.
        coding: How activations are encoded as events.
        trail: Follows the pass.
        types: Type of each module by its path, for messages.
        recorder: Hears of events, if anybody does.
        silent: Leave the neurons out: rates pass as they are. Any timestep's output then equals
            the original's.
        tuner: Changes thresholds and biases on the way, if there is one.
        weights: Packed weights for products in integers; None computes all in floating point.
    """

    plan: ConversionPlan
    thresholds: Mapping[str, Tensor]
    coding: Coding
    trail: Trail
    types: Mapping[str, str]
    recorder: ExecutionRecorder | None = None
    silent: bool = False
    tuner: Tuner | None = None
    weights: PackedWeights | None = None
    first_step: int = 1
    num_steps: int = 1
    _states: dict[tuple[str, int], NeuronState] = field(default_factory=dict)
    _sums: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    _step: Tensor | None = None
    _last: tuple[Tensor, str, Tensor] | None = None

    @cached_property
    def _linear_sources(self) -> frozenset[str]:
        return self.plan.linear_sources

    def begin(self, step: Tensor, first_step: int, num_steps: int) -> None:
        """Begin a chunk of timesteps.

        Args:
            step: Number of the timestep, as `torch.vmap` hands it in.
            first_step: Number of the chunk's first one.
            num_steps: How many there are in it.
        """
        self._step, self.first_step, self.num_steps = step, first_step, num_steps
        self._last = None

    def affine(self, product: Affine) -> Tensor:
        """Run a linear layer or convolution on the events of its input."""
        operation, turn = self._operation(product.function)
        site, whole = operation.sites["input"], self._in_integers(operation, product)
        encoded = self.encode(site, product.x, turn, whole)
        if self.tuner is not None:
            self.tuner.correct(operation, product.parameters)
        if whole:
            result: Tensor = _Accumulate.apply(  # type: ignore[no-untyped-call]
                encoded, self, operation, turn, product.parameters
            )
        else:
            result = product.apply(encoded)
        self._record(operation, (product.x,), product.parameters, result)
        return result

    def bilinear(self, product: Bilinear) -> Tensor:
        """Run a product on the events of its operands."""
        operation, turn = self._operation(product.function)
        tensors = tuple(tensor for tensor, _ in product.operands.values())
        left, right = (
            self.encode(operation.sites[role], tensor, turn)
            for role, tensor in zip(product.operands, tensors, strict=True)
        )
        result = product.apply(left, right)
        self._record(operation, tensors, (), result)
        return result

    def other(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function on rates."""
        form = None if self.silent else form_of(self.coding, function)
        run = function if form is None else partial(form, group)
        result = run(*args, **kwargs)
        if self.recorder is not None and getattr(function, "__name__", "") in NONLINEAR:
            self.recorder.on_evaluation(self.num_steps, result)
        return result

    def _in_integers(self, operation: Operation, product: Affine) -> bool:
        """Whether to multiply events as whole multiples of the smallest (`integers.py`)."""
        weight, site, x = product.parameters[0], operation.sites["input"], product.x
        if self.weights is None or self.silent or self.tuner is not None or weight is None:
            return False
        if site is None or product.function != "linear" or torch.is_grad_enabled():
            return False
        if self._last is not None and self._last[0] is x:
            return self._last[2].dtype == torch.uint8
        source = self.plan.sites[site].source
        return (
            weight.dtype == x.dtype == torch.float32
            and weight.device.type == x.device.type == "cpu"
            and not weight.is_inference()
            and x.numel() * len(weight) >= integers.MIN_PRODUCTS
            and self.thresholds[source].numel() in (1, x.shape[-1])
            and source in self._linear_sources
            and integers.takes(self.coding)
        )

    def accumulate(
        self, operation: Operation, turn: int, parameters: tuple[Tensor, Tensor | None], x: Tensor
    ) -> Tensor:
        """Return what a linear layer makes of events in bytes, (steps, *shape) uint8."""
        site = operation.sites["input"]
        assert site is not None
        assert self.weights is not None
        weight, bias = parameters
        theta = self.thresholds[self.plan.sites[site].source].reshape(-1)
        packed = self.weights.get(operation.name, weight, theta)
        before = self._sums.get((operation.name, turn))
        if before is None:
            before = weight.new_zeros(len(weight)) if bias is None else bias
        sums = packed.accumulate(x.flatten(1, -2).contiguous(), before, self.first_step)
        self._sums[operation.name, turn] = sums[-1].clone()
        return sums.view(*x.shape[:-1], -1)

    def encode(self, site: str | None, x: Tensor, turn: int, whole: bool = False) -> Tensor:
        """Return the rates that the events of a site add up to; None is no site.

        With `whole` it returns the events themselves, as `integers` takes them.
        """
        if site is None:
            return x
        if self._last is not None and self._last[0] is x:
            return self._last[2]
        source = self.plan.sites[site].source
        encoded: Tensor = _Encode.apply(  # type: ignore[no-untyped-call]
            x, self._step, self, source, turn, whole
        )
        self._last = (x, site, encoded)
        return encoded

    def emit(self, source: str, turn: int, x: Tensor, whole: bool = False) -> Tensor:
        """Let the neurons of a site encode `x` (steps, *shape); return rates or `whole` events."""
        if self.silent:
            return x
        theta = self.thresholds[source]
        if theta.ndim > x.ndim - 1 or any(
            size not in (1, x.shape[-axis]) for axis, size in enumerate(theta.shape[::-1], start=1)
        ):
            raise ConversionError(
                f"{self.where}: expected an activation with channels {tuple(theta.shape)}, as in "
                f"calibration, but got {tuple(x.shape[1:])}. Calibrate with such inputs."
            )
        if self.tuner is not None:
            theta = self.tuner.choose(source, x.detach(), theta)
        state = self._states.get((source, turn))
        wants = (not whole or self.recorder is not None, whole)
        fired = fire(x.detach(), theta, state, self.first_step, self.coding, wants)
        if not fired.finite:
            raise SpikingDynamicsError(
                f"{self.where} is to encode NaN or Inf as spikes. Check the input for them; if it "
                "has none, the original network overflows too."
            )
        self._states[source, turn] = fired.state
        if self.recorder is not None:
            self.recorder.on_fire(source, self.first_step, fired)
        if fired.multiples is not None:
            return fired.multiples
        if x.requires_grad:
            # Straight through: what neurons encode is, up to its error, what they were given.
            return x + (fired.rates - x.detach())
        return fired.rates

    def _operation(self, function: str) -> tuple[Operation, int]:
        name, turn = self.trail.next_operation(function)
        operation = self.plan.operations.get(name)
        if operation is None:
            raise ConversionError(
                f"{self.where} runs {function}, which it did not when the network was converted: "
                "these arguments lead it along another path. Convert with an example of them: "
                "convert(model, example_inputs=...) or as calibration data."
            )
        return operation, turn

    def _record(
        self,
        operation: Operation,
        operands: tuple[Tensor, ...],
        parameters: tuple[Tensor | None, ...],
        result: Tensor,
    ) -> None:
        if self.recorder is not None:
            self.recorder.on_operation(operation, self.first_step, operands, parameters, result)


class _Encode(torch.autograd.Function):
    """Hands an activation with its axis of timesteps to the neurons of a site."""

    @staticmethod
    def forward(
        x: Tensor, step: Tensor, execution: Execution, source: str, turn: int, whole: bool
    ) -> Tensor:
        return execution.emit(source, turn, x.unsqueeze(0), whole)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0], None, None, None, None, None

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        x: Tensor,
        step: Tensor,
        execution: Execution,
        source: str,
        turn: int,
        whole: bool,
    ) -> tuple[Tensor, int]:
        if in_dims[0] is None:
            rates = x.expand(info.batch_size, *x.shape)
        else:
            rates = x.movedim(in_dims[0], 0)
        return execution.emit(source, turn, rates, whole), 0


class _Accumulate(torch.autograd.Function):
    """Hands events with their axis of timesteps to a linear layer in integers."""

    @staticmethod
    def forward(
        events: Tensor,
        execution: Execution,
        operation: Operation,
        turn: int,
        parameters: tuple[Tensor, Tensor | None],
    ) -> Tensor:
        return execution.accumulate(operation, turn, parameters, events.unsqueeze(0))[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        events: Tensor,
        execution: Execution,
        operation: Operation,
        turn: int,
        parameters: tuple[Tensor, Tensor | None],
    ) -> tuple[Tensor, int]:
        assert in_dims[0] == 0
        return execution.accumulate(operation, turn, parameters, events), 0
